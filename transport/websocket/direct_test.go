package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// received is what a Receive returned.
type received struct {
	data []byte
	err  error
}

// receiving starts a Receive, and returns when it waits.
func receiving(ctx context.Context, at transport.Transport) <-chan received {
	got := make(chan received, 1)
	go func() {
		data, err := at.Receive(ctx)
		got <- received{data, err}
	}()
	synctest.Wait()
	return got
}

// direct returns a connection, and the raw client of it, of which a receive
// reads from the network, if one waits.
func direct(t *testing.T) (*websocket.Transport, *rawConn) {
	t.Helper()
	p := newPlace(t, nil)
	raw := p.rawClient(t)
	accepted, err := p.accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := accepted.(*websocket.Transport)
	t.Cleanup(func() { at.Abort(nil) })
	for range 1000 { // The reader stays if it is slower than a receive.
		got := receiving(t.Context(), at)
		itself := at.ReadsItself()
		raw.send(rawFrame{true, opText, []byte("first")})
		if r := <-got; string(r.data) != "first" {
			t.Fatalf("Receive: %q, %v", r.data, r.err)
		}
		if itself {
			return at, raw
		}
	}
	t.Fatal("no receive reads from the network")
	return nil, nil
}

// readsItself fails the test unless a receive reads from the network.
func readsItself(t *testing.T, at *websocket.Transport) {
	t.Helper()
	if !at.ReadsItself() {
		t.Error("the receive does not read from the network")
	}
}

// Protects: the bytes that a receive has read when its context ends, wherever
// they end, with a ping before the message, in small and in larger ones.
func TestReceiveInterruptedAtEveryByte(t *testing.T) {
	for _, size := range []int{5, 200, 3000} {
		message := bytes.Repeat([]byte("m"), size)
		wire := append(rawFrame{true, opPing, []byte("p")}.bytes(true), rawFrame{true, opText, message}.bytes(true)...)
		for cut := 0; cut < len(wire); cut += 1 + cut/50 {
			synctest.Test(t, func(t *testing.T) {
				at, raw := direct(t)
				ctx, cancel := context.WithCancel(t.Context())
				got := receiving(ctx, at)
				readsItself(t, at)
				raw.write(wire[:cut])
				synctest.Wait()
				cancel()
				if r := <-got; !errors.Is(r.err, context.Canceled) {
					t.Fatalf("after %d bytes: %q, %v", cut, r.data, r.err)
				}
				got = receiving(t.Context(), at)
				raw.write(wire[cut:])
				if r := <-got; !bytes.Equal(r.data, message) {
					t.Fatalf("after %d bytes: %d bytes, %v", cut, len(r.data), r.err)
				}
				if f := raw.next(); f.opcode != opPong {
					t.Errorf("after %d bytes: opcode %d, want a pong", cut, f.opcode)
				}
				usableRaw(t, at, raw)
			})
		}
	}
}

// usableRaw checks that messages pass both ways.
func usableRaw(t *testing.T, at *websocket.Transport, raw *rawConn) {
	t.Helper()
	for range 2 {
		got := receiving(t.Context(), at)
		raw.send(rawFrame{true, opText, []byte("there?")})
		if r := <-got; string(r.data) != "there?" {
			t.Fatalf("Receive: %q, %v", r.data, r.err)
		}
	}
	if err := at.Send(t.Context(), []byte("yes")); err != nil {
		t.Fatal(err)
	}
	if f := raw.next(); string(f.payload) != "yes" {
		t.Fatalf("the raw side got %q", f.payload)
	}
}

// Protects: the order of messages of all kinds, some for a receive that reads
// itself, some for the reader.
func TestReceiveTakesTurnsWithTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, raw := direct(t)
		sizes := []int{1, 900, 1100, 16 << 10, 16<<10 + 1, 3, 70_000, 0, 300_000, 12}
		const rounds = 20
		go func() {
			for range rounds {
				for i, size := range sizes {
					payload := bytes.Repeat([]byte{byte('a' + i)}, size)
					if i%3 != 2 || size < 2 {
						raw.send(rawFrame{true, opText, payload})
						continue
					}
					raw.send(rawFrame{false, opText, payload[:size/2]}, rawFrame{true, opPing, nil}, rawFrame{true, opContinuation, payload[size/2:]})
				}
			}
		}()
		for range rounds {
			for i, size := range sizes {
				got := receiving(t.Context(), at)
				if r := <-got; r.err != nil || !bytes.Equal(r.data, bytes.Repeat([]byte{byte('a' + i)}, size)) {
					t.Fatalf("message %d: %d bytes, %v", i, len(r.data), r.err)
				}
				if i == 5 {
					time.Sleep(10 * time.Millisecond) // The reader takes over.
				}
			}
		}
	})
}

