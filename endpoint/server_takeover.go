package endpoint

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/transport"
)

// ErrTakenOver: a client did not answer any more when one came under its id with
// the same credentials, which has its place now.
var ErrTakenOver = errors.New("endpoint: the client does not answer, and its id has a new connection")

// probe is what a client is asked for when another one wants its id. It is
// guarded by the server's lock.
type probe struct {
	running  bool
	answered time.Time // the last one; zero if none was
}

// takeOver ends the client of c's id whose connection is half-open: if c comes on
// behalf of the same principal, and the old connection does not answer. As one
// that answers stays, two live clients never throw each other out.
func (s *Server) takeOver(ctx context.Context, c *client) {
	old := s.startProbe(c)
	if old == nil {
		return
	}
	if !s.replace(ctx, old) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, farewellTimeout) // Else it is refused as ever.
	defer cancel()
	select {
	case <-old.gone:
	case <-ctx.Done():
	}
}

// replace ends a client that does not answer, and reports whether it did.
func (s *Server) replace(ctx context.Context, old *client) bool {
	before := old.pace.signs()
	err := old.ping(ctx, s.options.ProbeTimeout)
	// A client that is just coming back to its session, which ends the ping, is
	// there.
	old.resuming.Lock()
	defer old.resuming.Unlock()
	there := err == nil || old.pace.signs() != before || old.hasUnhandled()
	s.endProbe(old, there)
	if there || ctx.Err() != nil {
		return false
	}
	s.logger.Info("a client that does not answer is replaced", zap.String("client_id", old.info.ID), zap.Error(err))
	abort(old.transport, ErrTakenOver)
	return true
}

// startProbe returns the client whose id c wants and may have, if it is not there
// any more; nil if c may not, if it is just being asked by someone else, or was a
// moment ago: nobody can have it pinged without end.
func (s *Server) startProbe(c *client) *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.online[c.info.ID]
	switch {
	case s.options.ProbeTimeout < 0, s.draining, old == nil:
		return nil
	case c.principal == nil, old.principal == nil, !c.mayReplace(old), c.info.Role != old.info.Role:
		return nil // Who shares a token with everyone proves nothing by it.
	case old.probe.running, !old.probe.answered.IsZero() && time.Since(old.probe.answered) < s.options.ProbeTimeout:
		return nil
	}
	select {
	case <-old.confirmed:
	default:
		return nil // It has come just now.
	}
	old.probe.running = true
	return old
}

func (s *Server) endProbe(old *client, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old.probe.running = false
	if answered {
		old.probe.answered = time.Now()
	}
}

// ping asks a client for a sign of life. A transport without pings is taken at its
// word that it is connected.
func (c *client) ping(ctx context.Context, timeout time.Duration) error {
	pinger, missing := transport.As[transport.Pinger](c.transport)
	if missing != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := pinger.Ping(ctx); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// hasUnhandled reports whether messages of the client have come that wait to be
// handled: the answer to a ping may be behind them.
func (c *client) hasUnhandled() bool {
	queue, err := transport.As[transport.Backlogger](c.transport)
	return err == nil && queue.Backlog().ReceiveMessages > 0
}
