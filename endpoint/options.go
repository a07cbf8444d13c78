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
	defaultConfirmationTimeout        = 15 * time.Second // the client waits
	defaultServerCommandTimeout       = 10 * time.Minute
	defaultDeviceCommandTimeout       = 5 * time.Minute
	defaultSendTimeout                = time.Minute
	defaultHeartbeatInterval          = 25 * time.Second
	defaultAckTimeout                 = 30 * time.Second
	defaultInfoTimeout                = 10 * time.Second
	defaultTaskTimeout                = 1000 * time.Second
	defaultMaxMessageSize             = 100 << 20
	defaultMaxRegistrationSize        = 64 << 10
	defaultMaxConnections             = 16384
	defaultMaxTasks                   = 64
	defaultMaxQueuedCommands          = 64
	maxRememberedCommands             = 1024
	maxLeftoverTools                  = 8
	farewellTimeout                   = 5 * time.Second            // for the last words before a close
	forever                           = 100 * 365 * 24 * time.Hour // which no program waits for
	noLimit                     int64 = math.MaxInt64
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
// zero, none for a negative one.
func limitOr(value, standard int64) int64 {
	switch {
	case value == 0:
		return standard
	case value < 0:
		return noLimit
	default:
		return value
	}
}

// invalid returns the error for an option that cannot be what it is.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalidOptions}, args...)...)
}

// closeWith closes t with a code where it has codes.
func closeWith(t transport.Transport, code transport.StatusCode, reason string) error {
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
