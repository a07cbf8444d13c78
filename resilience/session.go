package resilience

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/transport"
)

// session is what a link and a resumable session have in common: a transport
// over one connection after the other. The connections come from attach; the
// session ends for good with end.
//
// While it is numbered, every message has a number and is kept until the peer
// has acknowledged it (spec/resume: the extension io.aip.resume). Otherwise it
// is plain: messages go out as they are, and only those that wait for a
// connection are kept.
type session struct {
	limits limits
	logger *zap.Logger
	store  Store
	// lasting: a later session may go on with the store.
	lasting bool

	lifetime context.Context // of all writes; ends with the session
	stop     context.CancelFunc
	work     sync.WaitGroup // flushers

	mu      sync.Mutex
	changed chan struct{} // closed when something changes that a call waits for; nil if none waits
	conn    *conn         // attached; else nil
	opening bool          // there is about to be one: this side is registered
	ended   error         // why there will be no connection; else nil
	closing bool          // no more sends

	numbered bool
	state    SessionState // of the store; Sent and Received are in sent and taken

	// Going out.
	out       outbox
	sent      uint64 // number of the last message
	released  uint64 // the peer has acknowledged up to here
	exclusive bool   // a message that is too large to be kept is on its way
	streak    int    // messages sent since one was received

	// Coming in.
	inbox     inbox
	reading   bool   // somebody reads from the connection
	accepted  uint64 // number of the last message in the inbox, or taken
	taken     uint64 // number of the last message that was taken out
	unacked   int    // messages taken since the peer was told
	unackedBy int64  // their bytes
	ackDue    bool   // the peer is to be told now
	peerBytes int64  // what the peer keeps at most; 0 if it did not say
	ackTimer  *time.Timer
	ackArmed  bool
}

// limits bounds what a session keeps.
type limits struct {
	messages int
	bytes    int64
}

// conn is one connection of a session.
type conn struct {
	t      transport.Transport
	frames transport.FrameTransport // nil if t has none

	// Guarded by the session's lock.
	next      uint64 // of a numbered session: the message to write next
	flushing  bool   // somebody writes kept messages
	refusing  bool   // it has refused several messages at once
	broken    bool   // writing has failed
	drained   bool   // nothing more can be read
	announced *incoming
	confirms  bool // the next frame shows that the peer has the new token
}

// newSession returns a plain session without a connection. It takes over what
// the store holds.
func newSession(store Store, l limits, logger *zap.Logger) (*session, error) {
	s := &session{limits: l, logger: logger, store: store}
	state, kept, err := store.Load()
	if err != nil {
		return nil, err
	}
	s.state = state
	if state.Token != "" {
		s.numbered = true
		s.sent, s.accepted, s.taken = state.Sent, state.Received, state.Received
		for i := range kept {
			m := kept[i]
			e := readTail(m.Text)
			if len(m.Text) == 0 {
				m.Text = nil // It was too large to be kept.
			}
			s.out.push(&outgoing{KeptMessage: m, body: e.body, written: true})
		}
		if n := len(kept); n > 0 {
			s.sent = max(s.sent, kept[n-1].Seq)
		}
		s.released = s.sent - uint64(len(kept))
	}
	s.lifetime, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// wake wakes all calls that wait. The session is locked.
func (s *session) wake() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// wait unlocks the session until something has changed or ctx has ended, and
// returns the context's error then. The session is locked, before and after.
func (s *session) wait(ctx context.Context) error {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	changed := s.changed
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attach makes t the connection. rx is the last number that the peer says it
// has processed: what follows is written again. The connection that was there
// is returned, and has to be closed by the caller.
func (s *session) attach(t transport.Transport, rx uint64) (old transport.Transport, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return nil, transport.ErrClosed
	case s.ended != nil:
		return nil, s.ended
	}
	c := &conn{t: t, confirms: true}
	if frames, err := transport.As[transport.FrameTransport](t); err == nil {
		c.frames = frames
	}
	if s.conn != nil {
		old = s.conn.t
	}
	if s.numbered {
		if err := s.release(rx); err != nil {
			return old, err
		}
		c.next = rx + 1
	}
	s.conn, s.exclusive, s.opening = c, false, false
	if s.pending(c) || s.ackDue {
		s.startFlush(c)
	}
	s.wake()
	return old, nil
}

// learn notes how much the peer keeps at most.
func (s *session) learn(peerBytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peerBytes = peerBytes
}

// announce notes that there is about to be a connection, or, after all, not:
// meanwhile nothing fails for want of one.
func (s *session) announce(opening bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opening = opening
	s.wake()
}

// attached reports whether t is the connection now.
func (s *session) attached(t transport.Transport) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil && s.conn.t == t
}

