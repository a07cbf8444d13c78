package websocket

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aip-go/aip/transport"
)

// attempt is a Connect that runs.
type attempt struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
}

// Connect opens a connection to a ws, wss, http or https URL; see
// [transport.Transport]. The error, a [*transport.Error], matches
//
//   - [transport.ErrAlreadyConnected] or [*transport.TransitionError], when the
//     state is not disconnected;
//   - [transport.ErrInvalidURL] or [transport.ErrInvalidOptions];
//   - [*HandshakeError], when the server answered otherwise;
//   - [transport.ErrClosed], when Close was called meanwhile;
//   - the context's error, [context.DeadlineExceeded] also for
//     HandshakeTimeout;
//   - else the error of the network, or of Authorize.
//
// [transport.Retryable] tells for all of them whether it can help to try again.
func (t *Transport) Connect(ctx context.Context, url string) error {
	dialling, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a := &attempt{cancel: cancel, done: make(chan struct{})}
	if err := t.begin(a); err != nil {
		return &transport.Error{Op: "connect", URL: transport.RedactURL(url), Err: err}
	}
	began := time.Now()
	c, err := t.dial(dialling, url)
	if dialling.Err() != nil {
		if err == nil {
			c.abandon()
		}
		if err = ctx.Err(); err == nil {
			err = context.Cause(dialling)
		}
	}
	if err != nil {
		err = &transport.Error{Op: "connect", URL: transport.RedactURL(url), Err: err}
	}
	t.finish(a, c, err)
	if dialled := t.settings.Hooks.Dial; dialled != nil {
		dialled(transport.RedactURL(url), time.Since(began), err)
	}
	return err
}

// begin makes the transition to connecting.
func (t *Transport) begin(a *attempt) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.dials && t.machine.State() == transport.Disconnected {
		return fmt.Errorf("websocket: this transport was made with its connection and cannot make another: %w", errors.ErrUnsupported)
	}
	if err := t.machine.To(transport.Connecting); err != nil {
		var transition *transport.TransitionError
		if errors.As(err, &transition) && transition.From == transport.Failed {
			return err
		}
		return transport.ErrAlreadyConnected
	}
	t.conn, t.attempt = nil, a
	return nil
}

// finish makes the transition from connecting.
func (t *Transport) finish(a *attempt, c *conn, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer close(a.done)
	t.attempt = nil
	// From connecting both are allowed.
	if err != nil {
		_ = t.machine.To(transport.Failed)
		return
	}
	t.conn = c
	_ = t.machine.To(transport.Connected)
	c.start()
}

// Close closes the connection with code 1000; see [Transport.CloseWith].
func (t *Transport) Close() error { return t.CloseWith(transport.StatusNormal, "") }

// CloseWith closes the connection with a code and a reason for the peer; see
// [transport.CodeCloser]. It first lets the message that is being sent go out,
// for at most half of CloseTimeout, then waits for the peer's close frame and
// drops the connection when CloseTimeout is over. What was received before can
// still be received. A Connect that runs is aborted. The error is nil, except
// that it matches [transport.ErrInvalidStatusCode] for a code that may not be
// sent.
func (t *Transport) CloseWith(code transport.StatusCode, reason string) error {
	if !code.Sendable() {
		return t.failed("close", transport.NotSent, fmt.Errorf("%w: %s", transport.ErrInvalidStatusCode, code))
	}
	if c := t.abandon(transport.ErrClosed); c != nil {
		c.close(code, reason)
	}
	return nil
}

// abandon aborts the Connect that runs and waits for it, if there is one, and
// returns the latest connection.
func (t *Transport) abandon(cause error) *conn {
	t.mu.Lock()
	a := t.attempt
	t.mu.Unlock()
	if a != nil {
		a.cancel(cause)
		<-a.done
	}
	c, _ := t.current()
	return c
}

// Abort drops the connection, or the Connect that runs; see
// [transport.Aborter]. Messages that are in line to be written are dropped, also
// those whose Send has returned; see [Transport]. It does not wait for what the
// connection owned; Close and WaitClosed do.
func (t *Transport) Abort(cause error) {
	if cause == nil {
		cause = errors.New("websocket: aborted")
	}
	if c := t.abandon(cause); c != nil {
		c.lose(cause)
	}
}

// WaitClosed waits until the connection has ended and everything it owned has
// stopped; see [transport.Transport].
func (t *Transport) WaitClosed(ctx context.Context) error {
	c, _ := t.current()
	if c == nil {
		return nil
	}
	return c.wait(ctx)
}

// AfterClosed calls f when the connection has ended and everything it owned has
// stopped; see [transport.CloseNotifier].
func (t *Transport) AfterClosed(f func()) (stop func() bool) {
	c, _ := t.current()
	if c == nil {
		go f()
		return func() bool { return false }
	}
	return c.notices.AfterClosed(f)
}
