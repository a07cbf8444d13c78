package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
	"github.com/aip-go/aip/transport/websocket"
)

// Protects: the contexts of callers, which must not end the connection, whether
// they have ended before a send or end while it waits or is under way.
func TestCancelledSends(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine, PingInterval: -1}
		p, client, server := pair(t, opts, opts)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range 200 {
			err := client.Send(ended, []byte("never"))
			is(t, "Send with a cancelled context", err, context.Canceled)
			if transport.OutcomeOf(err) != transport.NotSent {
				t.Errorf("the outcome of %v", err)
			}
		}
		usable(t, client, server)

		p.link().SetRate(transporttest.ToServer, 1<<20)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var mu sync.Mutex
		outcomes := make(map[string]transport.Outcome)
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				message := strings.Repeat(fmt.Sprintf("%03d ", i), 100_000)
				buffer := []byte(message)
				start := time.Now()
				err := client.Send(ctx, buffer)
				within(t, "Send", start, time.Second)
				clear(buffer)
				mu.Lock()
				defer mu.Unlock()
				outcomes[message] = transport.OutcomeOf(err)
			})
		}
		wg.Wait()
		var started int
		for _, outcome := range outcomes {
			if outcome != transport.NotSent {
				started++
			}
		}
		if started == 0 || started == len(outcomes) {
			t.Errorf("%d of %d messages were started", started, len(outcomes))
		}
		for range started {
			got, err := server.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if outcome, known := outcomes[string(got)]; !known || outcome == transport.NotSent {
				t.Errorf("received %.20q: %v, %v", got, outcome, known)
			}
			delete(outcomes, string(got))
		}
		usable(t, client, server)
	})
}

// Protects: the owner of write deadlines: the connection. A peer that takes
// nothing any more is always the same typed error, for all senders.
func TestWriteTimeout(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine, PingInterval: -1, WriteTimeout: 7 * time.Second}
		for range 10 {
			p, client, server := pair(t, opts, opts)
			p.link().Stall(transporttest.ToServer)
			start := time.Now()
			var wg sync.WaitGroup
			for i := range 4 {
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if i%2 == 0 {
					ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
				}
				wg.Go(func() {
					defer cancel()
					err := client.Send(ctx, make([]byte, 200_000))
					is(t, "Send", err, transport.ErrWriteTimeout)
					if !transport.Retryable(err) {
						t.Errorf("%v is not retryable", err)
					}
				})
			}
			wg.Wait()
			if took := time.Since(start); took != 7*time.Second {
				t.Errorf("the write deadline expired after %v", took)
			}
			if client.State() != transport.Failed {
				t.Errorf("the state is %s", client.State())
			}
			is(t, "WaitClosed", client.WaitClosed(t.Context()), transport.ErrWriteTimeout)
			_, err := client.Receive(t.Context())
			is(t, "Receive", err, transport.ErrWriteTimeout)
			is(t, "Send", client.Send(t.Context(), nil), transport.ErrWriteTimeout)
			closeAll(t, client, server)
		}
	})
}

// Protects: large messages. While one goes up a slow link, both sides get the
// answers to their pings, and both survive.
func TestSlowUpload(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		var mu sync.Mutex
		var slowest time.Duration
		answered := 0
		pinged := func(roundTrip time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			answered++
			slowest = max(slowest, roundTrip)
		}
		opts := &websocket.Options{
			Engine: engine, PingInterval: time.Second, PingTimeout: 2 * time.Second,
			Hooks: websocket.Hooks{Ping: pinged},
		}
		p, client, server := pair(t, opts, opts)
		const rate, size = 4 << 20, 40 << 20
		p.link().SetRate(transporttest.ToServer, rate)
		message := bytes.Repeat([]byte("0123456789abcdef"), size/16)
		var wg sync.WaitGroup
		start := time.Now()
		wg.Go(func() {
			if err := client.Send(t.Context(), message); err != nil {
				t.Errorf("Send: %v", err)
			}
		})
		got, err := server.Receive(t.Context())
		if err != nil || !bytes.Equal(got, message) {
			t.Fatalf("received %d bytes, %v", len(got), err)
		}
		wg.Wait()
		if took := time.Since(start); took < 9*time.Second {
			t.Errorf("40 MiB took %v at 4 MiB/s", took)
		}
		if answered < 16 {
			t.Errorf("%d pings were answered in ten seconds, of both sides", answered)
		}
		// A pong waits for a fragment or two and for what the network holds.
		if slowest > 200*time.Millisecond {
			t.Errorf("a ping took %v", slowest)
		}
		usable(t, client, server)
	})
}