// detach notes that the connection t is lost. It reports whether it was the
// one of the session.
func (s *session) detach(t transport.Transport) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil || s.conn.t != t {
		return false
	}
	s.conn, s.exclusive = nil, false
	s.wake()
	return true
}

// current returns the connection.
func (s *session) current() (transport.Transport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.conn != nil:
		return s.conn.t, nil
	case s.ended != nil:
		return nil, s.ended
	default:
		return nil, transport.ErrNotConnected
	}
}

// canResume reports whether the session can go on for a peer that has
// processed this side's messages up to rx: nothing that follows is missing.
func (s *session) canResume(rx uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.numbered && s.ended == nil && !s.closing && rx >= s.released && rx <= s.sent && s.out.complete(rx)
}

// position returns what a handshake tells the peer: the token of this side, if
// the session can be resumed at all, and the last number that was processed. What
// is in the inbox is not: it comes again, and is dropped, unless the process has
// ended meanwhile.
func (s *session) position() (token string, rx uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.numbered {
		return "", 0
	}
	return s.state.Token, s.taken
}

// rotate replaces the token. previous is the one that remains good until the
// peer is known to have the new one; empty for none.
func (s *session) rotate(token, previous string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Token, s.state.PreviousToken = token, previous
	return s.save()
}

// save writes the state to the store. The session is locked.
func (s *session) save() error {
	s.state.Sent, s.state.Received = s.sent, s.taken
	return s.store.Save(s.state)
}

// forget ends what the peer does not know any more, because of cause: numbers
// begin anew, or end if state has no token. Messages that wait for a connection
// and were never written are carried over; the others are reported, through
// the inbox, in an interruption. The session has no connection.
func (s *session) forget(state SessionState, cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return s.ended // What the store has is for a later session.
	}
	old := s.numbered
	undelivered, held := s.out.split()
	s.numbered, s.state = state.Token != "", state
	s.sent, s.released, s.accepted, s.taken = 0, 0, 0, 0
	s.told()
	s.inbox.generation++
	if cause != nil {
		s.inbox.push(incoming{err: &transport.InterruptedError{Cause: cause, Undelivered: undelivered}})
	}
	s.wake()
	if s.numbered {
		if err := s.store.Begin(state); err != nil {
			return err
		}
	} else if old {
		if err := s.store.Begin(SessionState{}); err != nil {
			return err
		}
	}
	for _, o := range held {
		if err := s.carry(o); err != nil {
			return err
		}
	}
	return nil
}

// carry takes a message over that waits for a connection. The session is
// locked.
func (s *session) carry(o *outgoing) error {
	next := &outgoing{body: o.body, held: true, receipt: o.receipt}
	next.Text, next.Binary = o.plain(), o.Binary
	if !s.numbered {
		s.out.push(next)
		return nil
	}
	return s.number(next, next.Text)
}

// end ends the session for good, with err for all calls from then on. The first
// err counts. It does not close the connection, but returns it, if there was one.
func (s *session) end(err error) transport.Transport {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conn
	s.finish(err)
	if c == nil {
		return nil
	}
	return c.t
}

