package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Receive returns the next message; see [Transport].
func (m *Memory) Receive(ctx context.Context) ([]byte, error) {
	frame, err := m.ReceiveFrame(ctx)
	if err != nil {
		return nil, err
	}
	if frame.Kind != Text {
		return nil, &Error{Op: "receive", Err: &FrameTypeError{Want: Text, Got: frame.Kind, Data: frame.Data}}
	}
	return frame.Data, nil
}

// ReceiveFrame returns the next message of either kind; see [FrameTransport].
func (m *Memory) ReceiveFrame(ctx context.Context) (Frame, error) {
	frame, err := m.receiveFrame(ctx)
	if err != nil {
		return Frame{}, &Error{Op: "receive", Err: err}
	}
	return frame, nil
}

func (m *Memory) receiveFrame(ctx context.Context) (Frame, error) {
	e, err := m.startReceiving(ctx)
	if err != nil {
		return Frame{}, err
	}
	defer e.stopReceiving()
	for {
		// What a cancelled receive took stays in taken for the next one.
		taken, err := e.begin(ctx)
		if err != nil {
			return Frame{}, err
		}
		if !taken.last {
			if err := e.more(ctx, taken); err != nil {
				return Frame{}, err
			}
			continue
		}
		e.finishMessage()
		return Frame{Kind: taken.kind, Data: taken.data}, nil
	}
}

// ReceiveStream returns the next message as a reader; see [StreamTransport].
// Closing the reader does not wait: the next receive skips the rest.
func (m *Memory) ReceiveStream(ctx context.Context) (Kind, io.ReadCloser, error) {
	e, err := m.startReceiving(ctx)
	if err != nil {
		return 0, nil, &Error{Op: "receive", Err: err}
	}
	taken, err := e.begin(ctx)
	if err != nil {
		e.stopReceiving()
		return 0, nil, &Error{Op: "receive", Err: err}
	}
	return taken.kind, &memoryReader{end: e, taken: taken}, nil
}

// startReceiving waits for the receive that runs, if there is one.
func (m *Memory) startReceiving(ctx context.Context) (*memoryEnd, error) {
	e, err := m.current()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case e.taking <- struct{}{}:
		return e, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *memoryEnd) stopReceiving() { <-e.taking }

// memoryTaken is a message that is being taken from the queue. It belongs to
// whoever holds the token of taking.
type memoryTaken struct {
	kind    Kind
	data    []byte // what was taken and not yet handed out
	last    bool   // the rest of the message is in data
	discard bool   // nobody wants the rest
}

// begin returns the message whose receive was cancelled half way, or waits for
// the next one.
func (e *memoryEnd) begin(ctx context.Context) (*memoryTaken, error) {
	for {
		taken := e.partial
		switch {
		case taken == nil:
			e.partial = &memoryTaken{}
			err := e.more(ctx, e.partial)
			if err != nil {
				e.partial = nil
				return nil, err
			}
		case !taken.discard:
			return taken, nil
		case taken.last:
			e.partial = nil
		default:
			if err := e.more(ctx, taken); err != nil {
				return nil, err
			}
		}
	}
}

// finishMessage lets the next message begin.
func (e *memoryEnd) finishMessage() { e.partial = nil }

// more waits for the next piece and adds it to taken. Pieces that arrived
// before the end of the connection come before the error that reports it.
func (e *memoryEnd) more(ctx context.Context, taken *memoryTaken) error {
	for {
		piece, changed, err := e.take()
		switch {
		case err != nil && taken.kind != 0 && !taken.discard:
			e.partial = nil
			return incomplete(err)
		case err != nil:
			return err
		case changed == nil:
			taken.add(piece)
			return nil
		}
		select {
		case <-changed:
		case <-e.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// incomplete returns the error for a message of which only the beginning
// arrived. It must not look like a clean end, even if the connection's was one.
func incomplete(end error) error {
	if errors.Is(end, io.EOF) {
		return fmt.Errorf("the message is incomplete: %w: %v", io.ErrUnexpectedEOF, end)
	}
	return fmt.Errorf("the message is incomplete: %w: %w", io.ErrUnexpectedEOF, end)
}

// take removes a piece from the queue. When the queue is empty it returns a
// channel that is closed when it may not be, or what ended the connection.
func (e *memoryEnd) take() (piece memoryPiece, empty <-chan struct{}, err error) {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	piece, ok := e.queue.take()
	switch {
	case ok:
		return piece, nil, nil
	case e.cause != nil:
		return memoryPiece{}, nil, e.cause
	default:
		return memoryPiece{}, e.queue.watch(), nil
	}
}

func (t *memoryTaken) add(piece memoryPiece) {
	t.kind, t.last = piece.kind, piece.last
	switch {
	case t.discard:
	case t.data == nil:
		t.data = piece.data
	default:
		t.data = append(t.data, piece.data...)
	}
}

// memoryReader reads one message. It holds the token of taking until the
// message is read or closed.
type memoryReader struct {
	end   *memoryEnd
	taken *memoryTaken
	err   error // what every further Read returns
}

// Read returns the next bytes of the message, and io.EOF at its end. An error
// that matches io.ErrUnexpectedEOF means that the connection ended first.
func (r *memoryReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.taken.data) == 0 {
		if r.taken.last {
			r.end.finishMessage()
			return 0, r.stop(io.EOF)
		}
		r.taken.data = nil
		if err := r.end.more(context.Background(), r.taken); err != nil {
			return 0, r.stop(&Error{Op: "receive", Err: err})
		}
	}
	n := copy(p, r.taken.data)
	r.taken.data = r.taken.data[n:]
	return n, nil
}

// Close gives up the rest of the message.
func (r *memoryReader) Close() error {
	if r.err == nil {
		r.taken.data, r.taken.discard = nil, true
		r.stop(ErrClosed)
	}
	return nil
}

func (r *memoryReader) stop(err error) error {
	r.err = err
	r.end.stopReceiving()
	return err
}
