package main

import (
	"context"
	"encoding/binary"
	"net"
	"net/url"
	"sync"
	"unicode/utf8"

	"github.com/aip-go/aip/transport"
)

// CustomTransport carries messages over plain TCP. It has what the contract
// asks for and none of the optional interfaces but Reset.
type CustomTransport struct {
	// Dial opens connections. Nil means net.Dialer's DialContext.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// MaxMessage is the largest message, in bytes, sent and received.
	MaxMessage int

	machine transport.Machine

	mu     sync.Mutex
	cancel context.CancelCauseFunc // of the Connect that runs
	link   *link                   // the latest connection
}

var (
	_ transport.Transport = (*CustomTransport)(nil)
	_ transport.Resetter  = (*CustomTransport)(nil)
)

// Wrap returns a server's transport over a connection that it accepted. The
// transport owns the connection, which an error has closed.
func Wrap(conn net.Conn, maxMessage int) (*CustomTransport, error) {
	t := &CustomTransport{MaxMessage: maxMessage}
	if _, err := conn.Write(binary.BigEndian.AppendUint32(nil, control)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if err := t.machine.To(transport.Connecting); err != nil {
		return nil, err
	}
	return t, t.start(conn)
}

// Connect dials custom://host:port.
func (t *CustomTransport) Connect(ctx context.Context, address string) error {
	fail := func(err error) error {
		return &transport.Error{Op: "connect", URL: transport.RedactURL(address), Err: err}
	}
	if t.State() != transport.Disconnected && t.State() != transport.Failed {
		return fail(transport.ErrAlreadyConnected)
	}
	if err := t.machine.To(transport.Connecting); err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t.mu.Lock()
	t.cancel = cancel
	t.mu.Unlock()

	conn, err := t.dial(ctx, address)
	if err == nil {
		err = t.start(conn)
	}
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if to := t.machine.To(transport.Failed); to != nil {
		return fail(to)
	}
	return fail(err)
}

func (t *CustomTransport) dial(ctx context.Context, address string) (net.Conn, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "custom" || u.Host == "" {
		return nil, transport.ErrInvalidURL
	}
	dial := t.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	// The server says hello, or ctx ends the wait for it.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	if err = readHello(conn); err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// start makes conn the connection.
func (t *CustomTransport) start(conn net.Conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.machine.To(transport.Connected); err != nil {
		return err
	}
	t.link = newLink(conn, &t.machine, t.MaxMessage)
	return nil
}

func (t *CustomTransport) current() (*link, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.link == nil {
		return nil, transport.ErrNotConnected
	}
	return t.link, nil
}

// Send sends one message.
func (t *CustomTransport) Send(ctx context.Context, data []byte) error {
	outcome, err := transport.NotSent, error(nil)
	switch l, missing := t.current(); {
	case missing != nil:
		err = missing
	case len(data) > t.MaxMessage:
		err = transport.ErrMessageTooLarge
	case !utf8.Valid(data):
		err = transport.ErrInvalidUTF8
	default:
		outcome, err = l.send(ctx, data)
	}
	if err != nil {
		return &transport.Error{Op: "send", Outcome: outcome, Err: err}
	}
	return nil
}

// Receive returns the next message.
func (t *CustomTransport) Receive(ctx context.Context) ([]byte, error) {
	l, err := t.current()
	if err == nil {
		var data []byte
		if data, err = l.receive(ctx); err == nil {
			return data, nil
		}
	}
	return nil, &transport.Error{Op: "receive", Err: err}
}

// Close says goodbye and closes the connection, or ends a running Connect.
func (t *CustomTransport) Close() error {
	t.mu.Lock()
	cancel, l := t.cancel, t.link
	t.mu.Unlock()
	if t.State() == transport.Connecting && cancel != nil {
		cancel(transport.ErrClosed)
		_, err := t.machine.Wait(context.Background(), transport.Connecting)
		return err
	}
	if l != nil {
		l.close()
	}
	return nil
}

// WaitClosed waits for the end of the connection.
func (t *CustomTransport) WaitClosed(ctx context.Context) error {
	l, err := t.current()
	if err != nil {
		return nil
	}
	select {
	case <-l.done:
		if !l.end.Clean() {
			return l.end
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// IsConnected reports whether the state is connected.
func (t *CustomTransport) IsConnected() bool { return t.State() == transport.Connected }

// State returns the current state.
func (t *CustomTransport) State() transport.State { return t.machine.State() }

// Reset makes a failed transport connectable again.
func (t *CustomTransport) Reset() error { return t.machine.Reset() }