// Protects: concurrent senders. Frames stay intact, messages arrive once, and
// messages that belong together stay neighbours.
func TestConcurrentSenders(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine}
		_, client, server := pair(t, opts, opts)
		const senders, each = 64, 10
		var wg sync.WaitGroup
		for i := range senders {
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if i%2 == 0 {
				ctx, cancel = context.WithCancel(ctx)
			} else {
				ctx = context.WithoutCancel(ctx)
			}
			wg.Go(func() {
				defer cancel()
				for j := range each {
					name := fmt.Sprintf("%d/%d ", i, j)
					text := name + strings.Repeat("x", 1+(i*j*397)%80_000)
					var err error
					if i%3 == 0 {
						err = client.SendFrames(ctx, transport.Frame{Kind: transport.Text, Data: []byte(text)},
							transport.Frame{Kind: transport.Binary, Data: []byte(name)})
					} else {
						err = client.Send(ctx, []byte(text))
					}
					if err != nil {
						t.Errorf("Send: %v", err)
						return
					}
				}
			})
		}
		next := make([]int, senders)
		for range senders * each {
			got, err := server.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var i, j int
			if _, err := fmt.Sscanf(string(got[:min(len(got), 20)]), "%d/%d ", &i, &j); err != nil {
				t.Fatalf("received %.20q: %v", got, err)
			}
			if want := fmt.Sprintf("%d/%d ", i, j) + strings.Repeat("x", 1+(i*j*397)%80_000); string(got) != want {
				t.Fatalf("%d/%d has %d bytes, want %d", i, j, len(got), len(want))
			}
			if next[i] != j {
				t.Errorf("%d/%d came where %d was due", i, j, next[i])
			}
			next[i]++
			if i%3 == 0 {
				frame, err := server.ReceiveFrame(t.Context())
				if err != nil || frame.Kind != transport.Binary || string(frame.Data) != fmt.Sprintf("%d/%d ", i, j) {
					t.Fatalf("after %d/%d came %s %.20q, %v", i, j, frame.Kind, frame.Data, err)
				}
			}
		}
		wg.Wait()
	})
}

// Protects: what the caller passes, which stays as it is.
func TestSendFramesKeepsArguments(t *testing.T) {
	for name, cancelable := range map[string]bool{"cancelable": true, "not cancelable": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, client, server := pair(t, nil, nil)
				ctx := context.WithoutCancel(t.Context())
				if cancelable {
					ctx = t.Context()
				}
				frames := []transport.Frame{{Kind: transport.Text, Data: []byte("one")}, {Kind: transport.Binary, Data: make([]byte, 200_000)}}
				done := make(chan error, 1)
				go func() { done <- client.SendFrames(ctx, frames...) }()
				for range frames {
					if _, err := server.ReceiveFrame(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if len(frames[0].Data) != 3 || len(frames[1].Data) != 200_000 {
					t.Errorf("the frames have %d and %d bytes", len(frames[0].Data), len(frames[1].Data))
				}
			})
		})
	}
}

