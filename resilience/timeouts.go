package resilience

import (
	"context"
	"fmt"
	"maps"
	"time"
)

// Operation names what a timeout bounds. A program can have its own.
type Operation string

// The operations of AIP.
const (
	OpRegistration Operation = "registration"
	OpDispatch     Operation = "dispatch"
	OpCommand      Operation = "command"
	OpHeartbeat    Operation = "heartbeat"
	OpDisconnect   Operation = "disconnect"
	OpDeviceInfo   Operation = "device info"
)

// DefaultTimeout is the timeout of operations that have none of their own, as
// in the reference.
const DefaultTimeout = 120 * time.Second

// operationTimeouts has the longest of the times that the reference's documents
// recommend for each operation.
var operationTimeouts = map[Operation]time.Duration{
	OpRegistration: 30 * time.Second,
	OpDispatch:     60 * time.Second,
	OpCommand:      300 * time.Second,
	OpHeartbeat:    10 * time.Second,
	OpDisconnect:   15 * time.Second,
	OpDeviceInfo:   30 * time.Second,
}

// TimeoutOptions configures [Timeouts]. Nil and zero values mean the defaults.
type TimeoutOptions struct {
	// Default is the timeout of operations that have none of their own.
	// Default 120 s; negative for none.
	Default time.Duration
	// Operations has the timeouts of single operations, also of those that the
	// program invents. Zero is the operation's default: 30 s for
	// [OpRegistration] and [OpDeviceInfo], 60 s for [OpDispatch], 300 s for
	// [OpCommand], 10 s for [OpHeartbeat], 15 s for [OpDisconnect], and
	// Default for others. Negative is none.
	Operations map[Operation]time.Duration
}

// Timeouts bounds operations by what is usual for them. The zero value is ready
// and has the defaults. It may be used by any number of goroutines at once.
type Timeouts struct {
	standard   time.Duration
	operations map[Operation]time.Duration
}

// NewTimeouts returns timeouts with the options, which it copies.
func NewTimeouts(opts *TimeoutOptions) *Timeouts {
	if opts == nil {
		return &Timeouts{}
	}
	return &Timeouts{standard: opts.Default, operations: maps.Clone(opts.Operations)}
}

// For returns the timeout of an operation; negative means that it has none.
func (t *Timeouts) For(op Operation) time.Duration {
	for _, timeout := range []time.Duration{t.operations[op], operationTimeouts[op], t.standard} {
		if timeout != 0 {
			return timeout
		}
	}
	return DefaultTimeout
}

// Do runs the operation with its timeout; see [WithTimeout].
func (t *Timeouts) Do(ctx context.Context, op Operation, run func(ctx context.Context) error) error {
	return WithTimeout(ctx, op, t.For(op), run)
}

// DoOrNone runs the operation as Do does, but that its own timeout comes is no
// error: ok reports whether the operation succeeded.
func (t *Timeouts) DoOrNone(ctx context.Context, op Operation, run func(ctx context.Context) error) (ok bool, err error) {
	expired, err := withTimeout(ctx, op, t.For(op), run)
	if expired {
		return false, nil
	}
	return err == nil, err
}

// WithTimeout calls run, in the caller's goroutine, with a context that ends
// with ctx or after timeout, whichever comes first. A negative timeout never
// comes; zero comes at once. run must return when its context ends, and can
// tell from [context.Cause] which it was.
//
// It returns what run returns. Only when the timeout came first is an error of
// run wrapped in a [*TimeoutError]. A success that comes too late is a success.
func WithTimeout(ctx context.Context, op Operation, timeout time.Duration, run func(ctx context.Context) error) error {
	_, err := withTimeout(ctx, op, timeout, run)
	return err
}

// withTimeout reports as well whether the error is that of the timeout.
func withTimeout(ctx context.Context, op Operation, timeout time.Duration, run func(ctx context.Context) error) (expired bool, err error) {
	if timeout < 0 {
		return false, run(ctx)
	}
	cause := &TimeoutError{Operation: op, After: timeout}
	bounded, cancel := context.WithTimeoutCause(ctx, timeout, cause)
	defer cancel()
	err = run(bounded)
	switch {
	case err == nil || context.Cause(bounded) != error(cause):
		return false, err
	case err == error(cause):
		return true, err
	default:
		return true, &TimeoutError{Operation: op, After: timeout, Err: err}
	}
}

// TimeoutError is an operation that took too long. It matches
// [context.DeadlineExceeded] and wraps what the operation returned. The end of
// the caller's own context, by a deadline or otherwise, is not a TimeoutError.
type TimeoutError struct {
	// Operation is what took too long.
	Operation Operation
	// After is its timeout.
	After time.Duration
	// Err is what it returned when its context ended; nil in the cause of that
	// context.
	Err error
}

// Error returns the operation, its timeout, and what it returned.
func (e *TimeoutError) Error() string {
	text := fmt.Sprintf("resilience: %s took longer than %s", e.Operation, e.After)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns what the operation returned.
func (e *TimeoutError) Unwrap() error { return e.Err }

// Is matches [context.DeadlineExceeded].
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout returns true, as for every error of the net package that is a
// timeout.
func (e *TimeoutError) Timeout() bool { return true }

// Retryable returns true: an operation that took too long can be quicker next
// time. Whether it may be repeated is the operation's matter.
func (e *TimeoutError) Retryable() bool { return true }