// Protects: the refusal of a message that is too large, before it has arrived.
func TestReceiveRefusesByTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, raw := direct(t)
		at.SetReadLimit(100)
		got := receiving(t.Context(), at)
		readsItself(t, at)
		raw.write(rawFrame{true, opText, make([]byte, 101)}.bytes(true)[:50])
		select {
		case r := <-got:
			is(t, "Receive", r.err, transport.ErrMessageTooLarge)
		case <-time.After(time.Minute):
			t.Error("the rest is waited for")
		}
	})
}

// Protects: the limit at which a message began, for whoever goes on with it.
func TestReadLimitOfInterruptedMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, raw := direct(t)
		ctx, cancel := context.WithCancel(t.Context())
		got := receiving(ctx, at)
		readsItself(t, at)
		wire := rawFrame{true, opText, bytes.Repeat([]byte("m"), 200)}.bytes(true)
		raw.write(wire[:50])
		synctest.Wait()
		at.SetReadLimit(100)
		cancel()
		<-got
		got = receiving(t.Context(), at)
		raw.write(wire[50:])
		if r := <-got; len(r.data) != 200 {
			t.Errorf("Receive: %d bytes, %v", len(r.data), r.err)
		}
		got = receiving(t.Context(), at)
		raw.send(rawFrame{true, opText, make([]byte, 101)})
		is(t, "Receive", (<-got).err, transport.ErrMessageTooLarge)
	})
}

// Protects: control frames while the program takes its time with a message.
func TestPingBetweenReceives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, raw := direct(t)
		for range 3 {
			raw.send(rawFrame{true, opPing, []byte("p")})
			began := time.Now()
			if f := raw.next(); f.opcode != opPong {
				t.Errorf("opcode %d, want a pong", f.opcode)
			}
			within(t, "the pong", began, 2*time.Millisecond)
			usableRaw(t, at, raw)
		}
	})
}

// Protects: the round trip of a ping directly after a receive, when nobody reads.
func TestPingAfterReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, raw := direct(t)
		go func() {
			f := raw.next()
			raw.send(rawFrame{true, opPong, f.payload})
		}()
		began := time.Now()
		if err := at.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		within(t, "the round trip", began, 0)
	})
}

// Protects: the end of the connection while a receive reads, between receives,
// and its context.
func TestEndWhileAReceiveReads(t *testing.T) {
	ends := map[string]func(*websocket.Transport, *rawConn){
		"close":       func(at *websocket.Transport, raw *rawConn) { raw.send(closeFrame(1000, "")); _ = at.Close() },
		"abort":       func(at *websocket.Transport, _ *rawConn) { at.Abort(nil) },
		"peer closes": func(_ *websocket.Transport, raw *rawConn) { raw.send(closeFrame(1001, "bye")) },
		"cut":         func(_ *websocket.Transport, raw *rawConn) { _ = raw.Close() },
	}
	for name, end := range ends {
		for _, waits := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					at, raw := direct(t)
					var got <-chan received
					if waits {
						got = receiving(t.Context(), at)
						readsItself(t, at)
					}
					began := time.Now()
					end(at, raw)
					if !waits {
						got = receiving(t.Context(), at)
					}
					var cause *transport.CloseError
					if r := <-got; !errors.As(r.err, &cause) {
						t.Errorf("Receive: %q, %v", r.data, r.err)
					}
					_ = at.WaitClosed(t.Context()) // It returns.
					within(t, "the end", began, 3*time.Millisecond)
				})
			})
		}
	}
}