// Protects: the memory of a sender whose peer has stalled, by policy.
func TestSendPolicies(t *testing.T) {
	stalled := func(t *testing.T, policy websocket.SendPolicy, dropped *[]int64) (*websocket.Transport, func(string) <-chan error, func()) {
		opts := &websocket.Options{
			PingInterval: -1, WriteTimeout: -1, SendPolicy: policy, SendQueueBytes: 1000,
			Hooks: websocket.Hooks{Drop: func(size int64) { *dropped = append(*dropped, size) }},
		}
		p, client, server := pair(t, opts, nil)
		p.link().Stall(transporttest.ToServer)
		p.link().SetBuffer(transporttest.ToServer, 0)
		send := func(message string) <-chan error {
			result := make(chan error, 1)
			go func() { result <- client.Send(t.Context(), []byte(message)) }()
			synctest.Wait()
			return result
		}
		resume := func() {
			p.link().SetBuffer(transporttest.ToServer, 1<<20)
			p.link().Resume(transporttest.ToServer)
			t.Cleanup(func() {
				for {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					_, err := server.Receive(ctx)
					cancel()
					if err != nil {
						return
					}
				}
			})
		}
		return client, send, resume
	}
	message := strings.Repeat("x", 400)
	done := func(c <-chan error) bool { return len(c) == 1 }

	t.Run("block", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, send, resume := stalled(t, websocket.SendBlock, new([]int64))
			var sends []<-chan error
			for range 10 {
				sends = append(sends, send(message))
			}
			for i, s := range sends {
				if done(s) {
					t.Errorf("send %d did not wait: %v", i, <-s)
				}
			}
			if b := client.Backlog(); b.SendMessages != 10 || b.SendBytes != 4000 {
				t.Errorf("Backlog: %+v", b)
			}
			resume()
			for _, s := range sends {
				if err := <-s; err != nil {
					t.Errorf("Send: %v", err)
				}
			}
			if b := client.Backlog(); b.SendMessages != 0 || b.SendBytes != 0 {
				t.Errorf("Backlog: %+v", b)
			}
		})
	})
	t.Run("drop oldest", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var dropped []int64
			_, send, resume := stalled(t, websocket.SendDropOldest, &dropped)
			var sends []<-chan error
			for range 5 {
				sends = append(sends, send(message))
			}
			// The first one is being written and two more fit.
			for i, s := range sends {
				if done(s) != (i == 1 || i == 2) {
					t.Errorf("send %d: done %v", i, done(s))
				}
			}
			for _, s := range sends[1:3] {
				err := <-s
				is(t, "Send", err, websocket.ErrDropped)
				if transport.OutcomeOf(err) != transport.NotSent {
					t.Errorf("the outcome of %v", err)
				}
			}
			if fmt.Sprint(dropped) != "[400 400]" {
				t.Errorf("the hook was told of %v", dropped)
			}
			resume()
			for _, i := range []int{0, 3, 4} {
				if err := <-sends[i]; err != nil {
					t.Errorf("send %d: %v", i, err)
				}
			}
		})
	})
	t.Run("disconnect", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, send, _ := stalled(t, websocket.SendDisconnect, new([]int64))
			sends := []<-chan error{send(message), send(message), send(message), send(message)}
			for i, s := range sends {
				is(t, fmt.Sprint("send ", i), <-s, websocket.ErrSlowPeer)
			}
			if client.State() != transport.Failed {
				t.Errorf("the state is %s", client.State())
			}
			is(t, "WaitClosed", client.WaitClosed(t.Context()), websocket.ErrSlowPeer)
		})
	})
}

// Protects: streams whose source fails, is too large or not text.
func TestBrokenStream(t *testing.T) {
	fault := errors.New("the fault")
	sources := map[string]struct {
		yields string
		err    error
		want   error
	}{
		"fault":     {strings.Repeat("x", 100_000), fault, fault},
		"too large": {strings.Repeat("x", 300_000), nil, transport.ErrMessageTooLarge},
		"not text":  {strings.Repeat("x", 100_000) + "\xff", nil, transport.ErrInvalidUTF8},
	}
	for name, s := range sources {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, client, server := pair(t, &websocket.Options{MaxMessageSize: 200_000}, nil)
				err := client.SendStream(t.Context(), transport.Text, &faulty{strings.NewReader(s.yields), s.err})
				is(t, "SendStream", err, s.want)
				if transport.OutcomeOf(err) != transport.MaybeSent {
					t.Errorf("the outcome of %v", err)
				}
				is(t, "WaitClosed", client.WaitClosed(t.Context()), s.want)
				if got, err := server.Receive(t.Context()); err == nil {
					t.Errorf("received %d bytes", len(got))
				}
			})
		})
	}
}

// faulty is a reader that fails in the end, if it has an error.
type faulty struct {
	*strings.Reader
	err error
}

func (f *faulty) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && f.err != nil {
		err = f.err
	}
	return n, err
}
