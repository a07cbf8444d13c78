package websocket_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
	"github.com/aip-go/aip/transport/websocket"
)

// Protects: a program that takes its time. Pings are answered meanwhile, and
// messages arrive.
func TestBusyHandlerStaysAlive(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine, PingInterval: 20 * time.Second, PingTimeout: 20 * time.Second}
		_, client, server := pair(t, opts, opts)
		if err := server.Send(t.Context(), []byte("take your time")); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The handler of that message works for ten minutes.
		for i := range 10 {
			<-time.After(time.Minute)
			if err := server.Ping(t.Context()); err != nil {
				t.Fatalf("Ping after %d minutes: %v", i+1, err)
			}
			if err := server.Send(t.Context(), []byte("waiting")); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			if _, err := client.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		usable(t, client, server)
	})
}

// Protects: a program that does not take what was received. Its queue is
// bounded, the peer waits, and the program's own slowness is not taken for the
// peer's death.
func TestFullReceiveQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full []transport.Backlog
		opts := &websocket.Options{
			ReceiveQueueMessages: 10, PingInterval: 20 * time.Second, PingTimeout: 20 * time.Second,
			Hooks: websocket.Hooks{ReceiveQueueFull: func(b transport.Backlog) { full = append(full, b) }},
		}
		p, client, server := pair(t, opts, &websocket.Options{PingInterval: -1, WriteTimeout: -1})
		p.link().SetBuffer(transporttest.ToClient, 1000)
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range 100 {
				if err := server.Send(t.Context(), []byte(fmt.Sprintf("%0100d", i))); err != nil {
					t.Errorf("Send: %v", err)
				}
			}
		})
		<-time.After(10 * time.Minute)
		if b := client.Backlog(); b.ReceiveMessages != 10 || b.ReceiveBytes != 1000 {
			t.Errorf("Backlog: %+v", b)
		}
		if len(full) != 1 || full[0].ReceiveMessages != 10 {
			t.Errorf("the hook was told %+v", full)
		}
		for i := range 100 {
			got, err := client.Receive(t.Context())
			if err != nil || string(got) != fmt.Sprintf("%0100d", i) {
				t.Fatalf("message %d: %q, %v", i, got, err)
			}
		}
		wg.Wait()
		usable(t, client, server)
	})
}

// Protects: the detection of a peer that has vanished without a word.
func TestHalfOpenIsFound(t *testing.T) {
	for _, direction := range [][]transporttest.Direction{{transporttest.ToServer}, {transporttest.ToClient}, transporttest.Directions} {
		t.Run(fmt.Sprint(direction), func(t *testing.T) {
			eachEngine(t, func(t *testing.T, engine websocket.Engine) {
				opts := &websocket.Options{Engine: engine, PingInterval: 30 * time.Second, PingTimeout: 10 * time.Second}
				p, client, server := pair(t, opts, opts)
				<-time.After(45 * time.Second)
				for _, d := range direction {
					p.link().BlackHole(d)
				}
				start := time.Now()
				for _, side := range []*websocket.Transport{client, server} {
					_, err := side.Receive(t.Context())
					within(t, "the detection", start, 40*time.Second)
					is(t, "Receive", err, io.ErrUnexpectedEOF)
					if side.State() != transport.Failed {
						t.Errorf("the state is %s", side.State())
					}
				}
				first, second := client.WaitClosed(t.Context()), server.WaitClosed(t.Context())
				is(t, "WaitClosed of both sides", fmt.Errorf("%w, %w", first, second), transport.ErrPingTimeout)
				closedWith(t, "WaitClosed", first, transport.StatusAbnormal, false)
			})
		})
	}
}

// Protects: connections behind proxies that drop what is idle for a minute.
func TestIdleProxy(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		p, client, server := pair(t, &websocket.Options{Engine: engine}, &websocket.Options{Engine: engine, PingInterval: -1})
		link := p.link()
		ctx, cancel := context.WithCancel(t.Context())
		var proxy sync.WaitGroup
		proxy.Go(func() {
			for ctx.Err() == nil {
				seen := [2]int64{link.Read(transporttest.ToServer), link.Read(transporttest.ToClient)}
				select {
				case <-time.After(time.Minute):
				case <-ctx.Done():
					return
				}
				if seen[0] == link.Read(transporttest.ToServer) || seen[1] == link.Read(transporttest.ToClient) {
					link.Cut(nil)
				}
			}
		})
		<-time.After(time.Hour)
		cancel()
		proxy.Wait()
		usable(t, client, server)
	})
}

// Protects: the times of the pings: jitter makes the intervals shorter only,
// and differently for each connection.
func TestPingJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const interval = 20 * time.Second
		intervals := make(map[time.Duration]bool)
		for range 20 {
			p := newPlace(t, nil)
			conns := p.rawServer(t, "raw:80")
			client := p.client(&websocket.Options{PingInterval: interval, PingTimeout: -1})
			if err := client.Connect(t.Context(), "ws://raw/"); err != nil {
				t.Fatal(err)
			}
			raw := <-conns
			last := time.Now()
			for range 5 {
				if f := raw.next(); f.opcode != opPing {
					t.Fatalf("got opcode %x", f.opcode)
				}
				took := time.Since(last)
				last = time.Now()
				if took > interval || took < interval*9/10 {
					t.Errorf("a ping after %v", took)
				}
				intervals[took] = true
			}
			client.Abort(nil)
		}
		if len(intervals) < 90 {
			t.Errorf("%d different intervals of 100", len(intervals))
		}
	})
}

