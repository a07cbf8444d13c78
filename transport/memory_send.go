package transport

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/aip-go/aip/internal/utf8text"
)

// Send sends one text message; see [Transport]. It waits while the peer's
// queue is full.
func (m *Memory) Send(ctx context.Context, data []byte) error {
	return m.SendFrames(ctx, Frame{Kind: Text, Data: data})
}

// SendFrames sends the frames as neighbours; see [FrameTransport]. It waits
// until the peer's queue has room for all of them.
func (m *Memory) SendFrames(ctx context.Context, frames ...Frame) error {
	if err := m.sendFrames(ctx, frames); err != nil {
		return &Error{Op: "send", Outcome: NotSent, Err: err}
	}
	return nil
}

func (m *Memory) sendFrames(ctx context.Context, frames []Frame) error {
	var size int64
	for _, frame := range frames {
		if err := m.check(frame); err != nil {
			return err
		}
		size += int64(len(frame.Data))
	}
	e, err := m.current()
	if err != nil || len(frames) == 0 {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	e.wait(len(frames), size)
	defer e.wait(-len(frames), -size)
	if err := e.startSending(ctx); err != nil {
		return err
	}
	defer e.stopSending()
	pieces := make([]memoryPiece, len(frames))
	for i, frame := range frames {
		pieces[i] = memoryPiece{kind: frame.Kind, data: append([]byte{}, frame.Data...), first: true, last: true}
	}
	return e.send(ctx, new(memoryMessage), pieces...)
}

// check refuses what may not be sent.
func (m *Memory) check(frame Frame) error {
	if frame.Kind != Text && frame.Kind != Binary {
		return fmt.Errorf("%w: %s is neither text nor binary", ErrFrameType, frame.Kind)
	}
	if limit := m.options.MaxMessageSize; limit >= 0 && int64(len(frame.Data)) > limit {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrMessageTooLarge, len(frame.Data), limit)
	}
	if frame.Kind == Text && !utf8text.Valid(frame.Data) {
		return ErrInvalidUTF8
	}
	return nil
}

// startSending waits for the messages of other senders; stopSending lets the
// next one begin. Channels serve those who wait in order.
func (e *memoryEnd) startSending(ctx context.Context) error {
	select {
	case e.sending <- struct{}{}:
		return nil
	case <-e.done:
		return e.ended()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *memoryEnd) stopSending() { <-e.sending }

// send puts the pieces into the peer's queue, as soon as there is room.
func (e *memoryEnd) send(ctx context.Context, message *memoryMessage, pieces ...memoryPiece) error {
	for {
		full, err := e.deliver(message, pieces...)
		if full == nil {
			return err
		}
		select {
		case <-full:
		case <-e.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// streamPiece is how much of a stream is read, and sent, at a time.
const streamPiece = 64 << 10

// SendStream sends what r yields as one message; see [StreamTransport]. It
// holds one piece of 64 KiB, beside what fits in the peer's queue. A stream
// that turns out to be over this side's MaxMessageSize aborts the connection.
func (m *Memory) SendStream(ctx context.Context, kind Kind, r io.Reader) error {
	if err := m.check(Frame{Kind: kind}); err != nil {
		return &Error{Op: "send", Outcome: NotSent, Err: err}
	}
	e, err := m.current()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return &Error{Op: "send", Outcome: NotSent, Err: err}
	}
	e.wait(1, 0)
	defer e.wait(-1, 0)
	if err := e.startSending(ctx); err != nil {
		return &Error{Op: "send", Outcome: NotSent, Err: err}
	}
	defer e.stopSending()
	if outcome, err := e.stream(ctx, kind, r); err != nil {
		return &Error{Op: "send", Outcome: outcome, Err: err}
	}
	return nil
}

func (e *memoryEnd) stream(ctx context.Context, kind Kind, r io.Reader) (Outcome, error) {
	var message memoryMessage
	var size int64
	limit := e.side.options.MaxMessageSize
	buffer := make([]byte, streamPiece)
	for outcome := NotSent; ; outcome = MaybeSent {
		n, err := fill(r, buffer)
		size += int64(n)
		if err != nil && err != io.EOF {
			e.abort(err)
			return outcome, err
		}
		if limit >= 0 && size > limit {
			err := fmt.Errorf("%w: the stream is over the limit of %d bytes", ErrMessageTooLarge, limit)
			e.abort(err)
			return outcome, err
		}
		last := err == io.EOF
		piece := memoryPiece{kind: kind, data: bytes.Clone(buffer[:n]), first: outcome == NotSent, last: last}
		if err := e.send(ctx, &message, piece); err != nil {
			return outcome, err
		}
		if last {
			return Sent, nil
		}
		ctx = context.WithoutCancel(ctx)
	}
}

// fill reads until the buffer is full or r reports an error.
func fill(r io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var got int
		got, err = r.Read(buffer[n:])
		n += got
	}
	return n, err
}
