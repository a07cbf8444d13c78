package protocol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// BinaryMessage is a received binary message (spec section 1.7). Its receiver
// owns all of it.
type BinaryMessage struct {
	// Data is the content.
	Data []byte
	// Metadata is what came with it: the sender's own keys, and "type",
	// "size" and "timestamp". The protocol says nothing about the types of the
	// sender's keys; see [BinaryMessage.Model].
	Metadata messages.Object
	// Verified: there is a checksum, and it is right.
	Verified bool
}

// binaryKeys are the keys of [messages.BinaryMetadata].
var binaryKeys = []string{"type", "filename", "mime_type", "size", checksumKey, "session_id", "description", "timestamp"}

// Model returns the metadata as the protocol's model. A declared key whose
// value is of another type than the model's is left unset; the keys that the
// model does not have are in its Extra.
func (m *BinaryMessage) Model() messages.BinaryMetadata {
	str := func(key string) string {
		s, _, _ := stringField(m.Metadata, key)
		return s
	}
	return messages.BinaryMetadata{
		Type: str("type"), Filename: str("filename"), MIMEType: str("mime_type"), Size: int64(len(m.Data)),
		Checksum: str(checksumKey), SessionID: str("session_id"), Description: str("description"),
		Timestamp: str("timestamp"), Extra: extraOf(m.Metadata, binaryKeys),
	}
}

// BinaryError is a binary message that came and is not right. It carries the
// message, so that nothing is lost; the connection stays open. It matches
// [ErrSize] (see [*SizeMismatchError]), [ErrChecksum] or [ErrMetadata], or is a middleware's
// [*MiddlewareError].
type BinaryError struct {
	Message *BinaryMessage
	Err     error
}

