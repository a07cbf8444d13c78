package websocket

import (
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/aip-go/aip/internal/watchdog"
	"github.com/aip-go/aip/transport"
)

// Protects: pings and pongs behind messages: that the network took small ones at
// once does not tell that it is fast.
func TestSmallMessagesDoNotMakeLargeFragments(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	g := newGate(near, false)
	g.framed, g.seen, g.watch = true, new(atomic.Bool), watchdog.New(0, nil)
	g.failed = func(error) {}
	g.spawn = func(f func()) bool { go f(); return true }
	c := &conn{gate: g}
	for range 100 {
		e := &entry{alone: true, frames: []transport.Frame{{Kind: transport.Binary, Data: make([]byte, direct)}}}
		if err := c.writeFrames(e); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.fragments.size(); n != maxFragment {
		t.Errorf("after 100 messages of %d bytes a fragment has up to %d", direct, n)
	}
	g.kill()
}
