package websocket

import (
	"context"
	"io"

	"github.com/aip-go/aip/transport"
)

// receiveFrame returns the next message.
func (c *conn) receiveFrame(ctx context.Context) (transport.Frame, error) {
	for {
		m, err := c.nextMessage(ctx)
		if err != nil {
			return transport.Frame{}, err
		}
		data := m.data
		if m.stream != nil {
			data, err = m.stream.collect(ctx, c)
		}
		if err == nil || err == errIncomplete {
			c.inbox.take()
		}
		<-c.inbox.taking
		if err != errIncomplete { // The next error tells why it is.
			return transport.Frame{Kind: m.kind, Data: data}, err
		}
	}
}

// receiveStream returns the next message as a reader.
func (c *conn) receiveStream(ctx context.Context) (transport.Kind, io.ReadCloser, error) {
	m, err := c.nextMessage(ctx)
	if err != nil {
		return 0, nil, err
	}
	c.inbox.take()
	return m.kind, &inReader{c: c, stream: m.stream, rest: m.data, closed: make(chan struct{})}, nil
}

// nextMessage waits for the oldest message and leaves it in the inbox, whose
// taking the caller then holds.
func (c *conn) nextMessage(ctx context.Context) (message, error) {
	if err := ctx.Err(); err != nil {
		return message{}, err
	}
	select {
	case c.inbox.taking <- struct{}{}:
	case <-ctx.Done():
		return message{}, ctx.Err()
	}
	m, err := c.inbox.peek(ctx)
	if err != nil {
		<-c.inbox.taking
	}
	return m, err
}

// collect returns the whole message, or errIncomplete, and forgets the stream.
// When ctx ends first it returns its error and keeps what it has got.
func (s *inStream) collect(ctx context.Context, c *conn) ([]byte, error) {
	for {
		piece, err := s.take(c, ctx.Done())
		switch err {
		case nil:
			s.collected(piece)
		case errStopped:
			return nil, ctx.Err()
		case io.EOF:
			defer s.forget()
			return s.all(), nil
		default:
			s.forget()
			return nil, err
		}
	}
}

// collected adds a piece to what a receive has got. Of a very large message whose
// size is known there is never more memory than that; a peer gets it by sending
// the first piece.
func (s *inStream) collected(piece *buffer) {
	if s.size <= maxBase {
		s.begun = append(s.begun, piece)
		return
	}
	if s.whole == nil {
		s.whole = make([]byte, 0, s.size)
	}
	s.whole = append(s.whole, piece.b...)
	piece.free()
}

// all returns the message after its last piece was collected.
func (s *inStream) all() []byte {
	if s.whole != nil {
		return s.whole
	}
	size := 0
	for _, p := range s.begun {
		size += len(p.b)
	}
	if size == len(s.base) && size >= cap(s.base)/2 {
		return s.base
	}
	data := make([]byte, 0, size)
	for _, p := range s.begun {
		data = append(data, p.b...)
	}
	return data
}
