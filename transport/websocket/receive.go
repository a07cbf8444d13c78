package websocket

import (
	"bytes"
	"context"
	"io"

	"github.com/aip-go/aip/transport"
)

// How a program has taken large messages the last time. As long as that is not
// known, binary ones are read such that they can be lent, if they are not larger
// than what is read ahead then: it costs a program that wants to own them one
// copy.
const (
	takesAny int32 = iota
	takesLent
	takesOwn
)

// lendable returns the size up to which messages of that kind are to be lent.
func (c *conn) lendable(kind transport.Kind) int64 {
	switch c.takes.Load() {
	case takesLent:
		return maxBase
	case takesAny:
		if kind == transport.Binary {
			return maxLentAhead
		}
	}
	return 0
}

// receiveFrame returns the next message.
func (c *conn) receiveFrame(ctx context.Context) (transport.Frame, error) {
	f, lent, err := c.receive(ctx)
	if lent != nil {
		c.takes.Store(takesOwn)
		f.Data = bytes.Clone(f.Data)
		lent.giveBack()
	}
	return f, err
}

// borrow has use read the next message.
func (c *conn) borrow(ctx context.Context, use func(transport.Frame) error) (used bool, err error) {
	c.takes.Store(takesLent)
	f, lent, err := c.receive(ctx)
	if err != nil {
		return false, err
	}
	defer lent.giveBack()
	return true, use(f)
}

// receive takes the next message out, and what it is in if that is to be given
// back.
func (c *conn) receive(ctx context.Context) (f transport.Frame, lent *buffer, err error) {
	for {
		var m message
		direct, err := c.nextMessage(ctx, &m)
		if err != nil {
			return transport.Frame{}, nil, err
		}
		if m.stream != nil {
			m.data, m.lent, err = m.stream.collect(ctx, c)
		}
		if !direct && (err == nil || err == errIncomplete) {
			c.inbox.take()
		}
		if err == nil && m.stream != nil {
			m.stream.recycle(c)
		}
		<-c.inbox.taking
		if err != errIncomplete { // The next error tells why it is.
			return transport.Frame{Kind: m.kind, Data: m.data}, m.lent, err
		}
	}
}

// receiveStream returns the next message as a reader.
func (c *conn) receiveStream(ctx context.Context) (transport.Kind, io.ReadCloser, error) {
	c.takes.Store(takesOwn)
	var m message
	direct, err := c.nextMessage(ctx, &m)
	if err != nil {
		return 0, nil, err
	}
	if !direct {
		c.inbox.take()
	}
	r := &inReader{c: c, stream: m.stream, rest: m.data, closed: make(chan struct{})}
	if m.lent != nil {
		r.rest = bytes.Clone(m.data)
		m.lent.giveBack()
	}
	return m.kind, r, nil
}

// nextMessage waits for the oldest message. The caller then holds the inbox's
// taking, and the message is still in the inbox, unless it is reported never to
// have been.
func (c *conn) nextMessage(ctx context.Context, m *message) (direct bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	select {
	case c.inbox.taking <- struct{}{}:
	default:
		if err := c.awaitTurn(ctx); err != nil {
			return false, err
		}
	}
	if direct, err = c.await(ctx, m); err != nil {
		<-c.inbox.taking
	}
	return direct, err
}

// awaitTurn waits until no other receive runs.
func (c *conn) awaitTurn(ctx context.Context) error {
	select {
	case c.inbox.taking <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// collect returns the whole message, or errIncomplete, and forgets the stream.
// When ctx ends first it returns its error and keeps what it has got.
func (s *inStream) collect(ctx context.Context, c *conn) (data []byte, lent *buffer, err error) {
	s.collecting.Store(true)
	defer s.collecting.Store(false)
	for {
		piece, err := s.take(c, ctx.Done())
		switch err {
		case nil:
			s.collected(piece)
		case errStopped:
			return nil, nil, ctx.Err()
		case io.EOF:
			data, lent = s.all()
			return data, lent, nil
		default:
			s.forget()
			return nil, nil, err
		}
	}
}

// recycle makes the stream, all of which was collected, one for another message.
func (s *inStream) recycle(c *conn) {
	clear(s.begun)
	s.begun, s.begunSize = s.begun[:0], 0
	s.base, s.whole, s.lent, s.lentSize, s.ended = nil, nil, nil, 0, false
	c.spare.Store(s)
}

// credit is how many times as much memory as it has sent a peer gets by saying
// how long its message will be. What it has sent is held besides until then,
// and is to be little.
const credit = 32

// collected adds a piece to what a receive has got. A very large message with a
// size gets memory for all of it when enough has arrived. If that was a hint, and
// more comes than it said, the memory grows.
func (s *inStream) collected(piece *buffer) {
	if s.whole != nil {
		s.whole = append(s.whole, piece.b...)
		piece.free()
		return
	}
	s.begun = append(s.begun, piece)
	s.begunSize += int64(len(piece.b))
	if s.size > maxBase && s.begunSize >= s.size/credit {
		s.whole = s.join(s.size)
	}
}

// join returns the pieces that were begun as one, with room for all, and frees
// them.
func (s *inStream) join(room int64) []byte {
	whole := make([]byte, 0, room)
	for _, p := range s.begun {
		whole = append(whole, p.b...)
		p.free()
	}
	s.begun = nil
	return whole
}

// all returns the message after its last piece was collected, and what it is in
// if that is to be given back.
func (s *inStream) all() (data []byte, lent *buffer) {
	switch whole := s.whole; {
	case whole == nil:
	case len(whole) < cap(whole)/2: // The peer had said that there is more.
		return bytes.Clone(whole), nil
	default:
		return whole, nil
	}
	if size := int(s.begunSize); size == len(s.base) && (s.lent != nil || size >= cap(s.base)/2) {
		return s.base, s.lent
	}
	data = s.join(s.begunSize)
	s.lent.giveBack()
	return data, nil
}
