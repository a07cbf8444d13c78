package websocket

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/aip-go/aip/internal/watchdog"
	"github.com/aip-go/aip/transport"
)

// maxControl is how many bytes may wait before pongs are no longer added: a peer
// that pings and does not read gets no more of them.
const maxControl = 4 * maxFragment

// errCloseSent is a message that comes after the close frame.
var errCloseSent = errors.New("websocket: a close frame was sent before")

// gate is the byte stream between an engine and the network. What the engine
// writes is collected, whole frame by whole frame, with the frames that this
// package makes itself, and written to the network by flush, so that
//
//   - the engine never waits for the network: pongs cost it no time, and its
//     own time limits never strike;
//   - exactly one close frame is sent and nothing after it: what follows the
//     first one is dropped, and this side's own is put between two frames of
//     whatever message is being sent;
//   - what several senders wrote goes out in one piece.
//
// Where messages are compressed an engine reads from the network; a client's
// gate then looks for masked frames, which the engines do not mind. Else a
// [frameReader] does, and there is no engine. Any byte that arrives is a sign of
// life.
type gate struct {
	conn   io.ReadWriteCloser
	client bool
	seen   *atomic.Bool       // set when bytes arrive
	more   *atomic.Bool       // more has arrived than the latest message
	watch  *watchdog.Watchdog // over the writes
	// spawn starts a goroutine that somebody waits for, unless it is too late
	// for that.
	spawn func(func()) bool
	// failed is told the error of a write.
	failed func(error)
	// nowait writes to the network without waiting; nil where that is not
	// possible.
	nowait *nowait
	// flushing is held by whoever writes to the network.
	flushing chan struct{}
	dead     chan struct{} // closed by kill
	// fragment is the most of a message that goes into one frame at present; 0
	// for maxFragment.
	fragment atomic.Int64
	// interrupted: a deadline interrupts the reading, which can go on after it.
	interrupted atomic.Bool

	// Of Read, which one goroutine calls.
	framed  bool        // there is no engine, and somebody else reads
	arrived frameParser // unless it is framed
	masked  bool        // a masked frame arrived

	mu      sync.Mutex // held for moments only
	frames  frameParser
	buffer  *buffer // what was not written yet; nil when there is nothing
	whole   int     // the bytes of the buffer that are whole frames
	closing bool    // a close frame is in the buffer or was written
	dropped bool    // data was dropped because of that
	// soon counts the messages of writeSoon in the buffer, underway those that
	// are being written.
	soon, underway load
	kicked         bool // a goroutine was started that has yet to take what it is to write
	postponed      postponed
	killed         bool
	readErr        error // the first error of the network
	sendErr        error
}

// load is a number of messages and their bytes.
type load struct {
	messages int
	bytes    int64
}

// newGate returns a gate to the network. The fields seen, more, watch, spawn and
// failed must be set before anything is written or read.
func newGate(conn io.ReadWriteCloser, client bool) *gate {
	return &gate{conn: conn, client: client, flushing: make(chan struct{}, 1), dead: make(chan struct{})}
}

// errEnded is the end of what the network delivers, as the engine gets it. The
// engines take io.EOF for the end of a message, also between two of its frames,
// and io.ErrUnexpectedEOF in the last one if it is compressed.
var errEnded = errors.New("websocket: the network connection has ended")

// Read is the engine's: it reads from the network.
func (g *gate) Read(p []byte) (int, error) {
	if g.masked {
		return 0, errMasked
	}
	n, err := g.receive(p)
	if g.client {
		if ok := g.unmasked(p[:n]); ok < n {
			g.masked = true
			return ok, errMasked
		}
	}
	return n, err
}

// receive reads from the network.
func (g *gate) receive(p []byte) (int, error) {
	n, err := g.conn.Read(p)
	if n > 0 && !g.seen.Load() {
		g.seen.Store(true)
	}
	if err != nil && g.interrupted.Load() && timedOut(err) {
		return n, errInterrupted
	}
	if err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.readErr == nil {
			g.readErr = err
		}
		err = errEnded
	}
	return n, err
}

// timedOut reports whether an error of the network is an expired deadline. Not all
// that carry bytes have that of the operating system.
func timedOut(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// unmasked returns how many of the bytes come before the first masked frame.
func (g *gate) unmasked(b []byte) int {
	for at := 0; at < len(b); {
		n, _ := g.arrived.next(b[at:])
		if g.arrived.isMasked() {
			return at
		}
		at += n
	}
	return len(b)
}

// Write takes over what the engine writes. Data is sent by the next flush,
// control frames are sent without one. It only fails after kill: an engine
// that meets an error stops reading as well.
func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.killed {
		return 0, net.ErrClosed
	}
	for rest := p; len(rest) > 0; {
		n, end := g.frames.next(rest)
		g.addSome(rest[:n], end)
		rest = rest[n:]
	}
	return len(p), nil
}

// addSome adds bytes of a frame of the engine's, the last ones if end is set, to
// the buffer.
func (g *gate) addSome(some []byte, end bool) {
	control := g.frames.isControl()
	if g.closing || g.sendErr != nil {
		g.dropped = g.dropped || !control
		return
	}
	if g.buffer == nil {
		g.buffer = getBuffer()
	}
	g.buffer.b = append(g.buffer.b, some...)
	if !end {
		return
	}
	if g.frames.opcode() == opPong && g.whole > maxControl {
		g.buffer.b = g.buffer.b[:g.whole]
		return
	}
	g.whole = len(g.buffer.b)
	g.closing = g.frames.opcode() == opClose
	if control {
		g.kick()
	}
}

// kick has the buffer flushed by a goroutine, unless one waits to do so.
func (g *gate) kick() {
	if !g.kicked {
		g.kicked = g.spawn(g.flushSoon)
	}
}

// writeClose puts a close frame after the last whole frame, unless there was
// one before; the frame that is not whole yet is dropped.
func (g *gate) writeClose(code transport.StatusCode, reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing || g.killed || g.sendErr != nil {
		return
	}
	if g.buffer == nil {
		g.buffer = getBuffer()
	}
	g.dropped = len(g.buffer.b) > g.whole
	g.buffer.b = appendClose(g.buffer.b[:g.whole], g.client, code, reason)
	g.whole = len(g.buffer.b)
	g.closing = true
	g.kick()
}
