package protocol

import (
	"errors"
	"fmt"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// Sentinel errors, to be matched with errors.Is.
var (
	// ErrReading: something else reads from this connection, a Run or another
	// receive; only one may.
	ErrReading = errors.New("protocol: Run or another receive is reading from this connection")
	// ErrNotRunning: calls need Run, and it does not run.
	ErrNotRunning = errors.New("protocol: calls need Run, which is not running")
	// ErrQueueFull: handlers are too slow for what arrives.
	ErrQueueFull = errors.New("protocol: queue of received messages is full")
	// ErrTooManyCalls: as many calls wait for replies as the options allow.
	ErrTooManyCalls = errors.New("protocol: too many calls are waiting for replies")
	// ErrDuplicateCall: another call waits for the same reply; use another id.
	ErrDuplicateCall = errors.New("protocol: another call waits for the same reply")
	// ErrErrorReply: an error is never answered with an error.
	ErrErrorReply = errors.New("protocol: not answering an error with an error")
	// ErrMessage is matched by every [*MessageError].
	ErrMessage = errors.New("protocol: not a valid message")
)

var (
	errUnannounced = errors.New("a binary frame came without the text frame that announces it")
	errNoData      = errors.New("the binary frame that this text frame announces did not come")
	errUnit        = fmt.Errorf("%w: it is part of a binary message or a file transfer; use ReceiveBinary or ReceiveFile", transport.ErrFrameType)
	errNoHandler   = errors.New("nothing here takes binary messages or files")
)

// MessageError is something received that is no valid message. It carries what
// was received, so that nothing is lost; the connection stays open. It matches
// [ErrMessage], and by Err the codec's syntax errors, [messages.ErrInvalid] or
// [transport.ErrFrameType].
type MessageError struct {
	// Kind is the kind of frame that was received.
	Kind transport.Kind
	// Data is the frame; the caller owns it.
	Data []byte
	// Binary is the binary frame that Data announced, if there is one.
	Binary []byte
	// Type and SessionID are what the frame says they are, as far as it can be
	// read; ID is its request_id or else its response_id.
	Type, SessionID, ID string
	// Err is the cause. Its text holds nothing of Data.
	Err error
}

// newMessageError returns the error for data.
func newMessageError(data []byte, kind transport.Kind, cause error) *MessageError {
	if kind == transport.Binary {
		return &MessageError{Kind: kind, Data: data, Err: fmt.Errorf("%w: %w", cause, transport.ErrFrameType)}
	}
	h := readHead(data)
	id := h.RequestID
	if id == "" {
		id = h.ResponseID
	}
	return &MessageError{Kind: kind, Data: data, Type: h.Type, SessionID: h.SessionID, ID: id, Err: cause}
}

// Error says what is wrong, in words that hold nothing of the message.
func (e *MessageError) Error() string {
	return fmt.Sprintf("protocol: received %s frame of %d bytes is not a valid message: %v", e.Kind, len(e.Data), e.Err)
}

// Unwrap returns the cause.
func (e *MessageError) Unwrap() error { return e.Err }

// Is matches [ErrMessage].
func (e *MessageError) Is(target error) bool { return target == ErrMessage }

// Code returns a short code for the cause, fit to be sent to the peer: it
// holds nothing of what the peer sent.
func (e *MessageError) Code() string {
	var middleware *MiddlewareError
	switch {
	case e.Kind == transport.Binary, errors.Is(e.Err, errNoData), errors.Is(e.Err, errUnit):
		return "unexpected_frame"
	case errors.Is(e.Err, errNoHandler):
		return "unsupported"
	case errors.As(e.Err, &middleware):
		return "refused"
	case errors.Is(e.Err, messages.ErrInvalid):
		return "invalid_message"
	default:
		return "malformed_message"
	}
}

// CallError is a call that failed. It wraps the cause, such as a
// [*RemoteError], the context's error, [ErrTooManyCalls], or what ended or
// interrupted the connection.
type CallError struct {
	// Type is the type of the message that was to be answered.
	Type string
	// Outcome says what became of it. After a timeout it is [transport.Sent]
	// or [transport.MaybeSent]: the peer may have acted on it. A transport
	// that reports to receipts (see [transport.Receipt]) may know more: that
	// the peer has it ([transport.Acked]), or that it never left this side.
	Outcome transport.Outcome
	// Err is the cause.
	Err error
}

// Error returns the type, the cause and the outcome.
func (e *CallError) Error() string {
	return fmt.Sprintf("protocol: call with %s message (%s): %v", e.Type, e.Outcome, e.Err)
}

// Unwrap returns the cause.
func (e *CallError) Unwrap() error { return e.Err }

// RemoteError is an error message of the peer that concerns a call of this
// side.
type RemoteError struct {
	// Message is the peer's text. Its wording is the peer's; do not match it.
	Message string
	// SessionID and ID are the session_id and the response_id (of a server) or
	// request_id (of a client) of the error message.
	SessionID, ID string
}

// Error returns the peer's text.
func (e *RemoteError) Error() string {
	text := e.Message
	if text == "" {
		text = "no reason given"
	}
	return "protocol: the peer answered with an error: " + text
}

// MiddlewareError is a message that a middleware stopped.
type MiddlewareError struct {
	// Outgoing: the message was on its way out; else it came in.
	Outgoing bool
	// Type is the message's type.
	Type string
	// Err is the middleware's error.
	Err error
}

// Error returns the direction, the type and the middleware's error.
func (e *MiddlewareError) Error() string {
	direction := "incoming"
	if e.Outgoing {
		direction = "outgoing"
	}
	return fmt.Sprintf("protocol: middleware stopped %s %s message: %v", direction, e.Type, e.Err)
}

// Unwrap returns the middleware's error.
func (e *MiddlewareError) Unwrap() error { return e.Err }

// PanicError is a panic of a handler, of an incoming middleware or extension, or
// of a codec that decodes.
type PanicError struct {
	// Value is what it panicked with, Stack where.
	Value any
	Stack []byte
}

// Error returns the value; the stack is left out.
func (e *PanicError) Error() string { return fmt.Sprintf("protocol: panic: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