// Error returns the cause.
func (e *BinaryError) Error() string { return "protocol: binary message: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *BinaryError) Unwrap() error { return e.Err }

// SizeMismatchError is a binary message of another length than announced, in
// bytes. It matches [ErrSize].
type SizeMismatchError struct {
	Announced, Got int64
}

// Error returns both lengths.
func (e *SizeMismatchError) Error() string {
	return fmt.Sprintf("announced with %d bytes, got %d", e.Announced, e.Got)
}

// Is matches [ErrSize].
func (e *SizeMismatchError) Is(target error) bool { return target == ErrSize }

// BinaryOptions configures the receiving of binary messages. Nil and the zero
// value mean the defaults.
type BinaryOptions struct {
	// AllowMissingSize accepts metadata without a size.
	AllowMissingSize bool
	// IgnoreChecksum leaves checksums to the program.
	IgnoreChecksum bool
}

// SendBinary sends data as a binary message: a text frame with metadata and a
// binary frame, between which no other sender's frame comes. The metadata has
// the caller's members in their order and then "type", "size" and "timestamp",
// which replace members of the same name in their places. Neither metadata nor
// data is kept or changed. It may be called concurrently.
//
// The error matches [errors.ErrUnsupported] if the transport has no binary
// messages, [ErrLimit] if the metadata is longer than 1 MiB; a middleware's is
// a [*MiddlewareError]; the others are the transport's, and
// [transport.OutcomeOf] tells what became of the message as a whole.
func (p *AIPProtocol[Out, In]) SendBinary(ctx context.Context, data []byte, metadata messages.Object) error {
	text, err := p.announcement(ctx, int64(len(data)), metadata)
	if err != nil {
		p.failed("send", err)
		return notSent(err)
	}
	return p.sendUnit(ctx, text, data)
}

// announcement returns the text frame of a binary message of size bytes.
func (p *AIPProtocol[Out, In]) announcement(ctx context.Context, size int64, metadata messages.Object) ([]byte, error) {
	o := slices.Clone(metadata)
	o.Set("type", textValue(messages.BinaryDataType))
	o.Set("size", numberValue(size))
	o.Set("timestamp", textValue(messages.Timestamp(time.Now())))
	o, err := p.outgoingBinary(ctx, o)
	if err != nil {
		return nil, err
	}
	text := appendMetadata(nil, o)
	if len(text) > maxMetadata {
		return nil, fmt.Errorf("%w: metadata of %d bytes, at most %d are sent", ErrLimit, len(text), maxMetadata)
	}
	return text, nil
}

// ReceiveBinary waits for the next binary message. It reads from the
// connection like Receive; while Run reads, it is [ErrReading] (see
// [AIPProtocol.HandleBinary]).
//
// When something else arrives, the error matches [ErrOrder], and a message or
// a file that it was is what the next receive for it gets; what is no message
// at all is in the error, a [*MessageError]. A binary message that is not
// right is in the error too, a [*BinaryError]. In all these cases, and when
// ctx ends, the connection stays open and nothing is lost. Other errors are
// the transport's.
func (p *AIPProtocol[Out, In]) ReceiveBinary(ctx context.Context, opts *BinaryOptions) (*BinaryMessage, error) {
	if err := p.beginReading(); err != nil {
		return nil, err
	}
	defer p.endReading()
	for {
		in, err := p.pull(ctx)
		switch {
		case err != nil:
			return nil, err
		case in.unit != nil && p.units.leftover(in.unit):
		case in.unit != nil && in.unit.kind == unitBinary:
			o, err := p.unitMetadata(ctx, in.unit)
			if err != nil {
				return nil, err
			}
			return newBinaryMessage(o, in.unit.data, opts)
		case in.err != nil:
			return nil, fmt.Errorf("%w: %w", ErrOrder, in.err)
		default:
			p.putBack(in)
			return nil, fmt.Errorf("%w: %s where a binary message is due", ErrOrder, nameOf(in))
		}
	}
}

// nameOf says what in is, for errors.
func nameOf[In Message](in inbound[In]) string {
	if in.message != nil {
		return "a message of type " + typeOf(in.message)
	}
	return "a frame of type " + readHead(in.unit.text).Type
}

// unitMetadata returns the metadata of a unit, through the middleware for that
// of binary messages.
func (p *AIPProtocol[Out, In]) unitMetadata(ctx context.Context, u *frameUnit) (messages.Object, error) {
	o, err := decodeMetadata(u.text)
	if err != nil {
		return nil, unitError(u, err)
	}
	if u.kind != unitBinary {
		return o, nil
	}
	screened, err := p.incomingBinary(ctx, o)
	if err != nil {
		return nil, &BinaryError{Message: &BinaryMessage{Data: u.data, Metadata: o}, Err: err}
	}
	return screened, nil
}

// unitError returns the error for a unit that nothing could be done with.
func unitError(u *frameUnit, cause error) *MessageError {
	err := newMessageError(u.text, transport.Text, cause)
	err.Binary = u.data
	return err
}

// newBinaryMessage checks a binary message.
func newBinaryMessage(o messages.Object, data []byte, opts *BinaryOptions) (*BinaryMessage, error) {
	if opts == nil {
		opts = &BinaryOptions{}
	}
	m := &BinaryMessage{Data: data, Metadata: o}
	size, ok, err := intField(o, "size")
	switch {
	case err != nil:
	case ok && size != int64(len(data)):
		err = &SizeMismatchError{Announced: size, Got: int64(len(data))}
	case !ok && !opts.AllowMissingSize:
		err = fmt.Errorf("%w: %q is missing", ErrMetadata, "size")
	}
	if err == nil && !opts.IgnoreChecksum {
		m.Verified, err = verifyChecksum(o, data)
	}
	if err != nil {
		return nil, &BinaryError{Message: m, Err: err}
	}
	return m, nil
}

// HandleBinary makes [AIPProtocol.Run] call handler with each binary message,
// one at a time, in the order of arrival among the messages, and replaces the
// handler set before. A message that is not right is an error of Run's, as if
// a handler had returned it.
func (p *AIPProtocol[Out, In]) HandleBinary(opts *BinaryOptions, handler func(ctx context.Context, m *BinaryMessage) error) error {
	if handler == nil {
		return fmt.Errorf("%w: no handler", ErrInvalidOptions)
	}
	var copied BinaryOptions
	if opts != nil {
		copied = *opts
	}
	p.units.setBinary(func(ctx context.Context, o messages.Object, data []byte) error {
		m, err := newBinaryMessage(o, data, &copied)
		if err != nil {
			return err
		}
		return handler(ctx, m)
	})
	return nil
}

// handleUnit hands a unit to the handler of files or of binary messages, and
// reports whether one takes it.
func (p *AIPProtocol[Out, In]) handleUnit(ctx context.Context, u *frameUnit) (taken bool, err error) {
	if p.units.leftover(u) {
		return true, nil
	}
	binary, files := p.units.handlers()
	if u.kind != unitBinary {
		binary = nil
	}
	if binary == nil && files == nil {
		return false, nil
	}
	o, err := p.unitMetadata(ctx, u)
	if err != nil {
		return true, err
	}
	if files != nil {
		if err := p.handleFile(ctx, u.kind, o, u.data); !errors.Is(err, errNotTransfer) {
			return true, err
		}
	}
	if binary == nil {
		return false, nil
	}
	return true, binary(ctx, o, u.data)
}
