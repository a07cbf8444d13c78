package resilience

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// Session is a server's end of a session that outlives its connections; see
// [Resumer]. It is a connected transport from the beginning.
//
// When its connection is lost, it is detached: what is sent with
// [transport.Buffered] is kept, other sends fail, and a receive waits. Either
// the client comes back in time, and everything goes on, or the session ends
// with what ended the connection. A client that closes with 1000 ends it at
// once. The rules of [transport.Transport] for concurrent use apply.
type Session struct {
	resumer  *Resumer
	identity identity
	owner    string
	session  *session
	machine  transport.Machine
	grace    time.Duration

	handshake turnstile // held by who answers a registration
	ending    sync.Once
	closing   sync.Once
	ended     chan struct{} // closed when a close is done

	mu        sync.Mutex
	readLimit int64
	timer     *time.Timer // while detached
	watchers  sync.WaitGroup
}

var _ interface {
	transport.Transport
	transport.FrameTransport
	transport.Pinger
	transport.Aborter
	transport.CodeCloser
	transport.StateWaiter
	transport.ReadLimiter
	transport.Backlogger
} = (*Session)(nil)

// ErrReplaced: the client has come back on another connection.
var ErrReplaced = errors.New("resilience: replaced by a newer connection of the same session")

// Resume answers a registration that arrived over t and that [Resumer.Claim]
// returned this session for: it confirms it, takes over t, ends the connection
// that was there, whatever its state, and sends again what the client has not
// got.
//
// It fails with [ErrSessionLost], and has answered nothing, if the session
// cannot be resumed after all: close it, and answer with [Resumer.Confirm].
// Other errors are those of [protocol.Registration.ConfirmWith]; the session
// waits for the client to try again.
func (s *Session) Resume(ctx context.Context, t transport.Transport, registration *protocol.Registration) error {
	if err := s.handshake.enter(ctx); err != nil {
		return err
	}
	defer s.handshake.leave()
	offer := readOffer(registration.Message)
	if offer == nil || !s.knows(offer.Previous) || !s.session.canResume(offer.Received) {
		return ErrSessionLost
	}
	// Nothing more is read from the old connection, so that the number in the
	// answer is the last word.
	if old, err := s.session.current(); err == nil {
		s.session.detach(old)
		s.move(transport.Connecting)
		drop(old, ErrReplaced)
	}
	token := newToken()
	if err := s.session.rotate(token, offer.Previous); err != nil {
		s.end(err)
		return err
	}
	_, rx := s.session.position()
	err := s.answer(ctx, registration, resumeAnswer{Token: token, Resumed: true, Received: rx})
	if err == nil {
		err = s.serve(t, offer.Received)
	}
	if err != nil {
		s.wait(err)
	}
	return err
}

// answer confirms a registration.
func (s *Session) answer(ctx context.Context, registration *protocol.Registration, a resumeAnswer) error {
	a.Version, a.MaxS, a.Epoch = resumeVersion, seconds(s.grace), s.resumer.o.Epoch
	a.MaxBytes = s.session.limits.bytes
	confirmation := messages.NewRegistrationConfirmation()
	result, err := withMember(confirmation.Result, ResumeExtension, a)
	if err != nil {
		return err
	}
	confirmation.Result = result
	return registration.ConfirmWith(ctx, confirmation)
}

// ownedBy reports whether the session belongs to owner.
func (s *Session) ownedBy(owner string) bool { return equal(s.owner, owner) }

// knows reports whether token is the session's, or the one before if the client
// may not have got that.
func (s *Session) knows(token string) bool {
	s.session.mu.Lock()
	state := s.session.state
	s.session.mu.Unlock()
	now, before := equal(token, state.Token), equal(token, state.PreviousToken)
	return token != "" && (now || before)
}

// Retire makes room for another session of the same client: this one goes on
// until it is closed, but cannot be resumed any more. A server calls it before it
// lets the client register anew.
func (s *Session) Retire() { s.resumer.remove(s) }

