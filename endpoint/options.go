package endpoint

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/aip-go/aip/transport"
)

// Dialer opens a connection to url, which it may ignore, and returns it
// connected. The endpoint that calls it owns the result.
type Dialer func(ctx context.Context, url string) (transport.Transport, error)

// The defaults of the endpoints' options.
const (
	defaultConfirmationTimeout  = 15 * time.Second // the client waits
	defaultServerCommandTimeout = 10 * time.Minute
	defaultDeviceCommandTimeout = 5 * time.Minute
	defaultSendTimeout          = time.Minute
	defaultSilenceTimeout       = 6 * time.Minute
	defaultDeviceInfoAge        = 10 * time.Minute
	defaultProbeTimeout         = 5 * time.Second
	defaultHeartbeatInterval    = 25 * time.Second
	defaultAckTimeout           = 30 * time.Second
	defaultInfoTimeout          = 10 * time.Second
	defaultTaskTimeout          = 1000 * time.Second
	defaultMaxMessageSize       = 100 << 20
	defaultMaxRegistrationSize  = 64 << 10
	defaultMaxConnections       = 16384
	defaultMaxTasks             = 64
	defaultCachedResults        = 256
	defaultCachedBytes          = 8 << 20
	defaultCachedAge            = 10 * time.Minute
	defaultResultAge            = 10 * time.Minute
	defaultRetryHint            = time.Second
	defaultDrainGap             = 10 * time.Millisecond // per connection,
	defaultMaxDrainSpread       = 10 * time.Second      // but no more than this
)

// What has no option.
const (
	maxQueuedCommands = 64
	maxLeftoverTools  = 8
	// farewellTimeout is for the last words before a close.
	farewellTimeout = 5 * time.Second
	// forever is what no program waits for.
	forever = 100 * 365 * 24 * time.Hour
)

// durationOr returns the duration that an option's value means: the default
// for zero, forever for a negative one.
func durationOr(value, standard time.Duration) time.Duration {
	switch {
	case value == 0:
		return standard
	case value < 0:
		return forever
	default:
		return value
	}
}

// limitOr returns the limit that an option's value means: the default for
// zero, the largest number for a negative one.
func limitOr[T int | int64](value, standard T) T {
	switch {
	case value == 0:
		return standard
	case value < 0:
		return math.MaxInt
	default:
		return value
	}
}

// invalid returns the error for an option that cannot be what it is.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalidOptions}, args...)...)
}

// closeWith closes t with a code where it has codes. A connection that has
// failed is first given the time to tell the peer why.
func closeWith(t transport.Transport, code transport.StatusCode, reason string) error {
	if t.State() == transport.Failed {
		ctx, cancel := context.WithTimeout(context.Background(), farewellTimeout)
		defer cancel()
		_ = t.WaitClosed(ctx) // how it ended is known already
	}
	if closer, err := transport.As[transport.CodeCloser](t); err == nil {
		return closer.CloseWith(code, reason)
	}
	return t.Close()
}

// abort drops the connection of t, or closes it where it cannot be dropped.
func abort(t transport.Transport, cause error) {
	if aborter, err := transport.As[transport.Aborter](t); err == nil {
		aborter.Abort(cause)
		return
	}
	_ = t.Close()
}
