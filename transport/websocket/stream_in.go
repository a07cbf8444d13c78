package websocket

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/aip-go/aip/transport"
)

// streamAhead is how many pieces of a message are received before anybody asks
// for them: 512 KiB.
const streamAhead = 512 << 10 / maxFragment

// inStream is a message that is received piece by piece. The reader puts the
// pieces in, a receive or an [inReader] takes them out.
type inStream struct {
	pieces chan *buffer
	ended  bool         // the last piece was taken out
	held   atomic.Int64 // bytes of the pieces
	// unwanted is closed when nobody wants the rest.
	unwanted chan struct{}
	// collecting: a receive waits for all of it, and need not be woken before.
	collecting atomic.Bool
	// size is that of the whole message, or what a hint says of it, or unknown.
	size int64
	// base, if not nil, is where the pieces are, one after the other, as long as
	// there is room: who wants all of them has them without a copy. It is the
	// reader's until the last piece is there.
	base     []byte
	lent     *buffer // what base is in, if that is to be given back
	lentSize int64   // of lent; it does not change
	// begun is what a receive took out and has not returned. Of a very large
	// message with a size whole has the bytes instead, sooner or later.
	begun     []*buffer
	begunSize int64
	whole     []byte
}

const (
	// unknown is the size of a message that has more than one frame.
	unknown = -1
	// maxBase is the largest base.
	maxBase = 1<<20 + maxFragment
)

// newInStream returns a stream for the reader. One that was collected is used
// again: it has two channels, as many bytes as many a message.
func (c *conn) newInStream(size int64) *inStream {
	s := c.spare.Swap(nil)
	if s == nil {
		s = &inStream{pieces: make(chan *buffer, streamAhead), unwanted: make(chan struct{})}
	}
	s.size = size
	return s
}

// beginLent is begin with a base that is to be given back.
func (s *inStream) beginLent(first *buffer, room int) *buffer {
	s.lent, s.lentSize = getLent(room), int64(room)
	s.base = append(s.lent.b, first.b...)
	first.free()
	return &buffer{b: s.base[:len(s.base):len(s.base)], part: true}
}

// begin makes a base that begins with the piece, and returns the piece in it.
// Nothing is done if the piece has the room already.
func (s *inStream) begin(first *buffer, room int) *buffer {
	if room <= len(first.b) {
		return first
	}
	s.base = append(make([]byte, 0, room), first.b...)
	first.free()
	return &buffer{b: s.base[:len(s.base):len(s.base)], part: true}
}

// room returns a buffer for the next piece, and filled is told what is in it.
func (s *inStream) room() *buffer {
	n := len(s.base)
	if n == cap(s.base) {
		return getBuffer()
	}
	return &buffer{b: s.base[n:n:min(cap(s.base), n+maxFragment)], part: true}
}

func (s *inStream) filled(piece *buffer) {
	if piece.part {
		s.base = s.base[:len(s.base)+len(piece.b)]
	}
}

// joined returns a piece together with the one before it that was kept, if there
// is one: both are in base.
func (s *inStream) joined(kept, piece *buffer) *buffer {
	if kept == nil {
		return piece
	}
	n := len(s.base)
	begin := n - len(piece.b) - len(kept.b)
	return &buffer{b: s.base[begin:n:n], part: true, last: piece.last}
}

// goesOn reports whether the next piece of the message will be in base, directly
// after this one.
func (s *inStream) goesOn(piece *buffer) bool {
	return piece.part && !piece.last && len(s.base) < cap(s.base)
}

// tryPut adds a piece if there is room. The stream is about to be cut off.
func (s *inStream) tryPut(piece *buffer) {
	s.held.Add(int64(len(piece.b)))
	select {
	case s.pieces <- piece:
	default:
	}
}

// put adds a piece, and waits for room before that. It reports false when the
// stream wants no more.
func (s *inStream) put(c *conn, piece *buffer) bool {
	s.held.Add(int64(len(piece.b)))
	select {
	case s.pieces <- piece:
		return true
	default:
	}
	c.held.Store(true)
	defer c.held.Store(false)
	select {
	case s.pieces <- piece:
		return true
	case <-s.unwanted:
	case <-c.ending:
	}
	return false
}

