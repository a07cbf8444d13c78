package endpoint

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/aip-go/aip/transport"
)

// drain is how a server comes to its end. Its fields are guarded by the
// server's lock, but for the channels.
type drain struct {
	// began is closed when the server takes on nothing new any more.
	began chan struct{}
	// deadline is the first of those of the contexts of Shutdown; zero: none.
	deadline time.Time
	// free are the connections that have no part in a task and are still to be
	// closed, the next one last.
	free []*client
	// led says that a Shutdown closes them; over is closed when it has, or
	// leaves the rest to Close.
	led  bool
	over chan struct{}
	// changed wakes that Shutdown.
	changed chan struct{}
}

func newDrain() drain {
	return drain{began: make(chan struct{}), over: make(chan struct{}), changed: make(chan struct{}, 1)}
}

// poke tells the Shutdown that closes connections to look again.
func (d *drain) poke() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

// Shutdown ends the server in order. From now on it takes on no connections and
// no tasks. Running tasks come to their end; their handlers can see that it is
// near ([Task.Draining]). A connection is closed when no task that its client
// asked for or runs is left, with 1001 (going away) and a reason that says when
// to come back ([ServerOptions]' RetryHint); one after the other, spread over
// [ServerOptions]' DrainSpread or what is left of the time of ctx. When ctx ends
// first, Shutdown does what [Server.Close] does with what is left, and returns
// the context's error.
//
// It returns when everything that the server started has stopped. It may be
// called again, also while another call of it or of Close runs; the first
// context that ends counts for all.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.beginDrain()
	if end, ok := ctx.Deadline(); ok && (s.drain.deadline.IsZero() || end.Before(s.drain.deadline)) {
		s.drain.deadline = end
		s.drain.poke()
	}
	lead := !s.drain.led
	s.drain.led = true
	s.mu.Unlock()

	var err error
	if lead {
		err = s.closeInTurn(ctx)
		close(s.drain.over)
	} else {
		select {
		case <-s.drain.over:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return firstError(err, s.Close())
}

// beginDrain makes the server take on nothing new. The server is locked.
func (s *Server) beginDrain() {
	if s.draining {
		return
	}
	s.draining = true
	close(s.drain.began)
	for c := range s.connections {
		if c.unended == 0 {
			s.drain.free = append(s.drain.free, c)
		}
	}
}

// release notes that c has one part less in a task. The server is locked.
func (s *Server) release(c *client) {
	c.unended--
	if s.draining && c.unended == 0 {
		s.drain.free = append(s.drain.free, c)
	}
	s.drain.poke()
}

// closeInTurn closes connections until there are no tasks and all are closed.
func (s *Server) closeInTurn(ctx context.Context) error {
	timer := time.NewTimer(forever)
	defer timer.Stop()
	t := s.firstTurn()
	for {
		wait, over := s.closeDue(&t)
		if over {
			return nil
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.drain.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// turn is the time in which one connection is closed: the part'th part of the
// gap after begin.
type turn struct {
	begin time.Time
	gap   time.Duration
	part  float64
}

func (s *Server) firstTurn() turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := time.Duration(max(len(s.connections), 1))
	spread := s.options.DrainSpread
	switch {
	case spread == 0:
		spread = min(n*defaultDrainGap, defaultMaxDrainSpread)
	case spread < 0:
		spread = 0
	}
	return turn{begin: time.Now(), gap: spread / n, part: rand.Float64()}
}

// closeDue closes the connections whose turn it is and returns how long it is
// until the next turn, or that there is nothing left to wait for.
func (s *Server) closeDue(t *turn) (wait time.Duration, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		c := s.nextFree()
		if c == nil {
			return forever, s.unended == 0
		}
		gap := t.gap
		if end := s.drain.deadline; !end.IsZero() {
			gap = min(gap, max(end.Sub(t.begin), 0)/time.Duration(len(s.drain.free)+1))
		}
		now := time.Now()
		if wait := t.begin.Add(time.Duration(t.part * float64(gap))).Sub(now); wait > 0 {
			return wait, false
		}
		s.drain.free = s.drain.free[:len(s.drain.free)-1]
		c.evict(ErrServerClosed)
		// Who comes late to its turn does not take that of the next as well.
		t.begin = t.begin.Add(gap)
		if t.begin.Before(now) {
			t.begin = now
		}
		t.part = rand.Float64()
	}
}

// nextFree returns the next connection to be closed, or nil. The server is
// locked.
func (s *Server) nextFree() *client {
	for n := len(s.drain.free); n > 0; n = len(s.drain.free) {
		c := s.drain.free[n-1]
		if _, here := s.connections[c]; here {
			return c
		}
		s.drain.free = s.drain.free[:n-1]
	}
	return nil
}

// retryAfter returns when a client is to come back, if it is to be told.
func (s *Server) retryAfter() (time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hint := s.options.RetryHint
	if !s.draining || hint < 0 {
		return 0, false
	}
	return hint + rand.N(hint), true
}

// parting returns the reason with which connections are closed.
func (s *Server) parting() string {
	after, ok := s.retryAfter()
	if !ok {
		return ""
	}
	return transport.RetryAfterReason(after)
}

// setRetryAfter tells who connects to a server that ends when to come back (RFC
// 9110 section 10.2.3), in whole seconds.
func (s *Server) setRetryAfter(header http.Header) {
	if after, ok := s.retryAfter(); ok {
		seconds := (min(after, time.Hour) + time.Second - 1) / time.Second
		header.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
}

// Draining returns a channel that is closed when the server begins to end: when
// [Server.Shutdown] or [Server.Close] is called. A handler whose task takes
// long may save what it has and return.
func (t *Task) Draining() <-chan struct{} { return t.session.executor.server.drain.began }

// DrainDeadline returns when the server cuts tasks off, if it drains and that
// is known. It is the first deadline of the contexts of [Server.Shutdown].
func (t *Task) DrainDeadline() (deadline time.Time, ok bool) {
	s := t.session.executor.server
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drain.deadline, !s.drain.deadline.IsZero()
}
