package resilience

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// linkRun is a link from a Connect to the end.
type linkRun struct {
	link     *Link
	url      string
	session  *session
	attempts *Attempts

	ctx        context.Context // ends with the run
	cancel     context.CancelFunc
	supervised chan struct{} // closed when nobody tries to connect any more
	closing    sync.Once

	connections uint64        // by whoever makes the attempts
	cause       error         // of the last loss, by the same
	grace       time.Duration // that the server grants, by the same

	mu       sync.Mutex
	offering bool // an attempt has shown the token to a server
	overdue  bool // the time of the session ended meanwhile
}

// first makes the first connection.
func (r *linkRun) first(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(r.ctx, func() { cancel(transport.ErrClosed) })
	defer stop()
	var err error
	if r.link.o.RetryFirst {
		err = r.attempts.Do(ctx, nil, r.attempt)
	} else {
		err = r.attempts.once(ctx, r.attempt)
	}
	if err != nil && errors.Is(context.Cause(ctx), transport.ErrClosed) {
		return r.session.over() // By a Close, or by an Abort with a cause.
	}
	return err
}

// supervise watches the connection, and replaces it when it is lost.
func (r *linkRun) supervise() {
	defer close(r.supervised)
	for {
		t, err := r.session.current()
		if err != nil {
			return // The session has ended.
		}
		cause := t.WaitClosed(r.ctx)
		if r.ctx.Err() != nil {
			return
		}
		if cause == nil {
			// WaitClosed tells no clean end from another; a receive does, and
			// nothing is left that it could return.
			r.session.drain(r.ctx, t)
			_, cause = t.Receive(r.ctx)
		}
		if err := r.replace(t, cause); err != nil {
			return
		}
	}
}

// replace makes a new connection in the place of t, which is lost.
func (r *linkRun) replace(t transport.Transport, cause error) error {
	r.session.drain(r.ctx, t)
	if !r.session.detach(t) {
		return ErrDisconnected // It has ended.
	}
	moveTo(&r.link.machine, transport.Connecting)
	if err := t.Close(); err != nil {
		r.link.o.Logger.Debug("closing a lost connection failed", zap.Error(err))
	}
	r.cause = cause
	r.link.o.Logger.Info("connection lost", zap.Error(cause))
	if r.link.o.Lost != nil {
		r.link.o.Lost(cause)
	}
	if token, _ := r.session.position(); token == "" {
		if err := r.session.forget(SessionState{}, cause); err != nil {
			return r.fail(err)
		}
	} else {
		r.mu.Lock()
		r.overdue = false
		r.mu.Unlock()
		timer := time.AfterFunc(r.grace, r.expire)
		defer timer.Stop()
	}
	if err := r.attempts.Do(r.ctx, cause, r.attempt); err != nil {
		if r.ctx.Err() != nil {
			return err // Whoever closes the link says how it ended.
		}
		return r.fail(err)
	}
	return nil
}

// fail ends the run without a connection.
func (r *linkRun) fail(err error) error {
	r.session.end(err)
	moveTo(&r.link.machine, transport.Failed)
	return err
}

// expire gives up a session whose time is over, unless an attempt is just about
// to learn what the server says.
func (r *linkRun) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.offering {
		r.overdue = true
		return
	}
	r.giveUp()
}

// giveUp forgets a session without a connection. The run is locked.
func (r *linkRun) giveUp() {
	if _, err := r.session.current(); err == nil || r.ctx.Err() != nil {
		return
	}
	if token, _ := r.session.position(); token == "" {
		return
	}
	cause := fmt.Errorf("%w: it could not be resumed in time", ErrSessionLost)
	if err := r.session.forget(SessionState{}, cause); err != nil {
		r.session.end(err)
	}
}

// attempt dials, registers and makes the connection the session's.
func (r *linkRun) attempt(ctx context.Context) error {
	o := &r.link.o
	t, err := o.Dial(ctx, r.url)
	if err != nil {
		return err
	}
	t = identify(t)
	err = r.open(ctx, t)
	if err == nil {
		return nil
	}
	// A server that refuses closes the connection itself, in good order. Another
	// one may have resumed the session without this side knowing, and would end it
	// at a 1000.
	code := transport.StatusGoingAway
	if errors.Is(err, errCannotResume) {
		code = transport.StatusNormal
	}
	if closing := closeWith(t, code, ""); closing != nil {
		o.Logger.Debug("closing a connection failed", zap.Error(closing))
	}
	if errors.Is(err, errCannotResume) {
		return r.attempt(ctx) // Afresh, as there is no token any more.
	}
	return err
}

// errCannotResume: the server resumed a session that this side cannot resume.
var errCannotResume = errors.New("resilience: the session cannot be resumed")