// serve makes t the connection and watches it.
func (s *Session) serve(t transport.Transport, rx uint64) error {
	s.mu.Lock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	limit := s.readLimit
	s.mu.Unlock()
	t = identify(t)
	if limit > 0 {
		setReadLimit(t, limit)
	}
	if _, err := s.session.attach(t, rx); err != nil {
		return err
	}
	s.move(transport.Connected)
	s.watchers.Add(1)
	afterClosed(s.session.lifetime, t, func() {
		defer s.watchers.Done()
		s.watch(t)
	})
	return nil
}

// afterClosed has f called once, in a goroutine of its own, after the end of the
// connection t or of ctx.
func afterClosed(ctx context.Context, t transport.Transport, f func()) {
	notifier, err := transport.As[transport.CloseNotifier](t)
	if err != nil {
		go func() {
			_ = t.WaitClosed(ctx) // f finds out why it is over.
			f()
		}()
		return
	}
	var (
		begun               atomic.Bool
		ready               = make(chan struct{})
		unnotify, unwatched func() bool
	)
	first := func() {
		<-ready
		unnotify() // Whichever of the two it is.
		unwatched()
		if begun.CompareAndSwap(false, true) {
			f()
		}
	}
	unnotify, unwatched = notifier.AfterClosed(first), context.AfterFunc(ctx, first)
	close(ready)
}

// watch sees to what follows from the end of the connection t.
func (s *Session) watch(t transport.Transport) {
	cause := t.WaitClosed(s.session.lifetime)
	if s.session.lifetime.Err() != nil {
		s.end(cause) // If the session ended itself.
		return
	}
	s.session.drain(s.session.lifetime, t)
	if cause == nil && s.session.attached(t) {
		_, cause = t.Receive(s.session.lifetime)
	}
	s.handshake.wait()
	defer s.handshake.leave()
	if !s.session.detach(t) {
		return // It was replaced, or the session has ended.
	}
	s.move(transport.Connecting)
	if err := t.Close(); err != nil {
		s.resumer.o.Logger.Debug("closing a lost connection failed", zap.Error(err))
	}
	var end *transport.CloseError
	if errors.As(cause, &end) && end.Remote && end.Code == transport.StatusNormal {
		s.end(cause)
		return
	}
	if told := s.resumer.o.Detached; told != nil {
		told(s.identity.clientID, cause)
	}
	s.wait(cause)
}

