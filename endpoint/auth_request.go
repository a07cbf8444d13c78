package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"
)

// RequestToken returns the token that a request shows: the last one of ?token=
// in the URL, as the reference counts it, or else that of Authorization: Bearer;
// false if there is none, or an empty one. Compare it in constant time, and do
// not log it.
func RequestToken(r *http.Request) (token string, ok bool) {
	if all := r.URL.Query()["token"]; len(all) > 0 {
		token = all[len(all)-1]
	} else {
		token = bearer(r)
	}
	return token, token != ""
}

// authenticate returns the context in which a request's connection is served, or
// answers the request and returns false.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (context.Context, bool) {
	// The request's context ends with its handler, and would end a
	// connection's reads with it.
	ctx := context.WithoutCancel(r.Context())
	check := s.checkToken
	if s.options.Authenticate != nil {
		check = s.identify
	}
	p, err := s.prove(r, check)
	switch {
	case err != nil:
		s.deny(w, err)
		return nil, false
	case p == nil:
		return ctx, true
	default:
		return WithPrincipal(ctx, p), true
	}
}

// identify asks the Authenticator. Its error matches [ErrUnauthenticated] or
// [ErrForbidden].
func (s *Server) identify(r *http.Request) (p *Principal, err error) {
	p, err = s.options.Authenticate(r)
	switch {
	case err == nil && (p == nil || p.Name == ""):
		return nil, fmt.Errorf("%w: %w", ErrForbidden, errNamelessPrincipal)
	case err == nil:
		return p, nil
	case errors.Is(err, ErrUnauthenticated), errors.Is(err, ErrForbidden):
		return nil, err
	default:
		return nil, fmt.Errorf("%w: %w", ErrForbidden, err)
	}
}

// deny answers a request without the right credentials.
func (s *Server) deny(w http.ResponseWriter, err error) {
	s.events.observe(Event{Kind: EventRejected, Err: err})
	s.logger.Info("connection without the right credentials", zap.Error(err))
	var often *tooOften
	if errors.As(err, &often) {
		often.setRetryAfter(w.Header())
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	if errors.Is(err, ErrUnauthenticated) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="aip"`)
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	http.Error(w, "forbidden", http.StatusForbidden)
}
