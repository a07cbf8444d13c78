package websocket

import (
	"context"
	"io"

	"github.com/aip-go/aip/transport"
)

// receiveFrame returns the next message.
func (c *conn) receiveFrame(ctx context.Context) (transport.Frame, error) {
	m, err := c.nextMessage(ctx)
	if err != nil {
		return transport.Frame{}, err
	}
	defer func() { <-c.inbox.taking }()
	if m.stream == nil {
		c.inbox.take()
		return transport.Frame{Kind: m.kind, Data: m.data}, nil
	}
	data, err := m.stream.collect(ctx)
	if err != nil && err == ctx.Err() {
		return transport.Frame{}, err // The next receive goes on from here.
	}
	c.inbox.take()
	m.stream.forget()
	return transport.Frame{Kind: m.kind, Data: data}, err
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

// collect returns the whole message. When ctx ends it returns its error and
// keeps the beginning.
func (s *inStream) collect(ctx context.Context) ([]byte, error) {
	for {
		select {
		case piece, ok := <-s.pieces:
			switch {
			case ok:
				s.begun = append(s.begun, s.got(piece))
				continue
			case s.err != nil:
				return nil, incomplete(s.err)
			}
			return join(s.begun), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// join returns the bytes of the pieces in one slice of their size.
func join(pieces []*buffer) []byte {
	size := 0
	for _, p := range pieces {
		size += len(p.b)
	}
	data := make([]byte, 0, size)
	for _, p := range pieces {
		data = append(data, p.b...)
	}
	return data
}
