package endpoint

import (
	"context"
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

// Receive hears a text message.
func (h *heard) Receive(ctx context.Context) ([]byte, error) {
	data, err := h.Transport.Receive(ctx)
	if err = h.note(ctx, len(data), err); err != nil {
		return nil, err
	}
	return data, nil
}

// SendFrames sends frames.
func (h *heardFrames) SendFrames(ctx context.Context, frames ...transport.Frame) error {
	return h.frames.SendFrames(ctx, frames...)
}

// ReceiveFrame hears a message of either kind.
func (h *heardFrames) ReceiveFrame(ctx context.Context) (transport.Frame, error) {
	frame, err := h.frames.ReceiveFrame(ctx)
	if err = h.note(ctx, len(frame.Data), err); err != nil {
		return transport.Frame{}, err
	}
	return frame, nil
}

// note takes a receive without an error for a sign of life, and holds it back if
// there are too many.
func (h *heard) note(ctx context.Context, size int, err error) error {
	if err != nil {
		return err
	}
	if peer := h.peer.Load(); peer != nil {
		peer.Alive()
	}
	return h.pace.Load().keep(ctx, h.Transport, size)
}
