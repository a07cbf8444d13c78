package resilience

import (
	"context"
	"errors"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// When the peer is told what was processed, at the latest (spec/resume 6).
const (
	ackEveryMessages = 32
	ackEvery         = time.Second
)

// maxInbox is how many frames may wait in the inbox of a session whose peer
// does not keep to its limits.
const maxInbox = 4096

// receive returns the next frame or interruption.
func (s *session) receive(ctx context.Context) (transport.Frame, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if frame, ok, err := s.next(); ok {
			return frame, err
		}
		if s.ended != nil {
			return transport.Frame{}, s.ended
		}
		if c := s.conn; c != nil && !s.reading && !c.drained {
			if err := s.readOne(ctx, c); err != nil {
				return transport.Frame{}, err
			}
			continue
		}
		if err := s.wait(ctx); err != nil {
			return transport.Frame{}, err
		}
	}
}

// next takes what is first out of the inbox, if there is anything for the
// receiver. The session is locked.
func (s *session) next() (frame transport.Frame, ok bool, err error) {
	for s.inbox.len() > 0 {
		in := s.inbox.pop()
		if s.take(&in); !in.filler {
			return in.frame, true, in.err
		}
	}
	return transport.Frame{}, false, nil
}

// pump reads one frame into the inbox, for a sender that waits for an ack which
// nobody else may be reading. It reports whether it did. The session is locked,
// before and after.
func (s *session) pump(ctx context.Context) (bool, error) {
	c := s.conn
	if c == nil || s.reading || c.drained || s.inbox.len() >= maxInbox || s.inbox.bytes > 2*s.limits.bytes {
		return false, nil
	}
	return true, s.readOne(ctx, c)
}

// drain reads what arrived before the end of the connection t.
func (s *session) drain(ctx context.Context, t transport.Transport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		c := s.conn
		if c == nil || c.t != t || c.drained || s.ended != nil {
			return
		}
		var err error
		if s.reading {
			err = s.wait(ctx)
		} else {
			err = s.readOne(ctx, c)
		}
		if err != nil {
			return
		}
	}
}

// readOne reads a frame into the inbox. It returns an error only if it is that
// of ctx. The session is locked, before and after, and nobody else reads.
func (s *session) readOne(ctx context.Context, c *conn) error {
	s.reading = true
	s.mu.Unlock()
	frame, err := c.read(ctx)
	s.mu.Lock()
	s.reading = false
	s.wake()
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	case err != nil:
		c.drained = true // Whoever watches the connection sees its end.
	case s.conn != c || s.ended != nil:
		// It was replaced meanwhile; a numbered message comes again.
	default:
		if err := s.arrived(c, frame); err != nil {
			c.drained = true
			s.failure(c, err)
		}
	}
	return nil
}

// arrived puts a frame into the inbox. The session is locked.
func (s *session) arrived(c *conn, frame transport.Frame) error {
	if !s.numbered {
		s.inbox.push(incoming{frame: frame})
		return nil
	}
	if c.confirms {
		c.confirms = false
		if s.state.PreviousToken != "" {
			s.state.PreviousToken = ""
			if err := s.save(); err != nil {
				s.breakDown(err)
				return err
			}
		}
	}
	announced := c.announced
	c.announced = nil
	if frame.Kind == transport.Binary {
		if announced == nil {
			return &SequenceError{What: "missing number", Want: s.accepted + 1}
		}
		s.enter(announced, &frame)
		return nil
	}
	if announced != nil {
		s.enter(announced, nil)
	}
	return s.arrivedText(c, frame)
}

