package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
)

// Sentinel errors, to be matched with errors.Is.
var (
	// ErrNotConnected: the call needs a connection and there is none; call
	// Connect.
	ErrNotConnected = errors.New("transport: not connected")
	// ErrClosed: this side closed the connection. It matches [net.ErrClosed].
	ErrClosed = fmt.Errorf("transport: closed by this side: %w", net.ErrClosed)
	// ErrAlreadyConnected: Connect was called on a transport that is
	// connected or on its way; close it first, or use another one.
	ErrAlreadyConnected = errors.New("transport: already connected or connecting")
	// ErrMessageTooLarge: a message is over the size limit; send less, split
	// it, or raise the limit on both sides.
	ErrMessageTooLarge = errors.New("transport: message too large")
	// ErrFrameType: a message of one kind arrived where the other was due.
	ErrFrameType = errors.New("transport: wrong kind of message")
	// ErrInvalidUTF8: a text message is not UTF-8.
	ErrInvalidUTF8 = errors.New("transport: text message is not valid UTF-8")
	// ErrPingTimeout: the peer did not answer a ping in time; the connection
	// was given up.
	ErrPingTimeout = errors.New("transport: no sign of life from the peer in time")
	// ErrWriteTimeout: the peer took in no data for too long; the connection
	// was given up.
	ErrWriteTimeout = errors.New("transport: peer stopped reading")
	// ErrInvalidURL: the URL cannot be used by this transport.
	ErrInvalidURL = errors.New("transport: invalid URL")
	// ErrInvalidOptions: an option has a value that it cannot have.
	ErrInvalidOptions = errors.New("transport: invalid options")
	// ErrInvalidStatusCode: a close code that may not be sent.
	ErrInvalidStatusCode = errors.New("transport: close code may not be sent")
)

// Error is a failed operation of a transport: which one, where, and why.
type Error struct {
	// Op is the operation: "connect", "send", "receive", "ping", "close".
	Op string
	// URL is where, without credentials (see [RedactURL]); it may be empty.
	URL string
	// Outcome says for a send what became of the message.
	Outcome Outcome
	// Err is the cause.
	Err error
}

// Error returns the operation, the address, the cause and, for a send, the
// outcome.
func (e *Error) Error() string {
	text := "transport: " + e.Op
	if e.URL != "" {
		text += " " + e.URL
	}
	text += ": " + e.Err.Error()
	if e.Op == "send" {
		text += " (" + e.Outcome.String() + ")"
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// FrameTypeError is a message of the wrong kind. It carries the message, so
// that nothing is lost. It matches [ErrFrameType]; the connection stays open.
type FrameTypeError struct {
	Want, Got Kind
	// Data is the message; the caller owns it.
	Data []byte
}

// Error names both kinds.
func (e *FrameTypeError) Error() string {
	return fmt.Sprintf("transport: got a %s message of %d bytes where a %s message was due; receive it with ReceiveFrame", e.Got, len(e.Data), e.Want)
}

// Is matches [ErrFrameType].
func (e *FrameTypeError) Is(target error) bool { return target == ErrFrameType }

// Outcome is what is known of a message after a send.
type Outcome int

// The outcomes of a send.
const (
	// NotSent: no byte of the message left this side; it may be sent again.
	NotSent Outcome = iota
	// MaybeSent: the message was started; whether the peer has it is unknown.
	MaybeSent
	// Sent: the transport took the whole message over. This is not an
	// acknowledgement by the peer.
	Sent
	// Acked: the peer has processed the message. Only a transport whose peer
	// acknowledges messages reports it, to a [Receipt].
	Acked
)

// String returns "not sent", "maybe sent", "sent" or "acknowledged".
func (o Outcome) String() string {
	switch o {
	case NotSent:
		return "not sent"
	case MaybeSent:
		return "maybe sent"
	case Sent:
		return "sent"
	case Acked:
		return "acknowledged"
	default:
		return fmt.Sprintf("outcome(%d)", int(o))
	}
}

// OutcomeOf tells from the error of a send what became of the message: [Sent]
// for nil, what the [*Error] of a send says, [NotSent] for errors that are
// known to come before sending, and [MaybeSent] for any other, the end of the
// connection included.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return Sent
	}
	var e *Error
	if errors.As(err, &e) && e.Op == "send" {
		return e.Outcome
	}
	var end *CloseError
	if errors.As(err, &end) {
		return MaybeSent // Also if it matches ErrMessageTooLarge: the peer's 1009 does.
	}
	if errors.Is(err, ErrNotConnected) || errors.Is(err, ErrMessageTooLarge) || errors.Is(err, errors.ErrUnsupported) {
		return NotSent
	}
	return MaybeSent
}

