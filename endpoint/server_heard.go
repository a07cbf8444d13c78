package endpoint

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// heard is a connection on which whatever arrives is a sign of life, and counts
// against the client's limits: also what only the session sees, and the chunks
// of files.
type heard struct {
	transport.Transport
	peer atomic.Pointer[resilience.Peer] // nil while the client is not watched
	pace atomic.Pointer[pace]            // nil before the registration
	// observed is closed when the events say that a session goes on with this
	// connection: its end comes after that. Nil on the first one of a client.
	observed chan struct{}
	// announced: the latest message was a text, which data may follow. It belongs
	// to whoever receives.
	announced bool
}

// heardFrames is heard for a transport with frames.
type heardFrames struct {
	*heard
	frames transport.FrameTransport
}

// hear returns t with what hears it.
func hear(t transport.Transport) (transport.Transport, *heard) {
	h := &heard{Transport: t}
	if frames, err := transport.As[transport.FrameTransport](t); err == nil {
		return &heardFrames{h, frames}, h
	}
	return h, h
}

// Unwrap returns the connection itself.
func (h *heard) Unwrap() transport.Transport { return h.Transport }

// WaitClosed waits for the end of the connection.
func (h *heard) WaitClosed(ctx context.Context) error {
	if h.observed != nil {
		select {
		case <-h.observed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return h.Transport.WaitClosed(ctx)
}

// Receive hears a message, also of the kind that it returns as an error.
func (h *heard) Receive(ctx context.Context) ([]byte, error) {
	data, err := h.Transport.Receive(ctx)
	var noted error
	if err == nil {
		noted = h.note(ctx, transport.Text, len(data))
	} else if other := new(transport.FrameTypeError); errors.As(err, &other) {
		noted = h.note(ctx, other.Got, len(other.Data))
	}
	if noted != nil {
		return nil, noted
	}
	return data, err
}

// SendFrames sends frames.
func (h *heardFrames) SendFrames(ctx context.Context, frames ...transport.Frame) error {
	return h.frames.SendFrames(ctx, frames...)
}

// ReceiveFrame hears a message of either kind.
func (h *heardFrames) ReceiveFrame(ctx context.Context) (transport.Frame, error) {
	frame, err := h.frames.ReceiveFrame(ctx)
	if err == nil {
		err = h.note(ctx, frame.Kind, len(frame.Data))
	}
	if err != nil {
		return transport.Frame{}, err
	}
	return frame, nil
}

// note takes what was received for a sign of life, and holds it back if there is
// too much. The two frames of a binary message count as one message.
func (h *heard) note(ctx context.Context, kind transport.Kind, size int) error {
	if peer := h.peer.Load(); peer != nil {
		peer.Alive()
	}
	messages := 1
	if kind == transport.Binary && h.announced {
		messages = 0
	}
	h.announced = kind == transport.Text
	return h.pace.Load().keep(ctx, h.Transport, messages, size)
}
