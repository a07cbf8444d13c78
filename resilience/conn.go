package resilience

import (
	"context"
	"errors"
	"fmt"

	"github.com/aip-go/aip/transport"
)

var errNoBinary = &transport.Error{
	Op: "send", Outcome: transport.NotSent,
	Err: fmt.Errorf("resilience: this transport cannot send binary messages: %w", errors.ErrUnsupported),
}

// write writes one message.
func (c *conn) write(ctx context.Context, m *KeptMessage) error {
	if m.Binary == nil {
		return c.t.Send(ctx, m.Text)
	}
	if c.frames == nil {
		return errNoBinary
	}
	return c.frames.SendFrames(ctx, m.frames()...)
}

// writeFrames writes messages, one directly after the other if there are
// several.
func (c *conn) writeFrames(ctx context.Context, frames []transport.Frame) error {
	switch {
	case len(frames) == 1:
		return c.t.Send(ctx, frames[0].Data)
	case c.frames == nil:
		return errNoBinary
	default:
		return c.frames.SendFrames(ctx, frames...)
	}
}

// read reads the next frame.
func (c *conn) read(ctx context.Context) (transport.Frame, error) {
	if c.frames != nil {
		return c.frames.ReceiveFrame(ctx)
	}
	data, err := c.t.Receive(ctx)
	var other *transport.FrameTypeError
	if errors.As(err, &other) {
		return transport.Frame{Kind: other.Got, Data: other.Data}, nil
	}
	return transport.Frame{Kind: transport.Text, Data: data}, err
}
