package endpoint

import (
	"context"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// setUpSilence makes what watches clients for signs of life.
func (s *Server) setUpSilence() (err error) {
	if s.options.SilenceTimeout > 0 {
		s.heartbeats, err = resilience.NewHeartbeats(&resilience.HeartbeatsOptions{Logger: s.logger})
	}
	return err
}

// watchSilence watches a client on its connection: everything that arrives
// there, by way of heard, counts as a sign of life.
func (c *client) watchSilence(on *heard) {
	s := c.server
	if s.heartbeats == nil {
		return
	}
	half := s.options.SilenceTimeout / 2
	peer, err := s.heartbeats.Start(c.info.ID, &resilience.PeerOptions{
		Interval: half, ReplyTimeout: s.options.SilenceTimeout - half, Misses: 1, Jitter: -1,
		Abort: func(cause error) {
			if session := c.session(); session != nil {
				session.Drop(cause)
				return
			}
			abort(c.transport, cause)
		},
	})
	if err != nil {
		s.logger.Debug("a client is not watched", zap.String("client_id", c.info.ID), zap.Error(err))
		return
	}
	on.peer.Store(peer)
}

// heard is a connection on which whatever arrives is a sign of life: also what
// only the session sees, and the chunks of files.
type heard struct {
	transport.Transport
	peer atomic.Pointer[resilience.Peer] // nil while the client is not watched
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

// Receive hears a text message.
func (h *heard) Receive(ctx context.Context) ([]byte, error) {
	data, err := h.Transport.Receive(ctx)
	h.note(err)
	return data, err
}

// SendFrames sends frames.
func (h *heardFrames) SendFrames(ctx context.Context, frames ...transport.Frame) error {
	return h.frames.SendFrames(ctx, frames...)
}

// ReceiveFrame hears a message of either kind.
func (h *heardFrames) ReceiveFrame(ctx context.Context) (transport.Frame, error) {
	frame, err := h.frames.ReceiveFrame(ctx)
	h.note(err)
	return frame, err
}

// note takes a receive without an error for a sign of life.
func (h *heard) note(err error) {
	if peer := h.peer.Load(); err == nil && peer != nil {
		peer.Alive()
	}
}

// silence watches the client of that id no more.
func (s *Server) silence(clientID string) {
	if s.heartbeats != nil {
		s.heartbeats.Stop(clientID)
	}
}
