package endpoint

import (
	"go.uber.org/zap"

	"github.com/aip-go/aip/resilience"
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

// silence watches the client of that id no more.
func (s *Server) silence(clientID string) {
	if s.heartbeats != nil {
		s.heartbeats.Stop(clientID)
	}
}
