package resilience

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aip-go/aip/transport"
)

// Link is a transport that replaces its connection when that is lost: it dials,
// registers, and goes on. Package protocol runs over it as over any transport;
// one protocol object serves all connections of the link.
//
// # Sending
//
// Each message says with [transport.WithDelivery] what becomes of it while
// there is no connection: it fails at once, waits in a bounded buffer, or is
// dropped. Messages that wait are sent, in order, once this side is registered
// again. Nothing that may have been sent is ever sent again, except in a
// resumed session, where the server drops what it has; a [transport.Receipt]
// tells what is known of a message.
//
// # Sessions
//
// With Resume, and a server that knows the extension, a session outlives its
// connection: each side keeps what the other has not acknowledged and sends it
// again on the next connection, so that every message arrives once and in
// order. Sends then succeed as long as the buffer has room, and wait while it
// has not. What the server has acknowledged is learnt by whoever receives, by
// [Link.Flush], and by a send that waits: as with any transport, something has
// to read. A message larger than the buffer is sent, but while it is not
// acknowledged the session cannot be resumed.
//
// Where the session ends with the connection, a receive returns a
// [*transport.InterruptedError] between the last message of the old session and
// the first of the new one: at the loss without Resume, and else when the
// server turns out not to know the session any more, at the latest when its
// time is over.
//
// The link ends when it is closed or when its strategy allows no more attempts;
// then calls return that error, which is a [*RetryError] in the second case.
//
// The rules of [transport.Transport] for concurrent use apply. Besides the
// methods here, [transport.As] does not find what the connections may have
// more, such as streams.
type Link struct {
	o       LinkOptions
	machine transport.Machine

	mu        sync.Mutex
	readLimit int64 // set by SetReadLimit; 0 if not
	run       *linkRun
}

var _ interface {
	transport.Transport
	transport.FrameTransport
	transport.Pinger
	transport.Aborter
	transport.CodeCloser
	transport.StateWaiter
	transport.Resetter
	transport.ReadLimiter
	transport.Backlogger
} = (*Link)(nil)

// NewLink returns a link that is not connected. The options are copied. It
// fails with [ErrInvalidOptions].
func NewLink(opts *LinkOptions) (*Link, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Link{o: o}, nil
}

// Connect makes the first connection and registers. From then on the link
// replaces it until [Link.Close]. Without RetryFirst it makes one attempt and
// returns its error; with it, it returns a [*RetryError] when the strategy
// allows no more attempts or ctx ends. What the link is told to send meanwhile,
// with [transport.Buffered], waits for the connection.
func (l *Link) Connect(ctx context.Context, url string) error {
	run, err := l.begin(url)
	if err != nil {
		return err
	}
	err = run.first(ctx)
	if err != nil {
		err = connectError(url, err)
		run.session.end(err)
		run.cancel()
		moveTo(&l.machine, transport.Failed)
		close(run.supervised)
		return err
	}
	go run.supervise()
	return nil
}

func connectError(url string, err error) error {
	var e *transport.Error
	if errors.As(err, &e) && e.Op == "connect" {
		return err
	}
	return &transport.Error{Op: "connect", URL: transport.RedactURL(url), Err: err}
}

// begin makes the run of a Connect.
func (l *Link) begin(url string) (*linkRun, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state := l.machine.State(); state {
	case transport.Disconnected:
	case transport.Failed:
		return nil, connectError(url, &transport.TransitionError{From: state, To: transport.Connecting})
	default:
		return nil, connectError(url, transport.ErrAlreadyConnected)
	}
	store := Store(NewMemoryStore())
	if l.o.Resume != nil && l.o.Resume.Store != nil {
		store = l.o.Resume.Store
	}
	s, err := newSession(store, limits{l.o.MaxMessages, l.o.MaxBytes}, l.o.Logger)
	if err != nil {
		return nil, connectError(url, err)
	}
	s.lasting = l.o.Resume != nil && l.o.Resume.Store != nil
	l.run = &linkRun{
		link: l, url: url, session: s, grace: DefaultGrace,
		attempts:   NewAttempts(l.o.Strategy, &l.o.Attempts),
		supervised: make(chan struct{}),
	}
	l.run.ctx, l.run.cancel = context.WithCancel(context.Background())
	moveTo(&l.machine, transport.Connecting)
	return l.run, nil
}

// current returns the run of the last Connect.
func (l *Link) current() (*linkRun, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.run == nil {
		return nil, transport.ErrNotConnected
	}
	return l.run, nil
}

// Send sends data as one text message; see [transport.Transport] and the
// description of the link.
func (l *Link) Send(ctx context.Context, data []byte) error {
	run, err := l.current()
	if err != nil {
		return sendError(err)
	}
	return run.session.send(ctx, data, nil, nil)
}

// SendFrames sends frames one directly after the other. In a resumable session,
// and while there is no connection, they have to be one message: a text frame,
// or the two frames of a binary message; others match [errors.ErrUnsupported].
func (l *Link) SendFrames(ctx context.Context, frames ...transport.Frame) error {
	run, err := l.current()
	if err != nil {
		return sendError(err)
	}
	return run.session.sendFrames(ctx, frames)
}

