package transporttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aip-go/aip/transport"
)

// framed is a transport over any net.Conn, written to be correct and simple. A
// flaw makes it incorrect in one way.
type framed struct {
	machine  transport.Machine
	dial     func(ctx context.Context, addr string) (net.Conn, error)
	settings Settings
	flaw     flaw

	mu         sync.Mutex
	readLimit  int64
	conn       *framedConn
	connecting *framedDial
}

type framedDial struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
}

func newFramed(settings Settings, flaw flaw) *framed {
	return &framed{settings: settings, readLimit: settings.MaxMessageSize, flaw: flaw}
}

func (f *framed) current() (*framedConn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn == nil {
		return nil, transport.ErrNotConnected
	}
	return f.conn, nil
}

func (f *framed) Connect(ctx context.Context, rawURL string) error {
	if err := f.connect(ctx, rawURL); err != nil {
		where := transport.RedactURL(rawURL)
		if f.flaw == flawLeaksCredentials {
			where = rawURL
		}
		return &transport.Error{Op: "connect", URL: where, Err: err}
	}
	return nil
}

func (f *framed) connect(ctx context.Context, rawURL string) error {
	dialCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dial := &framedDial{cancel: cancel, done: make(chan struct{})}
	defer close(dial.done)
	f.mu.Lock()
	err := f.machine.To(transport.Connecting)
	if err != nil {
		state := f.machine.State()
		f.mu.Unlock()
		if state != transport.Failed {
			return transport.ErrAlreadyConnected
		}
		return err
	}
	f.connecting = dial
	f.mu.Unlock()

	conn, err := f.open(dialCtx, rawURL)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.connecting = nil
	if cause := context.Cause(dialCtx); cause != nil {
		if err == nil {
			_ = conn.Close()
		}
		err = cause
	}
	if err != nil {
		if f.flaw == flawStaysConnecting {
			return err
		}
		_ = f.machine.To(transport.Failed)
		return err
	}
	f.attach(conn)
	if f.flaw == flawConnectContext {
		context.AfterFunc(ctx, func() { _ = conn.Close() })
	}
	return nil
}

func (f *framed) open(ctx context.Context, rawURL string) (net.Conn, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "framed" {
		return nil, fmt.Errorf("%w: want framed://address", transport.ErrInvalidURL)
	}
	if f.flaw == flawDialIgnoresContext {
		ctx = context.WithoutCancel(ctx)
	}
	conn, err := f.dial(ctx, u.Host)
	if err != nil {
		return nil, err
	}
	switch f.flaw {
	case flawHandshakeIgnoresContext:
		ctx = context.WithoutCancel(ctx)
	case flawImpatientHandshake:
		limited, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		ctx = limited
	}
	if err := handshake(ctx, conn, "framed?", "framed!"); err != nil {
		if f.flaw != flawLeaksFailedDial {
			_ = conn.Close()
		}
		return nil, err
	}
	return conn, nil
}

// handshake says one line and expects another one.
func handshake(ctx context.Context, conn net.Conn, say, expect string) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(conn, say); err != nil {
		return err
	}
	got := make([]byte, len(expect))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != expect {
		return errors.New("that is not a framed peer")
	}
	return nil
}

// attach makes conn the connection. The transport is locked.
func (f *framed) attach(conn net.Conn) {
	old := f.conn
	f.conn = newFramedConn(f, conn)
	if old != nil && f.flaw == flawKeepsOldMessages {
		f.conn.in = old.in
	}
	_ = f.machine.To(transport.Connected)
	go f.conn.run()
}

func (f *framed) Send(ctx context.Context, data []byte) error {
	return f.SendFrames(ctx, transport.Frame{Kind: transport.Text, Data: data})
}

func (f *framed) SendFrames(ctx context.Context, frames ...transport.Frame) error {
	for _, frame := range frames {
		if err := f.check(frame); err != nil {
			return &transport.Error{Op: "send", Err: err}
		}
	}
	c, err := f.current()
	if err != nil {
		return &transport.Error{Op: "send", Err: err}
	}
	return c.sendFrames(ctx, frames)
}

func (f *framed) check(frame transport.Frame) error {
	if int64(len(frame.Data)) > f.settings.MaxMessageSize && f.flaw != flawNoSendLimit {
		return transport.ErrMessageTooLarge
	}
	if frame.Kind == transport.Text && !utf8.Valid(frame.Data) && f.flaw != flawNoUTF8Check {
		return transport.ErrInvalidUTF8
	}
	return nil
}

func (f *framed) SendStream(ctx context.Context, kind transport.Kind, r io.Reader) error {
	c, err := f.current()
	if err != nil {
		return &transport.Error{Op: "send", Err: err}
	}
	return c.sendStream(ctx, kind, r)
}

func (f *framed) Receive(ctx context.Context) ([]byte, error) {
	frame, err := f.ReceiveFrame(ctx)
	if err == nil && frame.Kind != transport.Text {
		err = &transport.Error{Op: "receive", Err: &transport.FrameTypeError{Want: transport.Text, Got: frame.Kind, Data: frame.Data}}
	}
	if err != nil {
		return nil, err
	}
	return frame.Data, nil
}

func (f *framed) ReceiveFrame(ctx context.Context) (transport.Frame, error) {
	c, err := f.current()
	if err != nil {
		return transport.Frame{}, &transport.Error{Op: "receive", Err: err}
	}
	frame, err := c.receive(ctx)
	if err != nil {
		return transport.Frame{}, &transport.Error{Op: "receive", Err: err}
	}
	return frame, nil
}