// open registers on t, if it is to, and makes it the session's connection.
func (r *linkRun) open(ctx context.Context, t transport.Transport) error {
	r.link.mu.Lock()
	limit := r.link.readLimit
	r.link.mu.Unlock()
	if limit > 0 {
		setReadLimit(t, limit)
	}
	c := Connection{Number: r.connections + 1}
	rx, err := r.register(ctx, t, &c)
	if err != nil {
		return err
	}
	if hook := r.link.o.Connected; hook != nil {
		// Who learns of the connection by the hook can send at once.
		r.session.announce(true)
		defer r.session.announce(false)
		if err := hook(ctx, c); err != nil {
			return err
		}
	}
	if _, err := r.session.attach(t, rx); err != nil {
		return err
	}
	r.connections++
	moveTo(&r.link.machine, transport.Connected)
	return nil
}

// register registers on t and agrees with the server about the session. It
// returns the last number that the server has processed.
func (r *linkRun) register(ctx context.Context, t transport.Transport, c *Connection) (rx uint64, err error) {
	o := &r.link.o
	if o.Registration == nil {
		return 0, nil
	}
	message, err := o.Registration(ctx)
	if err != nil {
		return 0, err
	}
	if o.Resume != nil {
		offered := *message
		if offered.Metadata, err = withMember(message.Metadata, ResumeExtension, r.offer()); err != nil {
			return 0, fmt.Errorf("resilience: metadata of the registration: %w", err)
		}
		message = &offered
	}
	client, err := protocol.NewClient(t, &protocol.Options{RegistrationTimeout: o.RegistrationTimeout, Logger: o.Logger})
	if err != nil {
		return 0, err
	}
	defer r.offered()
	c.Confirmation, err = protocol.Register(ctx, client, message)
	if err != nil {
		return 0, err
	}
	answer := (*resumeAnswer)(nil)
	if o.Resume != nil {
		if answer, err = readAnswer(c.Confirmation); err != nil {
			return 0, err
		}
	}
	return r.agree(answer, c)
}

// offer returns what the registration says about the session.
func (r *linkRun) offer() resumeOffer {
	r.mu.Lock()
	defer r.mu.Unlock()
	token, rx := r.session.position()
	r.offering = token != ""
	return resumeOffer{
		Version: resumeVersion, MaxS: seconds(r.link.o.Resume.Grace), MaxBytes: r.link.o.MaxBytes,
		Previous: token, Received: rx,
	}
}

// offered notes that the server has answered, or will not.
func (r *linkRun) offered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	overdue := r.offering && r.overdue
	r.offering, r.overdue = false, false
	if overdue {
		r.giveUp()
	}
}

// agree makes the session what the server says it is.
func (r *linkRun) agree(answer *resumeAnswer, c *Connection) (rx uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offering = false
	if answer != nil {
		r.session.learn(answer.MaxBytes)
	}
	token, _ := r.session.position()
	var lost error
	if token != "" {
		lost = ErrSessionLost
		if r.cause != nil {
			lost = fmt.Errorf("%w: %w", ErrSessionLost, r.cause)
		}
	}
	switch {
	case answer == nil && token == "":
		return 0, nil
	case answer == nil:
		return 0, r.session.forget(SessionState{}, lost)
	case !answer.Resumed:
		c.Resumable, c.Epoch = true, answer.Epoch
		r.grace = ofSeconds(answer.MaxS)
		return 0, r.session.forget(SessionState{Token: answer.Token, Epoch: answer.Epoch}, lost)
	case token == "":
		return 0, &answerError{errors.New("it resumes a session that was not asked for")}
	case !r.session.canResume(answer.Received):
		if err := r.session.over(); err != nil {
			return 0, err // It could be resumed, by another link.
		}
		if err := r.session.forget(SessionState{}, lost); err != nil {
			return 0, err
		}
		return 0, errCannotResume
	default:
		c.Resumable, c.Resumed, c.Epoch = true, true, answer.Epoch
		r.grace = ofSeconds(answer.MaxS)
		return answer.Received, r.session.rotate(answer.Token, "")
	}
}

// close ends the run in good order.
func (r *linkRun) close(code transport.StatusCode, reason string) error {
	var err error
	r.closing.Do(func() {
		r.session.refuse()
		r.cancel()
		<-r.supervised
		if t, current := r.session.current(); current == nil {
			moveTo(&r.link.machine, transport.Disconnecting)
			ctx, cancel := context.WithTimeout(context.Background(), farewell)
			_ = r.session.flushed(ctx, false) // What cannot be written any more, is not.
			cancel()
			err = closeWith(t, code, reason)
			r.session.drain(context.Background(), t)
		}
		r.session.end(&transport.CloseError{Code: code, Reason: reason})
		r.session.work.Wait()
		if r.link.machine.State() != transport.Failed {
			moveTo(&r.link.machine, transport.Disconnected)
		}
	})
	return err
}

// abort ends the run at once.
func (r *linkRun) abort(cause error) {
	t := r.session.end(&transport.CloseError{Code: transport.StatusAbnormal, Err: cause})
	r.cancel()
	if t != nil {
		drop(t, cause)
	}
	<-r.supervised
	moveTo(&r.link.machine, transport.Failed)
}

// closeWith closes t with a code, or without one if it has none.
func closeWith(t transport.Transport, code transport.StatusCode, reason string) error {
	closer, err := transport.As[transport.CodeCloser](t)
	if err != nil {
		return t.Close()
	}
	return closer.CloseWith(code, reason)
}