// wait gives the client time to come back.
func (s *Session) wait(cause error) {
	s.resumer.o.Logger.Info("session detached", zap.String("client_id", s.identity.clientID), zap.Error(cause))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil || s.session.lifetime.Err() != nil {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(s.grace, func() {
		s.handshake.wait()
		defer s.handshake.leave()
		s.mu.Lock()
		due := s.timer == timer // The client has not come back meanwhile.
		s.mu.Unlock()
		if due {
			s.end(cause)
		}
	})
	s.timer = timer
}

// move changes the state, unless the session has ended.
func (s *Session) move(to transport.State) {
	moveTo(&s.machine, to)
	if s.session.lifetime.Err() != nil {
		moveTo(&s.machine, transport.Failed)
	}
}

// end ends the session without its connection, which it returns, if there was
// one. The first error counts.
func (s *Session) end(err error) (t transport.Transport) {
	s.ending.Do(func() {
		// First: who finds the session ended can begin anew at once.
		s.resumer.remove(s)
		t = s.session.end(err)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.timer != nil {
			s.timer.Stop()
		}
		moveTo(&s.machine, transport.Failed)
	})
	return t
}

// Connect fails with [transport.ErrAlreadyConnected].
func (s *Session) Connect(context.Context, string) error {
	return &transport.Error{Op: "connect", Err: transport.ErrAlreadyConnected}
}

// Send sends data as one text message, a JSON object; see
// [transport.Transport] and the description of the session.
func (s *Session) Send(ctx context.Context, data []byte) error {
	return s.session.send(ctx, data, nil, nil)
}

// SendFrames sends one message: a text frame, or the two frames of a binary
// message. Others match [errors.ErrUnsupported].
func (s *Session) SendFrames(ctx context.Context, frames ...transport.Frame) error {
	return s.session.sendFrames(ctx, frames)
}

// Receive returns the next text message; see [transport.Transport].
func (s *Session) Receive(ctx context.Context) ([]byte, error) {
	return textOnly(s.session.receive(ctx))
}

// ReceiveFrame returns the next message of either kind.
func (s *Session) ReceiveFrame(ctx context.Context) (transport.Frame, error) {
	return s.session.receive(ctx)
}

// Close ends the session and closes its connection with 1000.
func (s *Session) Close() error { return s.CloseWith(transport.StatusNormal, "") }

// CloseWith is Close with another code. What was accepted is written before, if
// there is a connection.
func (s *Session) CloseWith(code transport.StatusCode, reason string) error {
	if !code.Sendable() {
		return fmt.Errorf("%w: %d", transport.ErrInvalidStatusCode, code)
	}
	var err error
	s.closing.Do(func() {
		s.session.refuse()
		s.resumer.remove(s)
		s.handshake.wait()
		t, current := s.session.current()
		if current == nil {
			ctx, cancel := context.WithTimeout(context.Background(), farewell)
			_ = s.session.flushed(ctx, false) // What cannot be written any more, is not.
			cancel()
			moveTo(&s.machine, transport.Disconnecting)
			err = closeWith(t, code, reason)
			s.session.drain(context.Background(), t)
		}
		failed := s.session.lifetime.Err() != nil
		s.end(&transport.CloseError{Code: code, Reason: reason})
		if !failed {
			moveTo(&s.machine, transport.Disconnected)
		}
		s.handshake.leave()
		s.watchers.Wait()
		s.session.work.Wait()
		close(s.ended)
	})
	<-s.ended
	return err
}

// Abort ends the session at once, and its connection with it.
func (s *Session) Abort(cause error) {
	if t := s.end(&transport.CloseError{Code: transport.StatusAbnormal, Err: cause}); t != nil {
		drop(t, cause)
	}
}

// Drop ends the connection at once, because of cause, and leaves the client the
// time to come back.
func (s *Session) Drop(cause error) {
	if t, err := s.session.current(); err == nil {
		drop(t, cause)
	}
}

// WaitClosed waits until the session has ended. It returns nil after a clean
// end, else what ended it.
func (s *Session) WaitClosed(ctx context.Context) error { return s.session.waitEnded(ctx) }

// IsConnected reports whether the session has a connection.
func (s *Session) IsConnected() bool { return s.State() == transport.Connected }

// State returns [transport.Connected], or [transport.Connecting] while the
// session is detached.
func (s *Session) State() transport.State { return s.machine.State() }

// WaitState waits until the state differs from from.
func (s *Session) WaitState(ctx context.Context, from transport.State) (transport.State, error) {
	return s.machine.Wait(ctx, from)
}

// Ping pings the client over the connection that there is.
func (s *Session) Ping(ctx context.Context) error {
	t, err := s.session.current()
	if err != nil {
		return err
	}
	pinger, err := transport.As[transport.Pinger](t)
	if err != nil {
		return err
	}
	return pinger.Ping(ctx)
}

// SetReadLimit sets the largest message that is accepted on this connection and
// all later ones.
func (s *Session) SetReadLimit(n int64) {
	s.mu.Lock()
	s.readLimit = n
	s.mu.Unlock()
	if t, err := s.session.current(); err == nil {
		setReadLimit(t, n)
	}
}

// Backlog returns what the session keeps: to be acknowledged by the client, and
// to be received.
func (s *Session) Backlog() transport.Backlog { return s.session.backlog() }

// Flush waits until the client has acknowledged everything that was accepted.
// It returns the context's error, or what ended the session.
func (s *Session) Flush(ctx context.Context) error { return s.session.flushed(ctx, true) }
