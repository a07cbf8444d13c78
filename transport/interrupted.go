package transport

import (
	"errors"
	"fmt"
)

// ErrInterrupted: the connection was lost, and the peer does not know on the
// next one what went over it. The transport makes that next one by itself.
var ErrInterrupted = errors.New("transport: connection was lost and the peer begins anew")

// InterruptedError is a gap in what a transport that replaces its connections
// carries. A receive returns it once, between the last message of the old
// connection and the first of the new one, as soon as it is certain that
// nothing more will come of the old one. The transport goes on: it makes the
// new connection, unless it has done so already, and registers this side again
// where that is its task. It matches [ErrInterrupted] and the cause.
//
// What the peer owes from before, such as the replies to calls, will not come.
// The receipts of all messages that are concerned are final by then.
type InterruptedError struct {
	// Cause is what ended the old connection.
	Cause error
	// Undelivered are the messages that a send had accepted, that the peer is
	// not known to have processed, and that will not be sent again, the oldest
	// first. Only a transport whose peer acknowledges messages knows them. The
	// caller owns them.
	Undelivered []Undelivered
}

// Undelivered is a message that the peer may not have.
type Undelivered struct {
	// Outcome is [NotSent] or [MaybeSent].
	Outcome Outcome
	// Frames is the message: one frame, or the two of a binary message. A
	// message that was too large to be kept has none.
	Frames []Frame
}

// Error gives the cause and how many messages are concerned.
func (e *InterruptedError) Error() string {
	text := ErrInterrupted.Error()
	if n := len(e.Undelivered); n > 0 {
		text += fmt.Sprintf("; %d messages may not have been delivered", n)
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *InterruptedError) Unwrap() error { return e.Cause }

// Is matches [ErrInterrupted].
func (e *InterruptedError) Is(target error) bool { return target == ErrInterrupted }

// Retryable reports that the transport is usable.
func (e *InterruptedError) Retryable() bool { return true }
