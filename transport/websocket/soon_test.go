package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
	"github.com/aip-go/aip/transport/websocket"
)

// Protects: order. A sender that does not wait for its messages still has them
// arrive in turn, among large ones, units, streams, and those it waits for.
func TestSentInOrder(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine}
		p, client, server := pair(t, opts, opts)
		p.link().SetDelay(transporttest.ToServer, time.Millisecond)
		const n = 400
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for i := range n {
				ctx, text := context.WithoutCancel(t.Context()), []byte(fmt.Sprintf("%d ", i))
				var err error
				switch {
				case i%50 == 49:
					err = client.Send(ctx, append(text, strings.Repeat("x", 200_000)...))
				case i%50 == 48:
					err = client.SendStream(ctx, transport.Text, bytes.NewReader(text))
				case i%20 == 19:
					err = client.SendFrames(ctx, transport.Frame{Kind: transport.Text, Data: text})
				case i%3 == 2:
					err = client.Send(t.Context(), text)
				default:
					err = client.Send(ctx, text)
				}
				if err != nil {
					t.Errorf("message %d: %v", i, err)
				}
				clear(text) // It is the sender's again.
			}
		}()
		for i := range n {
			got, err := server.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("%d ", i); !strings.HasPrefix(string(got), want) {
				t.Fatalf("received %.10q, want %q", got, want)
			}
		}
		<-sent
	})
}

// Protects: senders that do not wait, and whoever holds the memory: when the
// peer does not read they do wait, and what was taken over is counted.
func TestSentSoonIsBounded(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine, PingInterval: -1, WriteTimeout: -1}
		p, client, server := pair(t, opts, opts)
		const size = 1000
		ctx := context.WithoutCancel(t.Context())
		for range 20 {
			if err := client.Send(ctx, numbered(7, size)); err != nil {
				t.Fatal(err)
			}
			if _, err := server.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		link := p.link()
		link.SetBuffer(transporttest.ToServer, 4<<10)
		link.Stall(transporttest.ToServer)
		sent, stuck := 0, make(chan error, 1)
		go func() {
			for {
				if err := client.Send(ctx, numbered(7, size)); err != nil {
					stuck <- err
					return
				}
				sent++
			}
		}()
		synctest.Wait()
		b := client.Backlog()
		if b.SendBytes < 32<<10 || b.SendBytes > 64<<10+size || b.SendMessages != int(b.SendBytes/size) {
			t.Errorf("after %d messages the backlog is %+v", sent, b)
		}
		cause := errors.New("the cause")
		client.Abort(cause)
		is(t, "Send", <-stuck, cause)
		closeAll(t, server)
	})
}

// Protects: the truth about a message that was taken over and not written: the
// next call and the end of the connection tell of the loss.
func TestSentSoonTellsLater(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine}
		p, client, _ := pair(t, opts, opts)
		ctx := context.WithoutCancel(t.Context())
		for range 20 {
			if err := client.Send(ctx, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		p.link().Cut(nil)
		start := time.Now()
		var err error
		for err == nil {
			err = client.Send(ctx, []byte("x"))
		}
		within(t, "the error", start, 2*time.Second)
		closedWith(t, "Send", err, transport.StatusAbnormal, false)
		closedWith(t, "WaitClosed", client.WaitClosed(ctx), transport.StatusAbnormal, false)
	})
}

