package websocket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/aip-go/aip/internal/utf8text"
	"github.com/aip-go/aip/transport"
)

// errTooLarge and errNotText are what a peer's message can be at fault for.
var (
	errTooLarge = &fault{transport.StatusMessageTooBig, "message too large", transport.ErrMessageTooLarge}
	errNotText  = &fault{transport.StatusInvalidPayload, "text is not UTF-8", transport.ErrInvalidUTF8}
)

// fault is a fault of the peer.
type fault struct {
	code   transport.StatusCode
	reason string
	err    error
}

func (f *fault) Error() string { return f.reason }

// read is the reader: the goroutine that reads from the network as long as the
// connection lives, or until a receive does (see direct.go).
func (c *conn) read() {
	if c.gate != nil {
		c.gate.writePostponed() // What comes may have to wait for room before the network is read.
	}
	for {
		if err := c.readMessage(); err != nil {
			c.readEnded(err)
			break
		}
		if c.yield() {
			return
		}
	}
	c.finish()
}

// readMessage reads one message into the inbox.
func (c *conn) readMessage() error {
	kind, r, err := c.nextReader()
	if err != nil {
		return err
	}
	c.noted(false)
	in := incoming{c: c, kind: kind, r: r, limit: c.reading.limit}
	select {
	case <-c.ending:
		return in.discard()
	default:
		return in.read()
	}
}

// noted takes note of a message that arrived, and of whether there is more
// behind it.
func (c *conn) noted(more bool) {
	c.seen.Store(true)
	c.burst.Store(0)
	c.more.Store(more)
}

// nextReader waits for the next message, and notes the limit for it.
func (c *conn) nextReader() (kind transport.Kind, from io.Reader, err error) {
	r := &c.reading
	if kind, err := r.begun, r.err; kind != 0 || err != nil {
		r.begun = 0
		return kind, c.frames, err
	}
	if c.frames == nil {
		kind, from, err = c.link.NextReader()
	} else {
		kind, from, err = c.frames.NextReader()
	}
	r.limit = c.limit.Load()
	return kind, from, err
}

// incoming is the message that is being read.
type incoming struct {
	c     *conn
	kind  transport.Kind
	r     io.Reader
	limit int64 // 0 for none
	size  int64
	text  utf8text.Checker
	end   bool // the whole message was read
}

// read reads the message and puts it into the inbox: a small one whole, a large
// one as a stream.
func (in *incoming) read() error {
	size := int64(unknown)
	if in.c.frames != nil {
		if n, known := in.c.frames.size(); known {
			size = n
		}
	}
	switch {
	case in.limit > 0 && size > in.limit:
		return errTooLarge
	case size != unknown && size <= maxFragment:
		m := message{kind: in.kind}
		if size >= minLent && size <= in.c.lendable(in.kind) {
			in.c.inbox.awaitLent(size)
			m.lent = getLent(int(size))
			m.data = m.lent.b[:size]
		} else {
			m.data = make([]byte, size)
		}
		_, err := in.fill(m.data)
		if err == nil {
			in.c.inbox.put(m)
		}
		return err
	}
	first := getBuffer()
	if err := in.fillBuffer(first); err != nil {
		first.free()
		return err
	}
	if in.end {
		defer first.free()
		in.c.inbox.put(message{kind: in.kind, data: bytes.Clone(first.b)})
		return nil
	}
	if size == unknown {
		size = in.hint()
	}
	room := size
	if room == unknown {
		room = in.c.usual
	}
	s := in.c.newInStream(size)
	if most := in.c.lendable(in.kind); most > 0 && room <= most {
		if room = max(room, 2*int64(len(first.b))); size != unknown {
			room = size
		}
		in.c.inbox.awaitLent(room)
		first = s.beginLent(first, int(room))
	} else if room <= maxBase {
		first = s.begin(first, int(room))
	}
	return in.stream(s, first)
}

// stream puts the message into the inbox as a stream that begins with the
// piece, and reads the rest.
func (in *incoming) stream(s *inStream, first *buffer) error {
	s.put(in.c, first)
	in.c.inbox.put(message{kind: in.kind, stream: s})
	var kept *buffer // which need not be put yet
	for !in.end {
		piece := s.room()
		if err := in.fillBuffer(piece); err != nil {
			piece.free()
			if kept != nil {
				s.tryPut(kept)
			}
			return err
		}
		s.filled(piece)
		if piece.last = in.end; in.end {
			in.ended()
		}
		if piece = s.joined(kept, piece); s.collecting.Load() && s.goesOn(piece) {
			kept = piece
			continue
		}
		if kept = nil; !s.put(in.c, piece) {
			piece.free()
			return in.discard()
		}
	}
	return nil
}

