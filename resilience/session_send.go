package resilience

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/aip-go/aip/transport"
)

// send sends one message: a text frame and, if it announces one, its binary
// frame. It keeps nothing of either. raw, if it is not nil, are the frames as a
// plain session writes them; text may then be nil, for frames that only such a
// session can send.
func (s *session) send(ctx context.Context, text, binary []byte, raw []transport.Frame) error {
	receipt, delivery := transport.ReceiptOf(ctx), transport.DeliveryOf(ctx)
	err := s.accept(ctx, text, binary, raw, receipt, delivery)
	if errors.Is(err, errVolatile) {
		receipt.Report(transport.NotSent, true)
		return nil
	}
	if err != nil {
		err = sendError(err)
		receipt.Report(transport.OutcomeOf(err), true)
	}
	return err
}

// sendFrames sends frames one directly after the other.
func (s *session) sendFrames(ctx context.Context, frames []transport.Frame) error {
	switch {
	case len(frames) == 0:
		return nil
	case len(frames) == 1 && frames[0].Kind == transport.Text:
		return s.send(ctx, frames[0].Data, nil, nil)
	case len(frames) == 2 && frames[0].Kind == transport.Text && frames[1].Kind == transport.Binary:
		return s.send(ctx, frames[0].Data, nonNil(frames[1].Data), frames)
	default:
		return s.send(ctx, nil, nil, frames)
	}
}

// errVolatile: a message was dropped, as its sender wants.
var errVolatile = errors.New("resilience: dropped")

// sendError returns err as the error of a send: NotSent, unless it says better.
func sendError(err error) error {
	var e *transport.Error
	if errors.As(err, &e) && e.Op == "send" {
		return err
	}
	return &transport.Error{Op: "send", Outcome: transport.NotSent, Err: err}
}

// accept is send without the reports.
func (s *session) accept(ctx context.Context, text, binary []byte, raw []transport.Frame, receipt *transport.Receipt, delivery transport.Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	size := int64(len(text) + len(binary) + maxEnvelope)
	s.mu.Lock()
	for {
		switch {
		case s.closing:
			s.mu.Unlock()
			return transport.ErrClosed
		case s.ended != nil:
			defer s.mu.Unlock()
			return s.ended
		}
		obstacle, err := s.admit(text, size, delivery)
		switch {
		case err != nil:
			s.mu.Unlock()
			return err
		case obstacle == nothing && raw != nil && text == nil && (s.numbered || s.conn == nil):
			s.mu.Unlock()
			return fmt.Errorf("%w: these frames are not one message of AIP", errors.ErrUnsupported)
		case obstacle == nothing:
			if s.numbered {
				return s.sendNumbered(ctx, text, binary, receipt, delivery) // unlocks
			}
			if s.conn == nil {
				defer s.mu.Unlock()
				return s.hold(text, binary, receipt)
			}
			c := s.conn
			s.mu.Unlock()
			return s.sendPlain(ctx, c, text, raw, receipt)
		}
		read := false
		if obstacle == full && s.numbered {
			// It is an ack that makes room. The program may be busy sending and
			// not receive, so that nobody else reads it.
			read, err = s.pump(ctx)
		}
		if !read && err == nil {
			err = s.wait(ctx)
		}
		if err != nil {
			s.mu.Unlock()
			return err
		}
	}
}

// obstacle is what a message has to wait for.
type obstacle uint8

const (
	nothing obstacle = iota
	busy             // until what is being written is written
	full             // until there is room
)

// admit decides whether a message can be taken over now, has to wait, or is
// refused. The session is locked.
func (s *session) admit(text []byte, size int64, delivery transport.Delivery) (obstacle, error) {
	if s.conn == nil && delivery != transport.Buffered {
		switch {
		case delivery == transport.Volatile:
			return nothing, errVolatile
		case s.opening:
			return busy, nil
		default:
			return nothing, transport.ErrNotConnected
		}
	}
	o := nothing
	large := size > s.limits.bytes
	switch {
	case !s.numbered && s.conn != nil:
		if s.out.len() > 0 { // What waited for the connection goes first.
			o = busy
		}
	case large && s.conn == nil:
		return nothing, fmt.Errorf("%w: %w", transport.ErrMessageTooLarge, errNotKept)
	case s.exclusive || large && (s.conn.broken || s.conn.flushing || s.pending(s.conn)):
		o = busy
	case !large && (s.out.len() >= s.limits.messages || s.out.bytes+size > s.limits.bytes) && !(s.numbered && unnumbered(text)):
		o = full
	}
	if o != nothing && delivery == transport.Volatile {
		return nothing, errVolatile
	}
	return o, nil
}

