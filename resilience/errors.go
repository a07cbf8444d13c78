package resilience

import (
	"context"
	"errors"
	"fmt"

	"github.com/aip-go/aip/transport"
)

// Sentinel errors, to be matched with errors.Is.
var (
	// ErrInvalidOptions: an option has a value that it cannot have.
	ErrInvalidOptions = errors.New("resilience: invalid options")
	// ErrGaveUp: the strategy allows no further attempt. Change what the cause
	// names, or use a strategy with more retries (see [Unlimited]).
	ErrGaveUp = errors.New("resilience: gave up")
	// ErrBusy: attempts are running already, for this link or this device;
	// wait for them to end.
	ErrBusy = errors.New("resilience: attempts are running already")
	// ErrDisconnected is the cause where nobody knows a better one.
	ErrDisconnected = errors.New("resilience: disconnected")
	// ErrClosed: the manager was closed; make another one.
	ErrClosed = errors.New("resilience: heartbeat manager closed")
)

// RetryError is the end of attempts without success. It matches [ErrGaveUp]
// when the strategy ended them and the context's error and cause when the
// context did, and in both cases the last failure.
type RetryError struct {
	// Attempts is how many were made.
	Attempts int
	// Err is why there are no more: [ErrGaveUp] or the context's error.
	Err error
	// Cause is the last failure: of the last attempt or, if there was none, of
	// what came before. It is nil if nothing had failed yet.
	Cause error
}

// Error returns the number of attempts, why they ended, and the last failure.
func (e *RetryError) Error() string {
	attempts := "attempts"
	if e.Attempts == 1 {
		attempts = "attempt"
	}
	text := fmt.Sprintf("%v after %d %s", e.Err, e.Attempts, attempts)
	if !errors.Is(e.Err, ErrGaveUp) {
		text = fmt.Sprintf("resilience: stopped after %d %s: %v", e.Attempts, attempts, e.Err)
	}
	if e.Cause != nil {
		text += "; last failure: " + e.Cause.Error()
	}
	return text
}

// Unwrap returns Err and Cause.
func (e *RetryError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// Retryable reports whether the attempts ended for their number alone, so that
// more of them can help: the cause is not permanent, and no context ended.
func (e *RetryError) Retryable() bool {
	return errors.Is(e.Err, ErrGaveUp) && transport.Retryable(e.Cause)
}

// invalid returns the error for an option that cannot be what it is.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalidOptions}, args...)...)
}

// ended returns the error of ctx, which has ended, with its cause.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == err {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}