// Protects: the time limit of a sender. It holds also when messages are taken
// over, and while it is not clear yet why the network takes nothing more.
func TestSentSoonInTime(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		p := newPlace(t, nil)
		conns := p.rawServer(t, "raw:80")
		client := p.client(&websocket.Options{Engine: engine, PingInterval: -1})
		if err := client.Connect(t.Context(), "ws://raw/"); err != nil {
			t.Fatal(err)
		}
		raw := <-conns
		for range 20 {
			if err := client.Send(t.Context(), []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		p.link().SetDelay(transporttest.ToClient, time.Minute)
		raw.send(rawFrame{fin: true, opcode: opPing})
		p.link().Cut(nil)
		lost := time.Now()
		err := client.Send(t.Context(), []byte("x"))
		for err == nil || errors.Is(err, context.DeadlineExceeded) {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			err = client.Send(ctx, []byte("x"))
			cancel()
			within(t, "Send", start, 100*time.Millisecond)
		}
		closedWith(t, "Send", err, transport.StatusAbnormal, false)
		within(t, "the error", lost, 2*time.Second)
		closeAll(t, client)
	})
}

// Protects: whoever holds the memory, once more: what was taken over does not
// outlive the connection, and a peer that does not read it is found.
func TestSentSoonEnds(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		for name, end := range map[string]func(*websocket.Transport) error{
			"abort": func(client *websocket.Transport) error {
				client.Abort(io.ErrNoProgress)
				return io.ErrNoProgress
			},
			"close":   func(client *websocket.Transport) error { return client.Close() },
			"timeout": func(*websocket.Transport) error { return transport.ErrWriteTimeout },
		} {
			opts := &websocket.Options{Engine: engine, PingInterval: -1, WriteTimeout: 5 * time.Second}
			p, client, server := pair(t, opts, opts)
			for range 20 {
				if err := client.Send(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			p.link().SetBuffer(transporttest.ToServer, 1<<10)
			p.link().Stall(transporttest.ToServer)
			start := time.Now()
			for range 60 {
				if err := client.Send(t.Context(), make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if b := client.Backlog(); b.SendMessages == 0 {
				t.Errorf("%s: nothing waits", name)
			}
			if why, err := end(client), client.WaitClosed(t.Context()); why == nil && err != nil {
				t.Errorf("%s: %v", name, err)
			} else if why != nil {
				is(t, name, err, why)
			}
			within(t, name, start, 10*time.Second)
			if b := client.Backlog(); b.SendMessages != 0 || b.SendBytes != 0 {
				t.Errorf("%s: afterwards the backlog is %+v", name, b)
			}
			p.link().Cut(nil)
			closeAll(t, server)
		}
	})
}

// Protects: the other calls, when the write of messages that were taken over
// has failed and nobody sends any more.
func TestSentSoonFailsAll(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine, PingInterval: -1}
		p, client, server := pair(t, opts, opts)
		for range 20 {
			if err := client.Send(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		p.link().SetDelay(transporttest.ToClient, time.Minute)
		if err := server.Send(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		p.link().Cut(nil)
		start := time.Now()
		if err := client.Send(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		closedWith(t, "WaitClosed", client.WaitClosed(t.Context()), transport.StatusAbnormal, false)
		within(t, "the end", start, 2*time.Second)
	})
}

// Protects: senders from a peer that does not read, however the message is
// written: large or small, by a server or a client, waited for or not.
func TestWriteTimeoutOfAll(t *testing.T) {
	for _, size := range []int{1000, 10_000, 60_000, 200_000} {
		eachEngine(t, func(t *testing.T, engine websocket.Engine) {
			opts := &websocket.Options{Engine: engine, PingInterval: -1, WriteTimeout: 5 * time.Second}
			p, client, server := pair(t, opts, opts)
			for _, d := range transporttest.Directions {
				p.link().SetBuffer(d, 1<<10)
				p.link().Stall(d)
			}
			start := time.Now()
			for _, side := range []*websocket.Transport{client, server} {
				go func() {
					for side.Send(context.WithoutCancel(t.Context()), make([]byte, size)) == nil {
					}
				}()
			}
			for _, side := range []*websocket.Transport{client, server} {
				is(t, "WaitClosed", side.WaitClosed(t.Context()), transport.ErrWriteTimeout)
			}
			// When one side has gone the other one's write may go on a little.
			within(t, "the end", start, 11*time.Second)
		})
	}
}