// Retryable reports whether trying again later, on a new connection where
// needed, can help. It is false for nil, for what the caller ended or asked
// for wrongly, for a message that is too large, for certificates that do not
// verify, and for close codes that say that the peer will not have it (see
// [CloseError.Retryable]). An error may decide for itself with a method
// Retryable() bool. Everything else, a refused port or an unknown host
// included, is taken to be temporary.
func Retryable(err error) bool {
	if err == nil {
		return false
	}
	var own interface{ Retryable() bool }
	if errors.As(err, &own) {
		return own.Retryable()
	}
	for _, permanent := range []error{
		context.Canceled, ErrClosed, ErrAlreadyConnected, ErrMessageTooLarge, ErrFrameType,
		ErrInvalidUTF8, ErrInvalidURL, ErrInvalidOptions, ErrInvalidStatusCode, errors.ErrUnsupported,
	} {
		if errors.Is(err, permanent) {
			return false
		}
	}
	var (
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		transition  *TransitionError
		parse       *url.Error
	)
	if errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &transition) {
		return false
	}
	return !errors.As(err, &parse) || parse.Op != "parse"
}

// CloseError is the end of a connection: with the peer's close code, with this
// side's, or with none because the connection was lost ([StatusAbnormal]).
//
// It matches [io.EOF] when the peer closed it cleanly (1000 or 1001),
// [ErrClosed] and [net.ErrClosed] when this side's user closed it (with any
// code), and [io.ErrUnexpectedEOF] when it was lost. A 1009 also matches
// [ErrMessageTooLarge], a 1007 [ErrInvalidUTF8].
type CloseError struct {
	Code   StatusCode
	Reason string
	// Remote: the peer ended it; else this side did.
	Remote bool
	// Err is the fault that ended the connection, where one is known; nil
	// after a close that a user, here or there, asked for.
	Err error
}

// Error returns the code, its meaning, the reason and who closed.
func (e *CloseError) Error() string {
	who := "this side"
	if e.Remote {
		who = "the peer"
	}
	text := fmt.Sprintf("connection closed by %s with %s", who, e.Code)
	if e.Code == StatusAbnormal {
		text = "connection lost without a closing handshake"
	}
	if e.Reason != "" {
		text += fmt.Sprintf(" %q", e.Reason)
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the fault. A loss that showed as [io.EOF] of the network
// unwraps to [io.ErrUnexpectedEOF], as nobody said goodbye.
func (e *CloseError) Unwrap() error {
	if e.Code == StatusAbnormal && errors.Is(e.Err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return e.Err
}

// Clean reports whether the connection ended by a close handshake with a code
// that reports no fault: 1000, 1001, or a peer's close frame without a code.
func (e *CloseError) Clean() bool {
	return e.Code == StatusNormal || e.Code == StatusGoingAway || e.Code == StatusNoStatus
}

// Is matches the sentinels named in the type's description.
func (e *CloseError) Is(target error) bool {
	switch target {
	case io.EOF:
		return e.Remote && e.Clean()
	case io.ErrUnexpectedEOF:
		return e.Code == StatusAbnormal
	case ErrClosed, net.ErrClosed:
		return !e.Remote && e.Code != StatusAbnormal && e.Err == nil
	case ErrMessageTooLarge:
		return e.Code == StatusMessageTooBig
	case ErrInvalidUTF8:
		return e.Code == StatusInvalidPayload
	default:
		return false
	}
}

// Retryable reports whether a new connection can help: not after this side's
// own clean close, nor when either side found the other's conduct at fault
// (1002, 1003, 1007, 1008, 1009, 1010, 1015).
func (e *CloseError) Retryable() bool {
	switch e.Code {
	case StatusProtocolError, StatusUnsupportedData, StatusInvalidPayload, StatusPolicyViolation,
		StatusMessageTooBig, StatusMandatoryExtension, StatusTLSHandshake:
		return false
	default:
		return e.Remote || !e.Clean()
	}
}

// RedactURL returns raw without user info and query, both of which carry
// credentials in AIP (spec section 4), for use in errors and logs. What does
// not parse as a URL is left out altogether.
func RedactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.User != nil && u.Host == "" {
		return "(unparsable URL)" // As is user:password@host, whose scheme is "user".
	}
	u.User = nil
	if u.RawQuery != "" {
		u.RawQuery = "redacted"
	}
	u.Fragment, u.RawFragment = "", ""
	return u.String()
}
