//go:build unix

package websocket

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aip-go/aip/internal/watchdog"
	"github.com/aip-go/aip/transport"
)

// socketGate returns a gate over a socket, and the peer's end.
func socketGate(t *testing.T, wg *sync.WaitGroup) (*gate, net.Conn) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	g := newGate(near, false)
	g.framed, g.nowait, g.seen, g.watch = true, newNowait(near), new(atomic.Bool), watchdog.New(0, nil)
	g.failed = func(error) {}
	g.spawn = func(f func()) bool { wg.Go(f); return true }
	return g, far
}

// Protects: the order and the wholeness of messages when the network takes a
// part of what is written without waiting, or nothing.
func TestTryFlushLeavesTheRest(t *testing.T) {
	var wg sync.WaitGroup
	g, far := socketGate(t, &wg)
	filler, filled := make([]byte, 64<<10), 0
	for n := len(filler); n == len(filler); filled += n {
		var err error
		if n, err = g.nowait.try(filler); err != nil {
			t.Fatal(err)
		}
	}
	var want []byte
	for i := range 3 {
		m := transport.Frame{Kind: transport.Binary, Data: bytes.Repeat([]byte{byte('a' + i)}, 1000)}
		want = appendFrame(want, false, firstByte(m.Kind, false, true), m.Data)
		taken, flush := g.writeSoon([]transport.Frame{m}, len(m.Data), true)
		if !taken || flush != (i == 0) {
			t.Fatalf("message %d: taken %v, to be flushed %v", i, taken, flush)
		}
		if flush {
			if err := g.tryFlush(); err != nil {
				t.Fatalf("tryFlush: %v", err)
			}
		}
		if n := g.waiting(); n.messages != i+1 {
			t.Errorf("%d messages wait, want %d", n.messages, i+1)
		}
	}
	if _, err := io.CopyN(io.Discard, far, int64(filled)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what followed is not what was written, or %v", err)
	}
	wg.Wait()
	if n := g.waiting(); n != (load{}) {
		t.Errorf("%+v wait in the end", n)
	}
}

// Protects: what was to be sent, and its error, when the network is gone.
func TestTryFlushFails(t *testing.T) {
	var wg sync.WaitGroup
	g, _ := socketGate(t, &wg)
	var failed error
	g.failed = func(err error) { failed = err }
	if err := g.conn.Close(); err != nil {
		t.Fatal(err)
	}
	m := []transport.Frame{{Kind: transport.Binary, Data: []byte("lost")}}
	if taken, flush := g.writeSoon(m, 4, true); !taken || !flush {
		t.Fatalf("taken %v, to be flushed %v", taken, flush)
	}
	if err := g.tryFlush(); err == nil || failed == nil {
		t.Errorf("tryFlush: %v; told of %v", err, failed)
	}
	if taken, _ := g.writeSoon(m, 4, true); taken {
		t.Error("taken after the network has failed")
	}
	wg.Wait()
}

// Protects: whoever wraps a connection of the operating system, and has to see
// what is written.
func TestNowaitIsForSocketsOnly(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if newNowait(near) != nil || newNowait(struct{ *net.TCPConn }{}) != nil {
		t.Error("a wrapped connection is written to beneath its wrapper")
	}
}