// Protects: Close, of a peer that answers, while a receive reads.
func TestCloseHandshakeWhileAReceiveReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, server := pair(t, nil, nil)
		usable(t, client, server)
		usable(t, client, server)
		a, b := receiving(t.Context(), client), receiving(t.Context(), server)
		began := time.Now()
		if err := client.CloseWith(transport.StatusNormal, "enough"); err != nil {
			t.Errorf("CloseWith: %v", err)
		}
		closedWith(t, "the client's Receive", (<-a).err, transport.StatusNormal, false)
		closedWith(t, "the server's Receive", (<-b).err, transport.StatusNormal, true)
		within(t, "the close", began, 2*time.Millisecond)
	})
}

// Protects: what was read together with the message before, when nobody has read
// since then and this side closes.
func TestCloseKeepsWhatWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, raw := direct(t)
		got := receiving(t.Context(), at)
		readsItself(t, at)
		var wire []byte
		for _, text := range []string{"one", "two", "three"} {
			wire = append(wire, rawFrame{true, opText, []byte(text)}.bytes(true)...)
		}
		raw.write(append(wire, rawFrame{true, opText, []byte("four")}.bytes(true)[:7]...))
		if r := <-got; string(r.data) != "one" {
			t.Fatalf("Receive: %q, %v", r.data, r.err)
		}
		synctest.Wait()
		go func() {
			raw.next()
			raw.write(rawFrame{true, opText, []byte("four")}.bytes(true)[7:])
			raw.send(closeFrame(1000, ""))
		}()
		closeAll(t, at)
		for _, text := range []string{"two", "three"} {
			if data, err := at.Receive(t.Context()); string(data) != text {
				t.Errorf("Receive after Close: %q, %v; want %q", data, err, text)
			}
		}
		_, err := at.Receive(t.Context())
		closedWith(t, "Receive", err, transport.StatusNormal, false)
	})
}

// Protects: contexts that end at the same moment as messages arrive: nothing is
// lost, and nothing comes twice.
func TestReceiveRacesWithItsContext(t *testing.T) {
	ctx := t.Context()
	client, server := overTCP(t, nil)
	const count = 3000
	sent := make(chan error, 1)
	go func() {
		for i := range count {
			if err := client.Send(ctx, []byte(strconv.Itoa(i))); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	interrupted := 0
	for i, tries := 0, 0; i < count; tries++ {
		short, cancel := context.WithTimeout(ctx, time.Duration(tries%40)*time.Microsecond)
		data, err := server.Receive(short)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			interrupted++
		case err != nil:
			t.Fatal(err)
		case string(data) != strconv.Itoa(i):
			t.Fatalf("got %q, want message %d", data, i)
		default:
			i++
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if interrupted == 0 {
		t.Error("no receive was interrupted")
	}
}

// strange is a context of a type that nobody knows, with an end of its own.
type strange struct {
	context.Context
	done chan struct{}
	kept atomic.Int32 // how many functions wait for the end
}

func (f *strange) Done() <-chan struct{} { return f.done }

// AfterFunc is what package context looks for.
func (f *strange) AfterFunc(do func()) (stop func() bool) {
	f.kept.Add(1)
	inner := context.AfterFunc(f.Context, do)
	return func() bool {
		f.kept.Add(-1)
		return inner()
	}
}

// Protects: contexts of foreign types, such as those that are used for one
// request after the other. Nothing waits for their end when the receive is over,
// and it interrupts a receive nevertheless.
func TestReceiveLetsGoOfForeignContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, raw := direct(t)
		ctx, cancel := context.WithCancel(t.Context())
		f := &strange{Context: ctx, done: make(chan struct{})}
		context.AfterFunc(ctx, func() { close(f.done) })
		for range 3 {
			got := receiving(f, at)
			readsItself(t, at)
			if f.kept.Load() == 0 {
				t.Error("the end of the context is not waited for")
			}
			raw.send(rawFrame{true, opText, []byte("more")})
			if r := <-got; string(r.data) != "more" {
				t.Fatalf("Receive: %q, %v", r.data, r.err)
			}
			synctest.Wait()
			if n := f.kept.Load(); n > 0 {
				t.Errorf("%d functions wait for the end of the context", n)
			}
		}
		got := receiving(f, at)
		cancel()
		if r := <-got; !errors.Is(r.err, context.Canceled) {
			t.Errorf("Receive: %q, %v", r.data, r.err)
		}
	})
}