// arrivedText is arrived for a text frame of a numbered session.
func (s *session) arrivedText(c *conn, frame transport.Frame) error {
	e := readEnvelope(frame.Data)
	if e.hasAck {
		if e.ack > s.sent {
			return &SequenceError{What: "acknowledges what was not sent", Got: e.ack, Want: s.sent}
		}
		if err := s.release(e.ack); err != nil {
			return err
		}
	}
	role := roleOf(frame.Data)
	if e.body > 0 {
		frame.Data = append(frame.Data[:e.body], '}')
	}
	switch {
	case e.hasSeq:
		in := incoming{frame: frame, seq: e.seq, size: int64(len(frame.Data)), filler: role == roleBareHeartbeat}
		switch {
		case e.seq > s.accepted+1:
			return &SequenceError{What: "gap", Got: e.seq, Want: s.accepted + 1}
		case role == roleBinary:
			announced := in // Only this one is kept apart.
			c.announced = &announced
		default:
			s.enter(&in, nil)
		}
		return nil
	case role == roleBareHeartbeat && e.hasAck:
		return nil // It came for the ack alone.
	case role == roleHeartbeat, role == roleBareHeartbeat, role == roleRegister:
		s.inbox.push(incoming{frame: frame})
		return nil
	default:
		return &SequenceError{What: "missing number", Want: s.accepted + 1}
	}
}

// enter puts a numbered message into the inbox, unless it was there before. The
// session is locked.
func (s *session) enter(in *incoming, binary *transport.Frame) {
	if in.seq <= s.accepted {
		s.ackDue = true // The peer does not know.
		if s.conn != nil {
			s.startFlush(s.conn)
		}
		return
	}
	s.accepted = in.seq
	if binary == nil {
		s.inbox.push(*in)
		return
	}
	first := *in
	first.seq = 0
	s.inbox.push(first)
	s.inbox.push(incoming{frame: *binary, seq: in.seq, size: in.size + int64(len(binary.Data))})
}

// take notes that in was taken out of the inbox: it is processed. The session
// is locked.
func (s *session) take(in *incoming) {
	if in.seq == 0 || in.generation != s.inbox.generation {
		return
	}
	s.taken, s.streak = in.seq, 0
	if err := s.store.Received(s.taken); err != nil {
		s.breakDown(err)
		return
	}
	s.unacked++
	s.unackedBy += in.size
	if s.unacked >= min(ackEveryMessages, (s.limits.messages+1)/2) || s.unackedBy >= s.ackEveryBytes() {
		s.ackDue = true
		if s.conn != nil {
			s.startFlush(s.conn)
		}
		return
	}
	if !s.ackArmed {
		s.ackArmed = true
		if s.ackTimer == nil {
			s.ackTimer = time.AfterFunc(ackEvery, s.ackLate)
		} else {
			s.ackTimer.Reset(ackEvery)
		}
	}
}

// ackEveryBytes is half of the buffer of the side that has the smaller one. The
// session is locked.
func (s *session) ackEveryBytes() int64 {
	if s.peerBytes > 0 {
		return min(s.limits.bytes, s.peerBytes) / 2
	}
	return s.limits.bytes / 2
}

// ackLate sees to it that what was processed a while ago is acknowledged.
func (s *session) ackLate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ackArmed = false
	if s.unacked == 0 || s.ended != nil {
		return
	}
	s.ackDue = true
	if s.conn != nil {
		s.startFlush(s.conn)
	}
}

// told notes that an ack is on its way to the peer. The session is locked.
func (s *session) told() {
	s.unacked, s.unackedBy, s.ackDue = 0, 0, false
}

// release forgets messages that the peer has acknowledged. The session is
// locked.
func (s *session) release(rx uint64) error {
	if rx <= s.released || rx > s.sent {
		return nil
	}
	for s.out.len() > 0 && s.out.at(0).Seq <= rx {
		s.out.pop().receipt.Report(transport.Acked, true)
	}
	s.released = rx
	if err := s.store.Release(rx); err != nil {
		s.breakDown(err)
		return err
	}
	s.wake()
	return nil
}

// sendAck writes a heartbeat that carries an ack and nothing else.
func (s *session) sendAck(c *conn, ack uint64) error {
	wire, _ := appendEnvelope(make([]byte, 0, 64), s.bareHeartbeat(), 0, ack)
	return c.t.Send(s.lifetime, wire)
}

// bareHeartbeat returns a heartbeat without a timestamp, as only sessions write
// it.
func (s *session) bareHeartbeat() []byte {
	return []byte(`{"type":"` + string(messages.ClientHeartbeat) + `","status":"` + string(messages.StatusOK) + `"}`)
}