// over returns why the session takes no more messages; nil if it does.
func (s *session) over() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil && s.closing {
		return transport.ErrClosed
	}
	return s.ended
}

// finish is end for those who have locked the session.
func (s *session) finish(err error) {
	if s.ended != nil {
		return
	}
	s.ended = err
	s.conn = nil
	if s.ackTimer != nil {
		s.ackTimer.Stop()
	}
	s.out.abandon(s.lasting && s.numbered)
	s.stop()
	s.wake()
}

// flushed waits until everything that was accepted is written, or, if acked,
// acknowledged. It returns at once when there is no connection for it.
func (s *session) flushed(ctx context.Context, acked bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.ended != nil:
			return s.ended
		case acked && s.numbered && s.out.len() == 0:
			return nil
		case acked && s.numbered:
			if progress, err := s.pump(ctx); err != nil || progress {
				if err != nil {
					return err
				}
				continue
			}
		case s.conn == nil && s.out.len() == 0:
			return nil
		case !acked && (s.conn == nil || s.conn.broken):
			return transport.ErrNotConnected
		case s.conn != nil && !s.conn.broken && !s.conn.flushing && !s.exclusive && !s.pending(s.conn):
			return nil
		}
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
}

// failure makes the session drop its connection: it has failed, or the peer
// has. The session is locked.
func (s *session) failure(c *conn, err error) {
	c.broken = true
	s.wake()
	if s.conn != c {
		return
	}
	s.logger.Debug("dropping a connection", zap.Error(err))
	// Abort may call back into nothing of the session, but it may wait for
	// others who do.
	s.work.Go(func() { drop(c.t, err) })
}

// drop ends a connection at once.
func drop(t transport.Transport, cause error) {
	if aborter, err := transport.As[transport.Aborter](t); err == nil {
		aborter.Abort(cause)
		return
	}
	_ = t.Close() // It is lost, whatever else goes wrong.
}

// SequenceError is a peer that does not keep to the numbers of a resumable
// session. The connection is given up; the session goes on with the next one.
type SequenceError struct {
	// What is wrong: "missing number", "gap" or "acknowledges what was not sent".
	What string
	// Got is the number that came, and Want the one that was due, or the
	// highest possible.
	Got, Want uint64
}

// Error says what is wrong.
func (e *SequenceError) Error() string {
	return fmt.Sprintf("resilience: peer broke the numbering of the session: %s (got %d, want %d)", e.What, e.Got, e.Want)
}

// Retryable reports that another connection can help.
func (e *SequenceError) Retryable() bool { return true }

var errNotKept = errors.New("resilience: a message larger than the session's buffer cannot wait for a connection")

// refuse lets the session take no more messages.
func (s *session) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	s.wake()
}

// waitEnded waits until the session has ended. It returns nil after a clean
// end.
func (s *session) waitEnded(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.ended == nil {
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
	var end *transport.CloseError
	if errors.As(s.ended, &end) && end.Clean() || errors.Is(s.ended, transport.ErrClosed) {
		return nil
	}
	return s.ended
}

// backlog returns what the session and its connection keep.
func (s *session) backlog() transport.Backlog {
	s.mu.Lock()
	b := transport.Backlog{
		SendMessages: s.out.len(), SendBytes: s.out.bytes,
		ReceiveMessages: s.inbox.len(), ReceiveBytes: s.inbox.bytes,
	}
	c, numbered := s.conn, s.numbered
	s.mu.Unlock()
	if c == nil {
		return b
	}
	inner, err := transport.As[transport.Backlogger](c.t)
	if err != nil {
		return b
	}
	i := inner.Backlog()
	b.ReceiveMessages += i.ReceiveMessages
	b.ReceiveBytes += i.ReceiveBytes
	if !numbered { // What is numbered is kept here as well.
		b.SendMessages += i.SendMessages
		b.SendBytes += i.SendBytes
	}
	return b
}
