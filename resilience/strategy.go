package resilience

import (
	"fmt"
	"time"
)

// Strategy decides whether there is another attempt to connect, and when. A
// program can have its own; [Backoff] is the one of this package.
type Strategy interface {
	// NextDelay returns how long to wait before the next attempt, or false if
	// there is to be none. attempt is how many delays were asked for since the
	// link was last stable: 0 for the first. cause is the failure that makes
	// the attempt necessary; nil if it is not known.
	//
	// It is called from many goroutines at once where links share a strategy,
	// so it must keep nothing for each link, and it must not block.
	NextDelay(attempt int, cause error) (delay time.Duration, ok bool)
}

// Policy is a way in which delays grow. The zero value is [Exponential].
type Policy int

// The policies of AIP (reference: ReconnectionPolicy).
const (
	// Exponential multiplies the delay with each attempt:
	// min(Initial × Multiplier^attempt, Max).
	Exponential Policy = iota
	// Linear adds to the delay with each attempt:
	// min(Initial × (attempt + 1), Max).
	Linear
	// Immediate does not wait. It has no jitter, and so suits a few clients in
	// a network of their own. Its retries must be limited.
	Immediate
	// None makes no attempt at all.
	None
)

// String returns the reference's name of the policy: "exponential_backoff",
// "linear_backoff", "immediate" or "none".
func (p Policy) String() string {
	switch p {
	case Exponential:
		return "exponential_backoff"
	case Linear:
		return "linear_backoff"
	case Immediate:
		return "immediate"
	case None:
		return "none"
	default:
		return fmt.Sprintf("policy(%d)", int(p))
	}
}
