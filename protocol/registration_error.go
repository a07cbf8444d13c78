package protocol

import (
	"errors"
	"fmt"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// RegistrationFailure says in which way a registration failed.
type RegistrationFailure int

// The ways in which a registration fails.
const (
	// RegistrationRefused: the server answered with an error.
	RegistrationRefused RegistrationFailure = iota + 1
	// RegistrationInvalid: the peer's first message is not what it has to be.
	RegistrationInvalid
	// RegistrationTimeout: the peer's first message did not come in time.
	RegistrationTimeout
	// RegistrationLost: the connection or the context ended, or the first
	// message could not be sent.
	RegistrationLost
)

// String returns "refused", "invalid", "timeout" or "lost".
func (f RegistrationFailure) String() string {
	switch f {
	case RegistrationRefused:
		return "refused"
	case RegistrationInvalid:
		return "invalid"
	case RegistrationTimeout:
		return "timeout"
	case RegistrationLost:
		return "lost"
	default:
		return fmt.Sprintf("failure(%d)", int(f))
	}
}

// RegistrationError is a registration that failed. The connection cannot be
// used any more: close it.
type RegistrationError struct {
	Failure RegistrationFailure
	// Err is the cause: of a refusal a [*RemoteError] with the server's text.
	Err error
}

// Error gives the failure and the cause.
func (e *RegistrationError) Error() string {
	return fmt.Sprintf("protocol: registration failed (%s): %v", e.Failure, e.Err)
}

// Unwrap returns the cause.
func (e *RegistrationError) Unwrap() error { return e.Err }

// Retryable reports whether another attempt, on a new connection, can help. A
// refusal counts as temporary, because the reference refuses a client whose
// old connection it has not missed yet, and a target that is not online (see
// [RegistrationError.RetryAfter]), unless the server has closed with a code that
// says otherwise, such as 1008 (see [Registration.RefuseForGood]). A peer whose
// first message is wrong does not speak AIP.
func (e *RegistrationError) Retryable() bool {
	switch e.Failure {
	case RegistrationRefused:
		var end *transport.CloseError
		return !errors.As(e.Err, &end) || end.Retryable()
	case RegistrationTimeout:
		return true
	case RegistrationInvalid:
		return false
	default:
		return transport.Retryable(e.Err)
	}
}

// refusedRetryAfter is how long to wait after a refusal. The reference refuses
// a client as long as it holds on to that client's half-open old connection,
// about 50 s (spec section 8, D4). Attempts in quick succession, such as those
// of its own client after 2, 4 and 8 s (section 6.2), are used up by then; a
// few at this distance are not. The refusal is a text for people, so that this
// cause cannot be told from others.
const refusedRetryAfter = 10 * time.Second

// RetryAfter returns the least delay before another attempt, and whether there
// is one: 10 seconds after a refusal, else what the cause asks for.
func (e *RegistrationError) RetryAfter() (time.Duration, bool) {
	if e.Failure == RegistrationRefused {
		return refusedRetryAfter, true
	}
	var hint interface {
		RetryAfter() (time.Duration, bool)
	}
	if errors.As(e.Err, &hint) {
		return hint.RetryAfter()
	}
	return 0, false
}

// firstMessageError is a first message of a kind that cannot be the first.
type firstMessageError struct {
	kind string
	want string
}

func (e *firstMessageError) Error() string {
	return fmt.Sprintf("the first message is a %s message; it has to be %s", e.kind, e.want)
}

func (e *firstMessageError) Is(target error) bool { return target == messages.ErrInvalid }
