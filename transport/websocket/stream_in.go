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
// for them: 1 MiB.
const streamAhead = 1 << 20 / maxFragment

// inStream is a message that is received piece by piece. The reader puts the
// pieces in, a receive or an [inReader] takes them out.
type inStream struct {
	pieces chan *buffer
	held   atomic.Int64 // bytes of the pieces
	// err is set before pieces is closed: nil after the whole message, or what
	// ended the connection before that.
	err error
	// unwanted is closed when nobody wants the rest.
	unwanted chan struct{}
	// begun are pieces that a cancelled receive took out.
	begun []*buffer
}

func newInStream() *inStream {
	return &inStream{pieces: make(chan *buffer, streamAhead), unwanted: make(chan struct{})}
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

// got counts a piece that was taken out.
func (s *inStream) got(piece *buffer) *buffer {
	s.held.Add(-int64(len(piece.b)))
	return piece
}

// finish ends the stream, with nil after the whole message.
func (s *inStream) finish(err error) {
	s.err = err
	close(s.pieces)
}

// forget gives up what is left. It is called once.
func (s *inStream) forget() {
	close(s.unwanted)
	for _, p := range s.begun {
		p.free()
	}
	s.begun = nil
}

// incomplete is a message that the end of the connection cut off.
func incomplete(cause error) error {
	if errors.Is(cause, io.EOF) {
		return fmt.Errorf("the message is incomplete: %w: %v", io.ErrUnexpectedEOF, cause)
	}
	return fmt.Errorf("the message is incomplete: %w: %w", io.ErrUnexpectedEOF, cause)
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
	if begun := r.stream.begun; len(begun) > 0 {
		r.piece, r.stream.begun = begun[0], begun[1:]
		r.rest = r.piece.b
		return nil
	}
	select {
	case piece, ok := <-r.stream.pieces:
		switch {
		case ok:
			r.piece, r.rest = r.stream.got(piece), piece.b
			return nil
		case r.stream.err == nil:
			return io.EOF
		default:
			return &transport.Error{Op: "receive", URL: r.c.url, Err: incomplete(r.stream.err)}
		}
	case <-r.closed:
		return errStreamClosed
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
