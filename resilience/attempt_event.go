package resilience

import (
	"fmt"
	"time"
)

// AttemptKind says what an [AttemptEvent] reports.
type AttemptKind int

// The kinds of event, in the order in which they can come.
const (
	// AttemptWaiting: the wait of Delay before an attempt begins; Err is the
	// failure that made the attempt necessary.
	AttemptWaiting AttemptKind = iota + 1
	// AttemptStarted: an attempt begins.
	AttemptStarted
	// AttemptFailed: it failed with Err. AttemptWaiting or AttemptsEnded
	// follows.
	AttemptFailed
	// AttemptSucceeded: it succeeded. Nothing follows.
	AttemptSucceeded
	// AttemptsEnded: there are no more attempts; Err is the [*RetryError].
	AttemptsEnded
)

// String returns "waiting", "started", "failed", "succeeded" or "ended".
func (k AttemptKind) String() string {
	switch k {
	case AttemptWaiting:
		return "waiting"
	case AttemptStarted:
		return "started"
	case AttemptFailed:
		return "failed"
	case AttemptSucceeded:
		return "succeeded"
	case AttemptsEnded:
		return "ended"
	default:
		return fmt.Sprintf("kind(%d)", int(k))
	}
}

// AttemptEvent is something that happened in the attempts of one link.
type AttemptEvent struct {
	Kind AttemptKind
	// Attempt is the number of the attempt that is waited for, runs or ended,
	// from 1 for the first of this [Attempts.Do]; of an AttemptsEnded, how many
	// were made.
	Attempt int
	// Delay is the wait, of an AttemptWaiting.
	Delay time.Duration
	// Err is the failure; see the kinds.
	Err error
}
