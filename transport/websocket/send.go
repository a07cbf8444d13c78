package websocket

import (
	"context"
	"fmt"
	"io"

	"github.com/aip-go/aip/internal/lazyctx"
	"github.com/aip-go/aip/internal/utf8text"
	"github.com/aip-go/aip/transport"
)

// check refuses messages that may not be sent.
func (s *settings) check(frames []transport.Frame) error {
	for _, f := range frames {
		if err := checkKind(f.Kind); err != nil {
			return err
		}
		if s.MaxMessageSize > 0 && int64(len(f.Data)) > s.MaxMessageSize {
			return fmt.Errorf("%w: %d bytes, the limit is %d", transport.ErrMessageTooLarge, len(f.Data), s.MaxMessageSize)
		}
		if f.Kind == transport.Text && !utf8text.Valid(f.Data) {
			return transport.ErrInvalidUTF8
		}
	}
	return nil
}

func checkKind(kind transport.Kind) error {
	if kind != transport.Text && kind != transport.Binary {
		return fmt.Errorf("%w: %s is neither text nor binary", transport.ErrFrameType, kind)
	}
	return nil
}

// send sends the messages one directly after the other.
func (c *conn) send(ctx context.Context, frames []transport.Frame) (transport.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return transport.NotSent, err
	}
	if taken, err := c.sendSoon(ctx, frames); taken || err != nil {
		return sentIf(taken, err), err
	}
	e := c.outbox.get(frames)
	// Without an end of the context nobody can leave, and the caller may as
	// well do the work.
	e.alone = !lazyctx.Ends(ctx)
	turn, err := c.outbox.enter(e, e.alone)
	begun := turn
	switch {
	case turn:
		err = c.write(e)
		c.outbox.pass()
	case err == nil:
		if begun, err = c.outbox.await(ctx, e); err != nil && err == ctx.Err() {
			return maybe(begun), err // The entry may still be in use.
		}
	}
	c.outbox.put(e)
	if err != nil {
		return maybe(begun), err
	}
	return transport.Sent, nil
}

const (
	// maxSoon is the most that a message may have to be sent without waiting.
	maxSoon = 16 << 10
	// lone is how many messages are sent one by one, and waited for, before the
	// peer has answered any.
	lone = 8
)

// sendSoon sends small messages together with others if that makes sense, and
// reports whether it has sent them.
func (c *conn) sendSoon(ctx context.Context, frames []transport.Frame) (taken bool, err error) {
	if !c.framed() || c.SendPolicy != SendBlock {
		return false, nil
	}
	size := int64(0)
	for _, f := range frames {
		size += int64(len(f.Data))
	}
	if size > maxSoon {
		return false, nil
	}
	hurry := c.burst.Add(1) <= lone && !c.more.Load() && !c.inbox.behind()
	flush := c.gate.flush
	if !hurry && c.gate.nowait != nil {
		flush = c.gate.tryFlush
	}
	if hurry && lazyctx.Ends(ctx) { // It may have to leave while it is written.
		if c.gate.nowait != nil {
			flush = c.gate.tryFlush
		} else if hurry = false; !c.gate.busy() {
			return false, nil
		}
	}
	taken, flushes, err := c.outbox.sendSoon(frames, size, hurry)
	if flushes {
		err = c.explainTo(ctx, flush())
	}
	return taken, err
}

// sentIf is the outcome of sendSoon.
func sentIf(taken bool, err error) transport.Outcome {
	if err == nil {
		return transport.Sent
	}
	return maybe(taken)
}

// maybe is the outcome of a send that failed.
func maybe(begun bool) transport.Outcome {
	if begun {
		return transport.MaybeSent
	}
	return transport.NotSent
}

// sendStream sends what r yields as one message.
func (c *conn) sendStream(ctx context.Context, kind transport.Kind, r io.Reader) (transport.Outcome, error) {
	if err := checkKind(kind); err != nil {
		return transport.NotSent, err
	}
	if err := ctx.Err(); err != nil {
		return transport.NotSent, err
	}
	e := c.outbox.get(nil)
	turn, err := c.outbox.enter(e, true)
	if err == nil && !turn {
		_, err = c.outbox.await(ctx, e)
	}
	if err != nil {
		return transport.NotSent, err
	}
	defer c.outbox.put(e)
	defer c.outbox.pass()
	b := getBuffer()
	defer b.free()
	s := source{c: c, kind: kind, r: r, b: b}
	return s.send()
}

// source is a stream that is being sent.
type source struct {
	c    *conn
	kind transport.Kind
	r    io.Reader
	b    *buffer
	size int64
	text utf8text.Checker
	err  error // the source's fault
}

func (s *source) send() (transport.Outcome, error) {
	p, last, err := s.piece()
	if err != nil {
		return transport.NotSent, err // Not a byte has left.
	}
	err = s.c.writePieces(s.kind, p, last, s.piece)
	if s.err != nil {
		s.c.lose(s.err)
		return transport.MaybeSent, s.err
	}
	if err == nil {
		err = s.c.flush()
	}
	if err = s.c.explain(err); err != nil {
		return transport.MaybeSent, err
	}
	return transport.Sent, nil
}

// piece reads the next piece and reports whether it is the last one. A fault of
// the source is kept.
func (s *source) piece() (p []byte, last bool, err error) {
	p, last, s.err = s.next()
	return p, last, s.err
}

func (s *source) next() (p []byte, last bool, err error) {
	b := s.b.b[:0]
	for len(b) < maxFragment && !last {
		n, err := s.r.Read(b[len(b):maxFragment])
		b = b[:len(b)+n]
		last = err == io.EOF
		if err != nil && !last {
			return nil, false, err
		}
	}
	s.b.b = b
	s.size += int64(len(b))
	if limit := s.c.MaxMessageSize; limit > 0 && s.size > limit {
		return nil, false, fmt.Errorf("%w: the limit is %d bytes", transport.ErrMessageTooLarge, limit)
	}
	if s.kind == transport.Text && (!s.text.Add(b) || last && !s.text.Complete()) {
		return nil, false, transport.ErrInvalidUTF8
	}
	return b, last, nil
}
