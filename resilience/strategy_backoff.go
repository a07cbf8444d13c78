package resilience

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/aip-go/aip/transport"
)

// Defaults of [BackoffOptions]: those of the reference, and the spread.
const (
	DefaultInitialDelay  = time.Second
	DefaultMaxDelay      = time.Minute
	DefaultMultiplier    = 2.0
	DefaultRetries       = 5
	DefaultSpread        = 3 * time.Second
	DefaultMaxRetryAfter = 10 * time.Minute
)

// Unlimited as a number of retries means that there is always another one.
const Unlimited = -1

// BackoffOptions configures a [Backoff]. Nil and zero values mean the defaults.
type BackoffOptions struct {
	// Policy is how the delays grow. Default [Exponential].
	Policy Policy
	// Initial is the first delay. Default 1 s.
	Initial time.Duration
	// Max is the longest delay, but for what a cause asks for (see [Backoff]).
	// Default 60 s.
	Max time.Duration
	// Multiplier is the factor of [Exponential], at least 1. Default 2.
	Multiplier float64
	// Retries is how many attempts there are. Default 5; [Unlimited], as any
	// negative number, for no end.
	Retries int

	// NoJitter makes each delay exactly what the policy says. It is for tests
	// and for a lone client: many of them would come back at the same moment.
	NoJitter bool
	// Spread is the shortest window of the jitter: an attempt whose delay is
	// shorter falls anywhere within Spread, or Max if that is shorter. Clients
	// that lost their server at the same moment come back over this time:
	// choose it for their number. With 1,000 of them, the default of 3 s keeps
	// every 100 ms below 12 % of them. Negative for the bare delay.
	Spread time.Duration
	// Rand is the source of the jitter, for repeatable tests. The strategy
	// must be its only user. Nil for the runtime's own.
	Rand rand.Source

	// MaxRetryAfter bounds the wait that a cause asks for with RetryAfter.
	// Default 10 min; negative ignores such wishes.
	MaxRetryAfter time.Duration
	// Retryable says whether another attempt can help after a cause. Nil for
	// [transport.Retryable].
	Retryable func(cause error) bool
}

// Backoff is a [Strategy] that waits longer with each attempt. It may be shared
// by any number of links and goroutines.
//
// Delays have full jitter: each is drawn evenly from zero to what the policy
// says (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015),
// the first one included, for it is the first one that brings all clients of a
// restarted server back. See [BackoffOptions.Spread].
//
// The cause of an attempt counts:
//
//   - After a permanent one there is no attempt: a bad URL, HTTP 401 or 403, a
//     close with 1008 or 1009, and whatever else [transport.Retryable] reports.
//     An error can decide for itself with a method Retryable() bool.
//   - A cause with a method RetryAfter() (time.Duration, bool) sets the least
//     delay, and the jitter comes on top: the Retry-After header of HTTP (RFC
//     9110 section 10.2.3), or a [RetryAfterError].
//   - After the peer's close with 1012 (service restart) the delay is 5 to 30 s,
//     as the code's registration asks for; after 1013 (try again later) it is
//     at least 30 s. RetryAfter takes precedence.
//
// Without jitter the delay is what the policy says, or the least delay if that
// is longer.
type Backoff struct {
	o      BackoffOptions
	random *random
}

// NewBackoff returns a strategy with the options, or an error that matches
// [ErrInvalidOptions].
func NewBackoff(opts *BackoffOptions) (*Backoff, error) {
	var o BackoffOptions
	if opts != nil {
		o = *opts
	}
	switch {
	case o.Policy < Exponential || o.Policy > None:
		return nil, invalid("there is no %s", o.Policy)
	case o.Initial < 0:
		return nil, invalid("Initial is %s, want 0 or more", o.Initial)
	case o.Max < 0:
		return nil, invalid("Max is %s, want 0 or more", o.Max)
	case o.Multiplier != 0 && !(o.Multiplier >= 1 && o.Multiplier <= math.MaxFloat64):
		return nil, invalid("Multiplier is %g, want a number of at least 1", o.Multiplier)
	case o.Policy == Immediate && o.Retries < 0:
		return nil, invalid("immediate attempts without end would flood the server; limit Retries")
	}
	return newBackoff(o), nil
}

// newBackoff returns a strategy with valid options.
func newBackoff(o BackoffOptions) *Backoff {
	setDefault(&o.Initial, DefaultInitialDelay)
	setDefault(&o.Max, DefaultMaxDelay)
	setDefault(&o.Multiplier, DefaultMultiplier)
	setDefault(&o.Retries, DefaultRetries)
	setDefault(&o.Spread, DefaultSpread)
	setDefault(&o.MaxRetryAfter, DefaultMaxRetryAfter)
	if o.Retryable == nil {
		o.Retryable = transport.Retryable
	}
	return &Backoff{o: o, random: newRandom(o.Rand)}
}

// setDefault gives an option that was not set its default.
func setDefault[T comparable](option *T, standard T) {
	var unset T
	if *option == unset {
		*option = standard
	}
}

// NextDelay returns the delay before the attempt, as [Backoff] describes it.
func (b *Backoff) NextDelay(attempt int, cause error) (time.Duration, bool) {
	attempt = max(attempt, 0)
	switch {
	case b.o.Policy == None,
		b.o.Retries >= 0 && attempt >= b.o.Retries,
		cause != nil && !b.o.Retryable(cause):
		return 0, false
	}
	delay := b.delay(attempt)
	least, window := b.wish(cause)
	if b.o.NoJitter {
		return max(delay, least), true
	}
	if b.o.Policy != Immediate {
		window = max(window, delay, min(b.o.Spread, b.o.Max))
	}
	return add(least, b.random.below(window)), true
}

// delay returns what the policy says.
func (b *Backoff) delay(attempt int) time.Duration {
	initial := float64(b.o.Initial)
	var delay float64
	switch b.o.Policy {
	case Exponential:
		delay = initial * math.Pow(b.o.Multiplier, float64(attempt))
	case Linear:
		delay = initial * (float64(attempt) + 1)
	}
	if delay >= float64(b.o.Max) {
		return b.o.Max
	}
	return time.Duration(delay)
}

// add returns the sum, or the longest duration there is.
func add(a, b time.Duration) time.Duration {
	if sum := a + b; sum >= a {
		return sum
	}
	return math.MaxInt64
}
