package endpoint

import (
	"context"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
)

// setUpSilence makes what watches clients for signs of life.
func (s *Server) setUpSilence() (err error) {
	if s.options.SilenceTimeout > 0 {
		s.heartbeats, err = resilience.NewHeartbeats(&resilience.HeartbeatsOptions{Logger: s.logger})
	}
	return err
}

// watchSilence watches a client on its connection: everything that it sends
// counts as a sign of life.
func (c *client) watchSilence() {
	s := c.server
	if s.heartbeats == nil {
		return
	}
	half := s.options.SilenceTimeout / 2
	_, err := s.heartbeats.Start(c.info.ID, &resilience.PeerOptions{
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
	}
}

// hear takes a message for a sign of life.
func (c *client) hear() protocol.Middleware[messages.ServerMessage, messages.ClientMessage] {
	return protocol.Middleware[messages.ServerMessage, messages.ClientMessage]{
		Incoming: func(_ context.Context, m *messages.ClientMessage) (*messages.ClientMessage, error) {
			c.alive()
			return m, nil
		},
	}
}

func (c *client) alive() {
	if h := c.server.heartbeats; h != nil {
		h.Alive(c.info.ID)
	}
}

// silence watches the client of that id no more.
func (s *Server) silence(clientID string) {
	if s.heartbeats != nil {
		s.heartbeats.Stop(clientID)
	}
}
