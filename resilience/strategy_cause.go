package resilience

import (
	"errors"
	"time"

	"github.com/aip-go/aip/transport"
)

// What the close codes ask for.
const (
	// A client "should reconnect using a randomized delay of 5 - 30s" after a
	// 1012 (IANA registry of close codes, and the message that registers it:
	// ietf.org/mail-archive/web/hybi/current/msg09670.html).
	restartLeast  = 5 * time.Second
	restartWindow = 25 * time.Second
	// A 1013 asks for a user's action or another address before the next
	// attempt; a program without either waits.
	overloadLeast = 30 * time.Second
)

// wish returns what the cause asks for: the least delay, and the shortest
// window of the jitter on top of it.
func (b *Backoff) wish(cause error) (least, window time.Duration) {
	var hint interface {
		RetryAfter() (time.Duration, bool)
	}
	if b.o.MaxRetryAfter >= 0 && errors.As(cause, &hint) {
		if after, ok := hint.RetryAfter(); ok {
			return min(max(after, 0), b.o.MaxRetryAfter), 0
		}
	}
	var closed *transport.CloseError
	if !errors.As(cause, &closed) || !closed.Remote {
		return 0, 0
	}
	switch closed.Code {
	case transport.StatusServiceRestart:
		return restartLeast, restartWindow
	case transport.StatusTryAgainLater:
		return overloadLeast, 0
	default:
		return 0, 0
	}
}

// RetryAfterError marks a failure that is worth another attempt only after some
// time. An example is a registration that is refused because the server has not
// missed the client's old connection yet: attempts in quick succession cannot
// help, and use up the retries.
type RetryAfterError struct {
	// After is the least delay before the next attempt.
	After time.Duration
	// Err is the failure.
	Err error
}

// Error returns the failure and the delay.
func (e *RetryAfterError) Error() string {
	return e.Err.Error() + " (try again after " + e.After.String() + ")"
}

// Unwrap returns the failure.
func (e *RetryAfterError) Unwrap() error { return e.Err }

// RetryAfter returns the least delay before the next attempt; a [Backoff] asks
// for it.
func (e *RetryAfterError) RetryAfter() (time.Duration, bool) { return e.After, true }
