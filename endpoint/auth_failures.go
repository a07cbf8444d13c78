package endpoint

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"
)

// tooOften is a request that is not dealt with because there were too many.
type tooOften struct {
	cause error
	after time.Duration // until the next one
}

func (e *tooOften) Error() string { return e.cause.Error() }
func (e *tooOften) Unwrap() error { return e.cause }

// setRetryAfter tells when to try again, in whole seconds.
func (e *tooOften) setRetryAfter(h http.Header) {
	h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.after.Seconds()))))
}

// prove returns on whose behalf a request comes, as check says; nil for
// everyone's. Addresses whose requests have failed too often are not checked: the
// error is a [*tooOften] then.
func (s *Server) prove(r *http.Request, check func(*http.Request) (*Principal, error)) (*Principal, error) {
	limit, address := s.options.Limits.FailuresPerMinute, s.addressOf(r)
	if after := s.failures.wait(limit, address); after > 0 {
		return nil, &tooOften{ErrTooManyFailures, after}
	}
	p, err := check(r)
	if err != nil && !s.showsNothing(r, err) {
		s.failures.spend(limit, address)
	}
	return p, err
}

// showsNothing reports whether a request has failed because it has no
// credentials: nothing is guessed by that. An Authenticator's word for it is not
// enough.
func (s *Server) showsNothing(r *http.Request, err error) bool {
	if s.options.Authenticate != nil && !errors.Is(err, ErrUnauthenticated) {
		return false
	}
	_, token := RequestToken(r)
	certificate := r.TLS != nil && len(r.TLS.PeerCertificates) > 0
	return !token && !certificate && r.Header.Get("Authorization") == "" && r.Header.Get("X-API-Key") == ""
}

// checkToken compares the token, if there has to be one, in constant time. A
// token given several times counts as its last value, as in the reference.
func (s *Server) checkToken(r *http.Request) (*Principal, error) {
	given, _ := RequestToken(r)
	if s.options.Token != "" && !sameToken(given, s.options.Token) {
		return nil, ErrForbidden
	}
	return nil, nil
}