// Protects: peers that are alive though they do not answer pings, and large
// messages that are still on their way: any byte is a sign of life.
func TestAnyByteIsLife(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		p := newPlace(t, &websocket.Options{Engine: engine, PingInterval: 10 * time.Second, PingTimeout: 10 * time.Second})
		client := p.rawClient(t)
		server, err := p.accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		frame := rawFrame{fin: true, opcode: opText, payload: make([]byte, 60)}.bytes(true)
		for _, b := range frame {
			client.write([]byte{b})
			<-time.After(9 * time.Second)
		}
		got, err := server.Receive(t.Context())
		if err != nil || len(got) != 60 {
			t.Fatalf("Receive: %q, %v", got, err)
		}
		_, err = server.Receive(t.Context())
		is(t, "Receive from a silent peer", err, transport.ErrPingTimeout)
	})
}

// Protects: peers' pings, in mid-message as well, and several of them.
func TestPingsAreAnswered(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		p := newPlace(t, &websocket.Options{Engine: engine, PingInterval: -1})
		client := p.rawClient(t)
		server, err := p.accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ping := func(content string) rawFrame {
			return rawFrame{fin: true, opcode: opPing, payload: []byte(content)}
		}
		client.send(ping("one"), rawFrame{opcode: opText, payload: []byte("he")}, ping("two"), ping(""),
			rawFrame{fin: true, payload: []byte("llo")})
		for _, want := range []string{"one", "two", ""} {
			if f := client.next(); f.opcode != opPong || string(f.payload) != want {
				t.Errorf("the answer to %q is %x %q", want, f.opcode, f.payload)
			}
		}
		if got, err := server.Receive(t.Context()); err != nil || string(got) != "hello" {
			t.Errorf("Receive: %q, %v", got, err)
		}
		closeRaw(t, client, server)
	})
}

// Protects: peers' pings, and memory, while many messages are sent that stay
// together.
func TestPingsAreAnsweredBetweenFrames(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		p := newPlace(t, &websocket.Options{Engine: engine, PingInterval: -1})
		client := p.rawClient(t)
		accepted, err := p.accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		server := accepted.(*websocket.Transport)
		p.link().Stall(transporttest.ToClient)
		frames := make([]transport.Frame, 100)
		for i := range frames {
			frames[i] = transport.Frame{Kind: transport.Binary, Data: make([]byte, 60<<10)}
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := server.SendFrames(t.Context(), frames...); err != nil {
				t.Errorf("SendFrames: %v", err)
			}
		})
		synctest.Wait()
		client.send(rawFrame{fin: true, opcode: opPing})
		synctest.Wait()
		p.link().Resume(transporttest.ToClient)
		pongAt := -1
		for got := 0; got < len(frames); {
			if f := client.next(); f.opcode == opBinary {
				got++
			} else {
				pongAt = got
			}
		}
		if pongAt < 0 || pongAt > 8 {
			t.Errorf("the answer came after %d messages", pongAt)
		}
		wg.Wait()
		closeRaw(t, client, server)
	})
}

// closeRaw closes a transport whose peer is raw.
func closeRaw(t testing.TB, raw *rawConn, at transport.Transport) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() { closeAll(t, at) })
	for {
		if f := raw.next(); f.opcode == opClose {
			raw.send(f)
			break
		}
	}
	wg.Wait()
}

// Protects: a peer that pings without end and reads nothing. What it is owed
// does not pile up.
func TestPingFloodIsBounded(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		p := newPlace(t, &websocket.Options{Engine: engine, PingInterval: -1, WriteTimeout: time.Minute})
		client := p.rawClient(t)
		server, err := p.accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.link().Stall(transporttest.ToClient)
		flood := rawFrame{fin: true, opcode: opPing, payload: make([]byte, 125)}.bytes(true)
		for range 10_000 {
			client.write(flood)
		}
		synctest.Wait()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range 10_000 {
			client.write(flood)
		}
		synctest.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
			t.Errorf("the heap grew by %d bytes", grown)
		}
		is(t, "WaitClosed", server.WaitClosed(t.Context()), transport.ErrWriteTimeout)
	})
}

// Protects: Ping, whose context bounds the call and nothing else.
func TestPingContext(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine, PingInterval: -1, PingTimeout: 10 * time.Second}
		p, client, server := pair(t, opts, opts)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range 200 {
			is(t, "Ping", client.Ping(ended), context.Canceled)
		}
		p.link().Stall(transporttest.ToServer)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			is(t, "Ping", client.Ping(ctx), context.DeadlineExceeded)
			cancel()
		}
		is(t, "Ping without an answer", client.Ping(t.Context()), transport.ErrPingTimeout)
		p.link().Resume(transporttest.ToServer)
		if err := client.Ping(t.Context()); err != nil {
			t.Errorf("Ping: %v", err)
		}
		usable(t, client, server)
		closeAll(t, client)
		is(t, "Ping after Close", client.Ping(t.Context()), transport.ErrClosed)
	})
}

// Protects: the cost of an idle connection, in goroutines.
func TestIdleGoroutines(t *testing.T) {
	for name, most := range map[string]int{"nhooyr": 2, "coder": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := &websocket.Options{Engine: engines[name]}
				p := newPlace(t, opts)
				before := runtime.NumGoroutine()
				const n = 20
				var all []transport.Transport
				for range n {
					client := p.client(opts)
					if err := client.Connect(t.Context(), "ws://server/ws"); err != nil {
						t.Fatal(err)
					}
					server, err := p.accept(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, client, server)
				}
				<-time.After(10 * time.Minute)
				synctest.Wait()
				// The runtime may have started one of its own meanwhile.
				if each := (runtime.NumGoroutine() - before) / (2 * n); each > most {
					t.Errorf("an idle side has %v goroutines, more than %d", each, most)
				}
				var wg sync.WaitGroup
				for _, at := range all {
					wg.Go(func() { closeAll(t, at) })
				}
				wg.Wait()
			})
		})
	}
}