func (f *framed) ReceiveStream(ctx context.Context) (transport.Kind, io.ReadCloser, error) {
	c, err := f.current()
	if err != nil {
		return 0, nil, &transport.Error{Op: "receive", Err: err}
	}
	return c.receiveStream(ctx)
}

func (f *framed) Ping(ctx context.Context) error {
	c, err := f.current()
	if err == nil {
		err = c.ping(ctx)
	}
	if err != nil {
		return &transport.Error{Op: "ping", Err: err}
	}
	return nil
}

func (f *framed) Close() error { return f.CloseWith(transport.StatusNormal, "") }

func (f *framed) CloseWith(code transport.StatusCode, reason string) error {
	if !code.Sendable() {
		return &transport.Error{Op: "close", Err: transport.ErrInvalidStatusCode}
	}
	f.mu.Lock()
	c, dial := f.conn, f.connecting
	if dial != nil && f.flaw != flawCloseIgnoresConnect {
		dial.cancel(transport.ErrClosed)
	}
	f.mu.Unlock()
	switch {
	case dial != nil:
		<-dial.done
	case c != nil:
		c.close(code, transport.TruncateReason(reason))
	}
	return nil
}

func (f *framed) Abort(cause error) {
	f.mu.Lock()
	c, dial := f.conn, f.connecting
	if dial != nil {
		dial.cancel(&transport.CloseError{Code: transport.StatusAbnormal, Err: cause})
	}
	f.mu.Unlock()
	switch {
	case dial != nil:
		<-dial.done
	case c != nil:
		c.fail(cause)
	}
}

func (f *framed) WaitClosed(ctx context.Context) error {
	c, err := f.current()
	if err != nil {
		return nil
	}
	select {
	case <-c.done:
		return c.loss()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *framed) AfterClosed(g func()) (stop func() bool) {
	c, err := f.current()
	if err != nil {
		go g()
		return func() bool { return false }
	}
	return c.notices.AfterClosed(g)
}

func (f *framed) IsConnected() bool      { return f.State() == transport.Connected }
func (f *framed) State() transport.State { return f.machine.State() }
func (f *framed) Reset() error           { return f.machine.Reset() }

func (f *framed) WaitState(ctx context.Context, from transport.State) (transport.State, error) {
	return f.machine.Wait(ctx, from)
}

func (f *framed) SetReadLimit(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readLimit = n
}

func (f *framed) limit() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.readLimit
}

func (f *framed) Backlog() transport.Backlog {
	c, err := f.current()
	if err != nil {
		return transport.Backlog{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return transport.Backlog{
		SendMessages: c.out.messages, SendBytes: c.out.bytes,
		ReceiveMessages: c.in.messages, ReceiveBytes: c.in.bytes,
	}
}

// framedHarness returns a harness for framed, over the kit's network or over
// sockets.
func framedHarness(carrier Carrier, flaw flaw) Harness {
	return Harness{Carrier: carrier, Features: AllFeatures, Start: func(t testing.TB, env Env) Endpoint {
		return startFramed(t, env, flaw, plain, plain)
	}}
}

// plain is a connection as it is.
func plain(conn net.Conn) net.Conn { return conn }

// startFramed starts a server; client and server are put on each connection.
func startFramed(t testing.TB, env Env, flaw flaw, client, server func(net.Conn) net.Conn) Endpoint {
	listen, dial := listenTCP, new(net.Dialer).DialContext
	open, refused, silent := "127.0.0.1:0", "127.0.0.1:1", "127.0.0.1:0"
	if env.Network != nil {
		listen = func(addr string) (net.Listener, error) { return env.Network.Listen(addr), nil }
		dial = env.Network.DialContext
		open, refused, silent = "server", "nobody", "silent"
	}
	listeners := make([]net.Listener, 0, 2)
	for _, addr := range []string{open, silent} {
		l, err := listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		listeners = append(listeners, l)
	}
	accepted := make(chan *framed)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listeners[0].Accept()
			if err != nil {
				return
			}
			running.Go(func() { acceptFramed(ctx, server(conn), env.Server, flaw, accepted) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = listeners[0].Close()
		running.Wait()
	})
	return Endpoint{
		URL:        "framed://" + listeners[0].Addr().String(),
		RefusedURL: "framed://" + refused,
		SilentURL:  "framed://" + listeners[1].Addr().String(),
		NewClient: func() transport.Transport {
			f := newFramed(env.Client, flaw)
			f.dial = func(ctx context.Context, addr string) (net.Conn, error) {
				conn, err := dial(ctx, "tcp", addr)
				if err != nil {
					return nil, err
				}
				return client(conn), nil
			}
			return f
		},
		Accept: func(ctx context.Context) (transport.Transport, error) {
			select {
			case server := <-accepted:
				return server, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}
}

func listenTCP(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

// acceptFramed makes conn a transport and hands it to whoever accepts.
func acceptFramed(ctx context.Context, conn net.Conn, settings Settings, flaw flaw, accepted chan<- *framed) {
	if err := handshake(ctx, conn, "framed!", "framed?"); err != nil {
		_ = conn.Close()
		return
	}
	server := newFramed(settings, flaw)
	_ = server.machine.To(transport.Connecting)
	server.mu.Lock()
	server.attach(conn)
	server.mu.Unlock()
	select {
	case accepted <- server:
	case <-ctx.Done():
		_ = server.Close()
	}
}