// errIncomplete is a message that the end of the connection cut off, and
// errStopped a wait for more of one that was given up.
var (
	errIncomplete = errors.New("websocket: the message is incomplete")
	errStopped    = errors.New("websocket: stopped waiting for more of the message")
)

// take waits for the next piece and takes it out. It returns io.EOF after the
// last one, errIncomplete when the connection ended before that, and errStopped
// when stop was closed first.
func (s *inStream) take(c *conn, stop <-chan struct{}) (*buffer, error) {
	if s.ended {
		return nil, io.EOF
	}
	var piece *buffer
	select {
	case piece = <-s.pieces:
	case <-stop:
		return nil, errStopped
	case <-c.ending:
		select {
		case piece = <-s.pieces:
		default:
			return nil, errIncomplete
		}
	}
	s.ended = piece.last
	s.held.Add(-int64(len(piece.b)))
	return piece, nil
}

// forget gives up what is left. It is called once.
func (s *inStream) forget() {
	close(s.unwanted)
	for _, p := range s.begun {
		p.free()
	}
	s.begun, s.whole = nil, nil
}

// incomplete returns the error for the reader of a message that the end of the
// connection cut off. It does not match io.EOF, which is the end of a message.
func incomplete(cause error) error {
	if errors.Is(cause, io.EOF) {
		return fmt.Errorf("%w: %w: %v", errIncomplete, io.ErrUnexpectedEOF, cause)
	}
	return fmt.Errorf("%w: %w: %w", errIncomplete, io.ErrUnexpectedEOF, cause)
}

// inReader is the program's end of an inStream, or of a message that is there
// already. It holds the inbox's taking until the message is read or closed.
type inReader struct {
	c       *conn
	stream  *inStream     // nil when everything is in rest
	closed  chan struct{} // by Close
	closing sync.Once

	mu    sync.Mutex // held by Read, which closed ends
	piece *buffer    // what rest is a part of; may be nil
	rest  []byte
	err   error // what every further Read returns
}

// errStreamClosed is a read from a message after its Close.
var errStreamClosed = errors.New("websocket: the stream of this message was closed")

// Read returns the next bytes of the message, and io.EOF at its end.
func (r *inReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.rest) == 0 && r.err == nil && len(p) > 0 {
		if err := r.next(); err != nil {
			r.stop(err)
		}
	}
	if r.err != nil {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// next gets the next piece, or io.EOF after the last one.
func (r *inReader) next() error {
	if r.piece != nil {
		r.piece.free()
		r.piece = nil
	}
	if r.stream == nil {
		return io.EOF
	}
	if whole := r.stream.whole; len(whole) > 0 {
		r.rest, r.stream.whole = whole, nil
		return nil
	}
	if begun := r.stream.begun; len(begun) > 0 {
		r.piece, r.stream.begun = begun[0], begun[1:]
		r.rest = r.piece.b
		return nil
	}
	piece, err := r.stream.take(r.c, r.closed)
	switch err {
	case nil:
		r.piece, r.rest = piece, piece.b
		return nil
	case errStopped:
		return errStreamClosed
	case errIncomplete:
		return &transport.Error{Op: "receive", URL: r.c.url, Err: incomplete(r.c.ended())}
	default:
		return err
	}
}

// stop ends the reading and lets the next receive begin.
func (r *inReader) stop(err error) {
	r.err, r.rest = err, nil
	if r.piece != nil {
		r.piece.free()
		r.piece = nil
	}
	if r.stream != nil {
		r.stream.forget()
	}
	<-r.c.inbox.taking
}

// Close gives up the rest of the message. It does not wait for it.
func (r *inReader) Close() error {
	r.closing.Do(func() { close(r.closed) })
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.stop(errStreamClosed)
	}
	return nil
}
