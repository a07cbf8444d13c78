package endpoint

import (
	"context"
	"net/http"

	"go.uber.org/zap"
)

// ServeHTTP accepts a WebSocket and serves it until it ends. Without the right
// token it answers 403 before the upgrade (spec section 4), while the server
// is closing or full 503; if it is closing, with the header Retry-After.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(r) {
		s.events.observe(Event{Kind: EventRejected, Err: ErrForbidden})
		http.Error(w, "forbidden", http.StatusForbidden)
		return
	}
	s.mu.Lock()
	err := s.full()
	s.mu.Unlock()
	if err != nil {
		s.events.observe(Event{Kind: EventRejected, Err: err})
		s.setRetryAfter(w.Header())
		http.Error(w, "service unavailable", http.StatusServiceUnavailable)
		return
	}
	t, err := s.options.Accept(w, r)
	if err != nil {
		s.events.observe(Event{Kind: EventRejected, Err: err})
		s.logger.Info("connection not accepted", zap.Error(err))
		return
	}
	// The request's context ends with this function, and would end a
	// connection's reads with it.
	if err := s.Serve(context.WithoutCancel(r.Context()), t); err != nil {
		s.logger.Info("connection ended", zap.Error(err))
	}
}

// authorized compares the token in constant time. A token given several times
// counts as its last value, as in the reference.
func (s *Server) authorized(r *http.Request) bool {
	if s.options.Token == "" {
		return true
	}
	given := bearer(r)
	if all := r.URL.Query()["token"]; len(all) > 0 {
		given = all[len(all)-1]
	}
	return sameToken(given, s.options.Token)
}
