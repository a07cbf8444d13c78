package websocket

import (
	"slices"
	"sync"

	"github.com/aip-go/aip/transport"
)

// entry is what a sender wants sent: messages that stay together or, without
// any, the turn to write by itself.
type entry struct {
	size int64 // of all messages, in bytes
	// alone: the sender waits and leaves its bytes in peace.
	alone bool
	// done gets one signal: the messages are sent or failed with err, or it is
	// the sender's turn. It is sent with the outbox locked.
	done chan struct{}
	err  error
	// begun: it has or had the turn. Guarded by the outbox until the signal.
	begun bool
	// left: the sender does not wait any more. Guarded by the outbox.
	left bool
	next *entry

	mu        sync.Mutex // over the bytes, which the sender may take away
	frames    []transport.Frame
	one       [1]transport.Frame
	continues bool // a piece of the first of the frames was taken
}

// pieceSize returns the size of the next piece of at most that size.
func (e *entry) pieceSize(most int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return min(len(e.frames[0].Data), most)
}

// writePiece writes the next piece of at most that size as a frame and returns
// how many bytes are to be flushed for it.
func (e *entry) writePiece(g *gate, most int) (unflushed int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := e.frames[0]
	n := min(len(f.Data), most)
	last := n == len(f.Data)
	first, p := firstByte(f.Kind, e.continues, last), f.Data[:n]
	hinted := !e.continues && len(f.Data) > maxBase
	if e.continues = !last; last {
		e.frames = e.frames[1:]
	} else {
		e.frames[0].Data = f.Data[n:]
	}
	switch {
	case hinted:
		g.writeHinted(len(f.Data), first, p)
		return n + maxHint + 2*maxHeader, nil
	case e.alone && !g.client && n >= direct:
		return 0, g.flushFrame(first, p)
	}
	g.writeFrame(first, p)
	return n + maxHeader, nil
}

// piece takes up to maxFragment bytes out of the first message and reports
// whether they are its last ones; then the message is gone. The bytes stay as
// they are until the next call, in scratch if the sender may leave.
func (e *entry) piece(scratch *buffer) (p []byte, last bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	data := e.frames[0].Data
	n := min(len(data), maxFragment)
	if last = n == len(data); last {
		e.frames = e.frames[1:]
	} else {
		e.frames[0].Data = data[n:]
	}
	if e.alone {
		return data[:n], last
	}
	scratch.b = append(scratch.b[:0], data[:n]...)
	return scratch.b, last
}

// keep copies what is left to be sent, so that the sender can leave with its
// bytes.
func (e *entry) keep() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.frames {
		e.frames[i].Data = slices.Clone(e.frames[i].Data)
	}
}

// maxSpare is how many entries a connection keeps for later.
const maxSpare = 4

// spares are entries without a use. Entries hold a channel and are therefore
// not shared between connections, which may live in different test bubbles.
type spares struct {
	first *entry
	n     int
}

// get returns an entry for the messages.
func (s *spares) get(frames []transport.Frame) *entry {
	e := s.first
	if e == nil {
		e = &entry{done: make(chan struct{}, 1)}
	} else {
		s.first, e.next = e.next, nil
		s.n--
	}
	e.frames = append(e.one[:0], frames...)
	for _, f := range frames {
		e.size += int64(len(f.Data))
	}
	return e
}

// put takes back an entry that nobody else knows.
func (s *spares) put(e *entry) {
	if s.n < maxSpare {
		e.size, e.alone, e.begun, e.err = 0, false, false, nil
		e.frames, e.one[0], e.continues = nil, transport.Frame{}, false
		e.next = s.first
		s.first = e
		s.n++
	}
}