// Receive returns the next text message, as [transport.Transport] describes it,
// or once a [*transport.InterruptedError] where a session has ended and another
// one begins.
func (l *Link) Receive(ctx context.Context) ([]byte, error) {
	frame, err := l.ReceiveFrame(ctx)
	return textOnly(frame, err)
}

// textOnly returns the data of a text frame.
func textOnly(frame transport.Frame, err error) ([]byte, error) {
	if err == nil && frame.Kind == transport.Binary {
		return nil, &transport.FrameTypeError{Want: transport.Text, Got: frame.Kind, Data: frame.Data}
	}
	return frame.Data, err
}

// ReceiveFrame returns the next message of either kind, as Receive does.
func (l *Link) ReceiveFrame(ctx context.Context) (transport.Frame, error) {
	run, err := l.current()
	if err != nil {
		return transport.Frame{}, err
	}
	return run.session.receive(ctx)
}

// Close closes the link: attempts end at once, what was accepted is written if
// there is a connection, and that is closed with 1000. The server then forgets
// the session. What the server has not acknowledged may not have been
// delivered: see [Link.Flush].
func (l *Link) Close() error { return l.CloseWith(transport.StatusNormal, "") }

// CloseWith is Close with another code. A resumable session survives any code
// but 1000 at the server, until its time is over.
func (l *Link) CloseWith(code transport.StatusCode, reason string) error {
	if !code.Sendable() {
		return fmt.Errorf("%w: %d", transport.ErrInvalidStatusCode, code)
	}
	run, err := l.current()
	if err != nil {
		return nil //nolint:nilerr // There is nothing to close.
	}
	return run.close(code, reason)
}

// Abort ends the link at once, without a closing handshake. See [Link.Drop] for
// the connection alone.
func (l *Link) Abort(cause error) {
	if run, err := l.current(); err == nil {
		run.abort(cause)
	}
}

// Drop ends the connection at once, because of cause, so that another one
// replaces it: for those who know better than the network that it is of no use.
func (l *Link) Drop(cause error) {
	run, err := l.current()
	if err != nil {
		return
	}
	if t, err := run.session.current(); err == nil {
		drop(t, cause)
	}
}

// WaitClosed waits until the link has ended. It returns nil if it was closed,
// else what ended it.
func (l *Link) WaitClosed(ctx context.Context) error {
	run, err := l.current()
	if err != nil {
		return nil //nolint:nilerr // There never was a connection.
	}
	return run.session.waitEnded(ctx)
}

// IsConnected reports whether the state is [transport.Connected].
func (l *Link) IsConnected() bool { return l.State() == transport.Connected }

// State returns the state: [transport.Connected] while there is a connection on
// which this side is registered, and [transport.Connecting] while the link
// tries to get one, which after a loss it reaches by way of
// [transport.Failed] and [transport.Disconnected].
func (l *Link) State() transport.State { return l.machine.State() }

// WaitState waits until the state differs from from.
func (l *Link) WaitState(ctx context.Context, from transport.State) (transport.State, error) {
	return l.machine.Wait(ctx, from)
}

// Reset makes a link that has failed connectable again.
func (l *Link) Reset() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.machine.Reset()
}

// Ping pings the server over the connection that there is.
func (l *Link) Ping(ctx context.Context) error {
	run, err := l.current()
	if err != nil {
		return err
	}
	t, err := run.session.current()
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
func (l *Link) SetReadLimit(n int64) {
	l.mu.Lock()
	l.readLimit = n
	run := l.run
	l.mu.Unlock()
	if run == nil {
		return
	}
	if t, err := run.session.current(); err == nil {
		setReadLimit(t, n)
	}
}

func setReadLimit(t transport.Transport, n int64) {
	if limiter, err := transport.As[transport.ReadLimiter](t); err == nil {
		limiter.SetReadLimit(n)
	}
}

// Backlog returns what the link keeps: to be sent or, in a resumable session,
// to be acknowledged, and to be received.
func (l *Link) Backlog() transport.Backlog {
	run, err := l.current()
	if err != nil {
		return transport.Backlog{}
	}
	return run.session.backlog()
}

// Flush waits until everything that was accepted is written to a connection, or
// in a resumable session until the server has acknowledged it. It returns the
// context's error, or what ended the link.
func (l *Link) Flush(ctx context.Context) error {
	run, err := l.current()
	if err != nil {
		return err
	}
	return run.session.flushed(ctx, true)
}

// ReconnectNow ends the wait before the next attempt, for example when the
// network is known to be back; see [Attempts.ReconnectNow].
func (l *Link) ReconnectNow() {
	if run, err := l.current(); err == nil {
		run.attempts.ReconnectNow()
	}
}

// farewell bounds the writing of what was accepted before a Close.
const farewell = 5 * time.Second