// ended notes how long the message was.
func (in *incoming) ended() {
	if in.c.usual = in.size; in.size > maxBase {
		in.c.usual = 0
	}
}

// discard reads and throws away the rest of the message. At the end of the
// connection it does not matter any more what that is.
func (in *incoming) discard() error {
	if in.c.ended() != nil {
		in.kind, in.limit = transport.Binary, 0
	}
	b := getBuffer()
	defer b.free()
	for !in.end {
		if err := in.fillBuffer(b); err != nil {
			return err
		}
	}
	return nil
}

// fillBuffer reads up to maxFragment bytes of the message, or to its end.
func (in *incoming) fillBuffer(to *buffer) error {
	b, err := in.fill(to.b[:min(cap(to.b), maxFragment)])
	if err == nil {
		to.b = b
	}
	return err
}

// fill reads until b is full, or to the message's end, and checks and returns
// what it has read.
func (in *incoming) fill(b []byte) ([]byte, error) {
	n := 0
	for (n < len(b) || len(b) == 0) && !in.end {
		some, err := in.r.Read(b[n:])
		in.c.seen.Store(true)
		n += some
		in.size += int64(some)
		in.end = err == io.EOF
		switch {
		case in.limit > 0 && in.size > in.limit:
			return nil, errTooLarge
		case err != nil && !in.end:
			return nil, err
		}
	}
	b = b[:n]
	if in.kind == transport.Text && (!in.text.Add(b) || in.end && !in.text.Complete()) {
		return nil, errNotText
	}
	return b, nil
}

// readEnded ends the connection after the reader met an error.
func (c *conn) readEnded(err error) {
	var (
		closed *transport.CloseError
		f      *fault
	)
	switch {
	case errors.As(err, &closed):
		c.closedByPeer(closed)
	case c.ended() != nil:
	case errors.As(err, &f):
		c.violated(f)
	default:
		if loss := c.loss(err); loss != nil {
			c.lose(lost(loss))
		} else {
			c.violated(&fault{transport.StatusProtocolError, "protocol error", &protocolError{err}})
		}
	}
	if cause, failed := c.outcome(); failed {
		c.inbox.end(cause)
	}
}

// protocolError is what an engine found wrong. It matches [ErrProtocol].
type protocolError struct{ err error }

func (e *protocolError) Error() string        { return ErrProtocol.Error() + ": " + e.err.Error() }
func (e *protocolError) Is(target error) bool { return target == ErrProtocol }

// loss returns the error of the network that a reader's error comes from, or nil
// if it is one of the protocol, for which the engines have no types.
func (c *conn) loss(err error) error {
	if c.gate != nil {
		return c.gate.networkError()
	}
	var (
		network net.Error
		system  syscall.Errno
	)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &network) || errors.As(err, &system) {
		return err
	}
	return nil
}

// closedByPeer ends the connection after the peer's close frame, which the
// engine has answered unless this side's own was underway.
func (c *conn) closedByPeer(cause *transport.CloseError) {
	c.end(cause, transport.Disconnecting)
	if c.gate != nil {
		bound := time.AfterFunc(c.CloseTimeout, c.kill)
		defer bound.Stop()
		_ = c.gate.flush() // The peer has closed; an answer is a courtesy.
	}
}

// violated ends the connection for a fault of the peer, which is told so if
// that is possible.
func (c *conn) violated(f *fault) {
	if !c.end(&transport.CloseError{Code: f.code, Reason: f.reason, Err: f.err}, transport.Failed) {
		return
	}
	c.inbox.end(c.ended())
	bound := time.AfterFunc(c.CloseTimeout, c.kill)
	defer bound.Stop()
	if c.gate != nil {
		c.gate.writeClose(f.code, f.reason)
		c.gate.linger()
		return
	}
	_ = c.link.WriteClose(f.code, f.reason) // At best the peer learns why.
	for {
		_, r, err := c.link.NextReader()
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r) // The next read meets the same error.
	}
}
