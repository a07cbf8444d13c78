package endpoint

import (
	"context"
	"errors"
	"net/http"

	"go.uber.org/zap"
)

// ServeHTTP accepts a WebSocket, which is served until it ends, also after
// ServeHTTP has returned: it does so right away, so that a connection does not
// hold the memory of its request. What ends it is its client or the server, not
// the end of the request's context. Without the right
// credentials it answers before the upgrade: with 403 (spec section 4) or, with
// an [Authenticator], as that says. While the server is closing or full it
// answers 503, if it is closing with the header Retry-After; and with 429 if the
// address has too many connections that have not registered or, with Retry-After
// and whatever they show, if it has shown too many wrong credentials.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, ok := s.authenticate(w, r)
	if !ok {
		return
	}
	address := s.addressOf(r)
	if err := s.expect(address); err != nil {
		s.events.observe(Event{Kind: EventRejected, Err: err})
		s.setRetryAfter(w.Header())
		code := http.StatusServiceUnavailable
		if errors.Is(err, errTooManyFromAddress) {
			code = http.StatusTooManyRequests
		}
		http.Error(w, "no room", code)
		return
	}
	accepted := false
	defer func() {
		if !accepted { // Also if Accept panics.
			s.dontExpect(address)
		}
	}()
	t, err := s.options.Accept(w, r)
	if err != nil {
		s.events.observe(Event{Kind: EventRejected, Err: err})
		s.logger.Info("connection not accepted", zap.Error(err))
		return
	}
	accepted = true
	ctx = withVisit(context.WithoutCancel(ctx), visit{address, true})
	c, err := s.admit(ctx, t)
	if err != nil {
		s.logger.Info("connection not admitted", zap.Error(s.reject(ctx, t, err)))
		return
	}
	go func() {
		defer s.work.Done()
		s.logEnd(s.serve(ctx, c))
	}()
}

// logEnd notes the end of a connection. It is not in the function that serves
// one, as that would need the room for it all the time.
func (s *Server) logEnd(err error) {
	if err != nil {
		s.logger.Info("connection ended", zap.Error(err))
	}
}
