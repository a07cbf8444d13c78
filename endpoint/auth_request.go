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
	if s.options.Authenticate == nil {
		if s.authorized(r) {
			return ctx, true
		}
		s.deny(w, ErrForbidden)
		return nil, false
	}
	p, err := s.identify(r)
	if err != nil {
		s.deny(w, err)
		return nil, false
	}
	return WithPrincipal(ctx, p), true
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

// mayUseAPI reports whether a request comes on behalf of a principal with API. The
// key in the reference's header counts as a bearer's token.
func (s *Server) mayUseAPI(r *http.Request) bool {
	if key := r.Header.Get("X-API-Key"); key != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+key)
		r.URL.RawQuery = ""
	}
	p, err := s.identify(r)
	return err == nil && p.API
}

// deny answers a request without the right credentials.
func (s *Server) deny(w http.ResponseWriter, err error) {
	s.events.observe(Event{Kind: EventRejected, Err: err})
	s.logger.Info("connection without the right credentials", zap.Error(err))
	if errors.Is(err, ErrUnauthenticated) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="aip"`)
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	http.Error(w, "forbidden", http.StatusForbidden)
}
