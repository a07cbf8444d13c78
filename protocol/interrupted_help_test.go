package protocol

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/aip-go/aip/transport"
)

// replacing is a transport that replaces its connection where the peer sends
// gapText, and notes with what contexts messages are sent.
type replacing struct {
	*transport.Memory
	gap  *transport.InterruptedError
	sent func(ctx context.Context)
}

const gapText = "the connection is replaced"

func (r *replacing) Receive(ctx context.Context) ([]byte, error) {
	data, err := r.Memory.Receive(ctx)
	if err == nil && bytes.Equal(data, []byte(gapText)) {
		return nil, r.gap
	}
	return data, err
}

func (r *replacing) Send(ctx context.Context, data []byte) error {
	if r.sent != nil {
		r.sent(ctx)
	}
	return r.Memory.Send(ctx, data)
}

// replacingPair returns a client on a transport that replaces its connection,
// that transport, and the server.
func replacingPair(t testing.TB, opts *Options) (*Client, *replacing, *Server) {
	t.Helper()
	near, far := transport.NewPair(nil)
	r := &replacing{Memory: near, gap: &transport.InterruptedError{
		Cause:       errCut,
		Undelivered: []transport.Undelivered{{Frames: []transport.Frame{textOf("secret")}}},
	}}
	c, err := NewClient(r, opts)
	must(t, err)
	s, err := NewServer(far, nil)
	must(t, err)
	t.Cleanup(func() { _ = c.Close(); _ = s.Close() })
	return c, r, s
}

// isGap reports whether err is or wraps the interruption of r.
func (r *replacing) isGap(err error) bool {
	var gap *transport.InterruptedError
	return errors.As(err, &gap) && gap == r.gap && errors.Is(err, transport.ErrInterrupted)
}