// unnumbered reports whether a text frame is not numbered, and so not kept.
func unnumbered(text []byte) bool {
	switch roleOf(text) {
	case roleHeartbeat, roleBareHeartbeat, roleRegister:
		return true
	default:
		return false
	}
}

// hold keeps a message of a plain session until there is a connection. The
// session is locked.
func (s *session) hold(text, binary []byte, receipt *transport.Receipt) error {
	s.out.push(&outgoing{
		KeptMessage: KeptMessage{Text: nonNil(slices.Clone(text)), Binary: slices.Clone(binary)},
		held:        true, receipt: receipt,
	})
	return nil
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// sendPlain sends a message of a plain session.
func (s *session) sendPlain(ctx context.Context, c *conn, text []byte, raw []transport.Frame, receipt *transport.Receipt) error {
	var err error
	switch {
	case raw == nil:
		err = c.t.Send(ctx, text)
	case c.frames == nil:
		err = errNoBinary
	default:
		err = c.frames.SendFrames(ctx, raw...)
	}
	if err == nil {
		receipt.Report(transport.Sent, true)
	}
	return err
}

// sendNumbered sends a message of a numbered session. The session is locked,
// and is unlocked when it returns.
func (s *session) sendNumbered(ctx context.Context, text, binary []byte, receipt *transport.Receipt, delivery transport.Delivery) error {
	if unnumbered(text) {
		err := s.sendUnnumbered(ctx, text, delivery)
		if err == nil {
			receipt.Report(transport.Sent, true)
		}
		return err
	}
	o := &outgoing{receipt: receipt, held: delivery == transport.Buffered}
	if binary != nil {
		o.Binary = slices.Clone(binary)
	}
	if int64(len(text)+len(binary)+maxEnvelope) > s.limits.bytes {
		return s.sendLarge(ctx, o, text)
	}
	if err := s.number(o, text); err != nil {
		s.mu.Unlock()
		return err
	}
	c := s.conn
	switch {
	case c == nil || c.broken || c.flushing:
		s.mu.Unlock() // It is kept, and whoever writes next writes it.
		return nil
	case c.next != o.Seq, s.streaming(o):
		s.startFlush(c)
		s.mu.Unlock()
		return nil
	}
	// Nobody else is writing: this goroutine may.
	c.flushing, o.written = true, true
	m := o.KeptMessage
	s.mu.Unlock()
	err := c.write(ctx, &m)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrote(ctx, c, o, err)
}

// streamAfter is how many small messages in a row make a stream.
const streamAfter = 16

// streaming reports whether o is one of many messages that are sent without
// waiting for any: those are left to a writer of their own, which writes
// together what has come meanwhile. A message that may be waited for is written
// by its sender, without another goroutine in between. The session is locked.
func (s *session) streaming(o *outgoing) bool {
	s.streak++
	return s.streak > streamAfter && o.size() <= maxBatchBytes/maxBatchMessages
}

// wrote takes note of a write by a sender, which is done with c. The session is
// locked. It returns the error of the send.
func (s *session) wrote(ctx context.Context, c *conn, o *outgoing, err error) error {
	c.flushing = false
	switch {
	case err == nil:
		o.receipt.Report(transport.Sent, false)
		c.next = max(c.next, o.Seq+1)
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		// The message is kept, so it is sent, sooner or later.
		if transport.OutcomeOf(err) != transport.NotSent {
			c.next = max(c.next, o.Seq+1)
		}
		err = nil
	case s.conn == c && refuses(err):
		// This transport will never take it: another message takes its number.
		s.replace(o)
	default:
		s.failure(c, err)
		err = nil
	}
	if s.conn == c && (s.pending(c) || s.ackDue) {
		s.startFlush(c)
	}
	s.wake()
	return err
}

// refuses reports whether a transport will never take a message, though it may
// take others.
func refuses(err error) bool {
	var end *transport.CloseError
	return err != nil && !errors.As(err, &end) && transport.OutcomeOf(err) == transport.NotSent && !transport.Retryable(err) &&
		!errors.Is(err, transport.ErrClosed) && !errors.Is(err, transport.ErrNotConnected) && !errors.Is(err, context.Canceled)
}

// replace puts a message without meaning in the place of o, which cannot be
// sent, so that there is no gap in the numbers. The session is locked.
func (s *session) replace(o *outgoing) {
	filler, _ := appendEnvelope(nil, s.bareHeartbeat(), o.Seq, s.taken)
	s.out.bytes -= o.size()
	o.Text, o.Binary, o.body, o.receipt, o.held, o.filler = filler, nil, 0, nil, false, true
	s.out.bytes += o.size()
	// The store has no way to change one message: it begins anew.
	state := s.state
	state.Sent, state.Received = s.released, s.taken
	err := s.store.Begin(state)
	for i := 0; i < s.out.len() && err == nil; i++ {
		err = s.store.Append(s.out.at(i).KeptMessage)
	}
	if err != nil {
		s.breakDown(err)
	}
}

var errNoObject = fmt.Errorf("%w: a resumable session carries JSON objects", errors.ErrUnsupported)

// number gives o, whose binary frame is set, the next number and keeps it. The
// session is locked.
func (s *session) number(o *outgoing, text []byte) error {
	wire, body := appendEnvelope(make([]byte, 0, len(text)+maxEnvelope), text, s.sent+1, s.taken)
	if body == 0 {
		return errNoObject
	}
	o.Seq, o.Text, o.body = s.sent+1, wire, body
	if err := s.store.Append(o.KeptMessage); err != nil {
		s.breakDown(err)
		return err
	}
	s.sent++
	s.out.push(o)
	if s.conn != nil {
		s.told()
	}
	return nil
}

// breakDown ends a session whose store has failed. The session is locked.
func (s *session) breakDown(err error) {
	if s.ended != nil {
		return
	}
	s.logger.Error("the store of a session failed; the session ends", zap.Error(err))
	if s.conn != nil {
		s.failure(s.conn, err)
	}
	s.finish(err)
}

// sendLarge sends a message that is too large to be kept: until it is
// acknowledged, the session cannot be resumed. The session is locked, and is
// unlocked when it returns.
func (s *session) sendLarge(ctx context.Context, o *outgoing, text []byte) error {
	c := s.conn
	wire, body := appendEnvelope(make([]byte, 0, len(text)+maxEnvelope), text, s.sent+1, s.taken)
	if body == 0 {
		s.mu.Unlock()
		return errNoObject
	}
	whole := KeptMessage{Seq: s.sent + 1, Text: wire, Binary: o.Binary}
	o.Seq, o.Binary, o.held = whole.Seq, nil, false
	if err := s.store.Append(KeptMessage{Seq: o.Seq}); err != nil {
		s.breakDown(err)
		s.mu.Unlock()
		return err
	}
	s.sent++
	o.written = true
	s.out.push(o)
	s.exclusive, c.flushing = true, true
	s.mu.Unlock()
	err := c.write(ctx, &whole)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == c {
		s.exclusive = false
	}
	if err != nil && transport.OutcomeOf(err) == transport.NotSent && s.conn == c {
		s.replace(o)
		c.flushing = false
		s.startFlush(c)
		s.wake()
		return err
	}
	// It is not kept, so its sender has to know whatever goes wrong.
	return errors.Join(s.wrote(ctx, c, o, err), err)
}

// sendUnnumbered sends a heartbeat or the like. The session is locked, and is
// unlocked when it returns.
func (s *session) sendUnnumbered(ctx context.Context, text []byte, delivery transport.Delivery) error {
	c, ack := s.conn, s.taken
	s.mu.Unlock()
	if c == nil {
		if delivery == transport.FailNow {
			return transport.ErrNotConnected
		}
		return errVolatile
	}
	// A heartbeat is an object: roleOf has read it.
	wire, _ := appendEnvelope(make([]byte, 0, len(text)+maxEnvelope), text, 0, ack)
	err := c.t.Send(ctx, wire)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.conn == c && s.taken == ack {
		s.told()
	}
	return err
}
