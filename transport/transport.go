package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Transport carries whole messages between two peers. It is everything the
// protocol layers need, and all that a custom transport has to implement; the
// optional interfaces in this file add to it and are found with [As].
//
// Send may be called from any number of goroutines. At most one Receive may
// run at a time. Close, State, IsConnected and WaitClosed may be called at any
// time, concurrently with everything else.
//
// A context bounds the call it is passed to, never the connection: when it
// ends, the call returns and the connection stays usable.
type Transport interface {
	// Connect opens a connection to url and returns when it can carry
	// messages. It fails with [ErrAlreadyConnected] unless the state is
	// [Disconnected]; after a failure the state is [Failed] and the transport
	// needs a reset ([Resetter]) before the next Connect. The context bounds
	// the dial and the handshake only.
	Connect(ctx context.Context, url string) error

	// Send sends data as one text message and returns when the transport has
	// taken it over. The transport does not keep or change data after Send
	// returns. Data larger than the transport's limit is refused with
	// [ErrMessageTooLarge] and the connection stays open. When ctx ends before
	// the message was started, nothing was sent; afterwards the message
	// completes in the background: [OutcomeOf] tells which.
	Send(ctx context.Context, data []byte) error

	// Receive returns the next message. The caller owns the bytes. A binary
	// message is reported as a [*FrameTypeError], which holds its data; the
	// connection stays open. After a clean close by the peer the error matches
	// [io.EOF], after a loss [io.ErrUnexpectedEOF], after a local close
	// [net.ErrClosed]; messages that arrived before are returned first.
	Receive(ctx context.Context) ([]byte, error)

	// Close closes the connection gracefully: it is bounded in time,
	// idempotent, and unblocks every other call. When it returns, everything
	// the connection owned has stopped.
	Close() error

	// WaitClosed waits until the connection has ended and everything it owned
	// has stopped. It returns nil after a clean close, by either side, and
	// else the first cause of the loss. It returns nil at once when there
	// never was a connection, and the context's error when that ends first.
	WaitClosed(ctx context.Context) error

	// IsConnected reports whether the state is [Connected]. It is advisory:
	// the connection may be lost the moment after.
	IsConnected() bool

	// State returns the current state.
	State() State
}

// Kind tells text messages from binary ones. AIP's JSON travels in text
// messages only (spec section 1.1).
type Kind uint8

// The two kinds of message (RFC 6455 section 5.6).
const (
	Text   Kind = 1
	Binary Kind = 2
)

// String returns "text" or "binary".
func (k Kind) String() string {
	switch k {
	case Text:
		return "text"
	case Binary:
		return "binary"
	default:
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
}

// Frame is one whole message with its kind.
type Frame struct {
	Kind Kind
	Data []byte
}

// FrameTransport sends and receives both kinds of message. There is one
// receiver for both, so that two receivers never race for messages.
type FrameTransport interface {
	// SendFrames sends the frames one directly after the other: no other
	// sender's message comes between them. It behaves as Send otherwise;
	// either all frames are sent or, on an error, the outcome holds for all.
	SendFrames(ctx context.Context, frames ...Frame) error

	// ReceiveFrame returns the next message of either kind. It counts as a
	// Receive: only one of either may run at a time.
	ReceiveFrame(ctx context.Context) (Frame, error)
}

// StreamTransport sends and receives a message piece by piece, for messages
// too large to hold in memory.
type StreamTransport interface {
	// SendStream sends what r yields until io.EOF as one message, in memory
	// independent of its length. The context bounds the wait for other
	// senders. Once the message has begun it cannot be taken back: an error of
	// r aborts the connection and is returned.
	SendStream(ctx context.Context, kind Kind, r io.Reader) error

	// ReceiveStream returns the next message as a reader, which ends with
	// io.EOF. The caller must read it to the end or close it (which discards
	// the rest) before the next receive of any form; the context bounds the
	// wait for the message's first part only.
	ReceiveStream(ctx context.Context) (Kind, io.ReadCloser, error)
}

// Pinger checks that the peer answers.
type Pinger interface {
	// Ping asks the peer for a sign of life and waits for it. A ping that
	// ctx ended leaves the connection usable.
	Ping(ctx context.Context) error
}

// Aborter drops the connection at once, without a closing handshake.
type Aborter interface {
	// Abort ends the connection. WaitClosed and the calls it unblocks report
	// an error that wraps cause. It does nothing when there is no connection.
	Abort(cause error)
}

// CodeCloser closes with a status code and a reason for the peer.
type CodeCloser interface {
	// CloseWith is Close with the code and reason that the peer is to see. A
	// reason over 123 bytes is cut at a character boundary (RFC 6455 section
	// 5.5). An invalid code is an error and closes nothing.
	CloseWith(code StatusCode, reason string) error
}

// StateWaiter waits for a change of state.
type StateWaiter interface {
	// WaitState waits until the state differs from from and returns it. It
	// returns the context's error, and the state at that moment, when ctx ends
	// first.
	WaitState(ctx context.Context, from State) (State, error)
}

// Resetter makes a failed transport connectable again.
type Resetter interface {
	// Reset takes the state from [Failed] to [Disconnected]. It does nothing
	// in [Disconnected] and is a [*TransitionError] in any other state.
	Reset() error
}

// ReadLimiter changes the largest message that is accepted from the peer, for
// a server that allows little before registration and more after it.
type ReadLimiter interface {
	// SetReadLimit sets the limit in bytes for the messages that start to
	// arrive from now on; n must be positive.
	SetReadLimit(n int64)
}

// Lender is a transport that can lend messages instead of giving them away, so
// that the memory of large ones is used again.
//
// Borrow is a receive: a wrapper that has to see what is received implements it
// too, or is no Lender. Who must not receive past such a wrapper asks whether the
// transport itself is a Lender; [As] finds also those behind it.
type Lender interface {
	// Borrow waits for the next message, of either kind, and calls use with it.
	// When use returns, the bytes are the transport's again: nothing of them may
	// be kept. Borrow returns the error of use as it is; the message is gone all
	// the same. Other errors are those of [FrameTransport.ReceiveFrame], whose
	// rules for concurrent use apply.
	Borrow(ctx context.Context, use func(Frame) error) error
}

// Backlogger tells how much waits inside the transport.
type Backlogger interface {
	Backlog() Backlog
}

// Backlog is what waits inside a transport: messages and bytes accepted from
// senders and not yet handed to the network, and received and not yet taken.
type Backlog struct {
	SendMessages    int
	SendBytes       int64
	ReceiveMessages int
	ReceiveBytes    int64
}

// Unwrapper is a transport that wraps another one. A wrapper implements those
// optional interfaces whose calls it must see, and [As] finds the others
// behind it.
type Unwrapper interface {
	Unwrap() Transport
}

// As returns t, or the first transport behind it (see [Unwrapper]), as the
// optional interface T. The error matches [errors.ErrUnsupported] when there
// is none.
//
//	frames, err := transport.As[transport.FrameTransport](t)
func As[T any](t Transport) (T, error) {
	for at := t; at != nil; {
		if found, ok := at.(T); ok {
			return found, nil
		}
		wrapper, ok := at.(Unwrapper)
		if !ok {
			break
		}
		at = wrapper.Unwrap()
	}
	var none T
	return none, fmt.Errorf("transport: %T has no %T: %w", t, &none, errors.ErrUnsupported)
}
