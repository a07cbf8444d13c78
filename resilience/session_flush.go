package resilience

import (
	"go.uber.org/zap"

	"github.com/aip-go/aip/transport"
)

// Bounds of what one write takes to the connection.
const (
	maxBatchMessages = 64
	maxBatchBytes    = 256 << 10
)

// pending reports whether there is something to write to c. The session is
// locked.
func (s *session) pending(c *conn) bool {
	if !s.numbered {
		return s.out.len() > 0
	}
	return c.next <= s.sent
}

// startFlush starts the goroutine that writes what is pending, and acks. The
// session is locked.
func (s *session) startFlush(c *conn) {
	if c.flushing || c.broken || s.ended != nil {
		return
	}
	c.flushing = true
	s.work.Go(func() { s.flush(c) })
}

// flush writes to c until nothing is left to write or c is not the connection
// any more.
func (s *session) flush(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.conn == c && !c.broken && s.ended == nil {
		batch := s.batch(c)
		ack := s.taken
		if len(batch) == 0 && !s.ackDue {
			break
		}
		var frames []transport.Frame
		for _, o := range batch {
			o.written, o.repeated = true, o.written
			frames = append(frames, o.frames()...)
		}
		if len(batch) == 0 {
			s.told() // A message carries the ack that was due when it was numbered.
		}
		s.mu.Unlock()
		var err error
		if len(frames) > 0 {
			err = c.writeFrames(s.lifetime, frames)
		} else {
			err = s.sendAck(c, ack)
		}
		s.mu.Lock()
		s.flushedBatch(c, batch, err)
	}
	c.flushing = false
	s.wake()
}

// flushedBatch takes note of a write by flush. The session is locked.
func (s *session) flushedBatch(c *conn, batch []*outgoing, err error) {
	if s.conn != c {
		return
	}
	refused := refuses(err)
	switch {
	case err == nil:
	case refused && len(batch) > 1:
		c.refusing = true // One of them is at fault; they go one by one now.
		for _, o := range batch {
			o.written = o.repeated
		}
		return
	case refused && len(batch) == 1:
		s.logger.Warn("a message was accepted and then refused by the transport", zap.Error(err))
		outcome := transport.NotSent
		if batch[0].repeated {
			outcome = transport.MaybeSent
		}
		batch[0].receipt.Report(outcome, true)
		if s.numbered {
			s.replace(batch[0])
			return
		}
	default:
		if !s.numbered && transport.OutcomeOf(err) == transport.NotSent {
			for _, o := range batch {
				o.written = false
			}
		}
		s.failure(c, err)
		return
	}
	for _, o := range batch {
		if s.numbered {
			o.receipt.Report(transport.Sent, false)
			c.next = max(c.next, o.Seq+1)
			continue
		}
		o.receipt.Report(transport.Sent, true)
		s.out.pop()
	}
	s.wake()
}

// batch returns what to write to c next. The session is locked.
func (s *session) batch(c *conn) []*outgoing {
	first := 0
	if s.numbered {
		c.next = max(c.next, s.released+1) // A peer may acknowledge what it cannot have.
		first = s.out.len() - int(s.sent-c.next+1)
	}
	var batch []*outgoing
	var size int64
	for i := first; i < s.out.len() && len(batch) < maxBatchMessages; i++ {
		o := s.out.at(i)
		if o.large() || s.numbered && o.Seq != c.next+uint64(len(batch)) {
			break
		}
		if size += o.size(); len(batch) > 0 && (size > maxBatchBytes || c.frames == nil) {
			break
		}
		batch = append(batch, o)
		if c.refusing {
			break
		}
	}
	return batch
}
