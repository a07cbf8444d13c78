package websocket

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/adapters"
)

// Transport is a transport over a WebSocket. [New], [Accept] and [Wrap] make
// one. It implements [transport.Transport] and all optional interfaces of that
// package, whose rules for concurrent use apply. Receives that run at the same
// time nevertheless are served one after the other.
//
// A message that was received and not read as a stream, and the bytes it was
// sent from, are the caller's. Send returns when the operating system has the
// message, or sooner when its context ends. It also returns sooner, as soon as
// the message is in line for the next write, when others are being written just
// then, when more than eight were sent since the peer's latest, or when more
// received messages are there to be taken: no more than 64 KiB in all, and not
// with a [SendPolicy] other than [SendBlock]. An error of that write ends the
// connection, and the next call tells. A program that answers received messages
// quickly, at least 16 in a row within 200 µs each, has its answers written by
// the sixteenth of them, by its next Receive that has to wait, or after a few
// milliseconds, at most 10 or so, if it takes its time all of a sudden.
type Transport struct {
	settings *settings
	machine  transport.Machine
	limit    atomic.Int64 // see SetReadLimit; 0 for none
	dials    bool         // it was made by New

	mu      sync.Mutex
	conn    *conn    // the latest connection; nil if there is none since the latest Connect began
	attempt *attempt // the Connect that runs
}

var _ interface {
	transport.Transport
	transport.FrameTransport
	transport.StreamTransport
	transport.Pinger
	transport.Aborter
	transport.CodeCloser
	transport.StateWaiter
	transport.Resetter
	transport.ReadLimiter
	transport.Backlogger
	transport.Lender
} = (*Transport)(nil)

// New returns a transport for a client, which is to be connected. What is wrong
// with the options is reported by Connect, with [transport.ErrInvalidOptions].
func New(opts *Options) *Transport {
	t := newTransport(resolve(opts))
	t.dials = true
	return t
}

// Wrap returns a transport on a connection that is open already: one that
// [adapters.Detect] knows, or an [adapters.Conn]. From then on the connection
// is the transport's. The options for handshakes are not used. The error
// matches [errors.ErrUnsupported] or [transport.ErrInvalidOptions]; then the
// connection is left as it was.
//
// The transport cannot Connect again.
func Wrap(connection any, opts *Options) (*Transport, error) {
	s := resolve(opts)
	if s.err != nil {
		return nil, s.err
	}
	link, err := adapters.Detect(connection)
	if err != nil {
		return nil, err
	}
	t := newTransport(s)
	c := newConn(t, link, nil)
	if addressed, ok := link.(interface{ RemoteAddr() net.Addr }); ok {
		c.remote = addressed.RemoteAddr()
	}
	t.adopt(c)
	return t, nil
}

func newTransport(s *settings) *Transport {
	t := &Transport{settings: s}
	t.limit.Store(s.ReadLimit)
	return t
}

// adopt makes an open connection a new transport's.
func (t *Transport) adopt(c *conn) {
	t.conn = c
	// From the first state these two are allowed.
	_ = t.machine.To(transport.Connecting)
	_ = t.machine.To(transport.Connected)
	c.start()
}

// current returns the latest connection, and an error if there is none.
func (t *Transport) current() (*conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn == nil {
		return nil, transport.ErrNotConnected
	}
	return t.conn, nil
}

// failed makes an error of an operation.
func (t *Transport) failed(op string, outcome transport.Outcome, err error) error {
	e := &transport.Error{Op: op, Outcome: outcome, Err: err}
	if c, _ := t.current(); c != nil {
		e.URL = c.url
	}
	return e
}

// Send sends one text message; see [transport.Transport].
func (t *Transport) Send(ctx context.Context, data []byte) error {
	frames := [1]transport.Frame{{Kind: transport.Text, Data: data}}
	return t.sendFrames(ctx, frames[:])
}

// SendFrames sends the frames one directly after the other; see
// [transport.FrameTransport].
func (t *Transport) SendFrames(ctx context.Context, frames ...transport.Frame) error {
	return t.sendFrames(ctx, frames)
}

func (t *Transport) sendFrames(ctx context.Context, frames []transport.Frame) error {
	c, err := t.current()
	if err == nil {
		err = t.settings.check(frames)
	}
	if err != nil {
		return t.failed("send", transport.NotSent, err)
	}
	if len(frames) == 0 {
		return nil
	}
	if outcome, err := c.send(ctx, frames); err != nil {
		return t.failed("send", outcome, err)
	}
	return nil
}

// SendStream sends what r yields as one message, in fragments of at most 64
// KiB; see [transport.StreamTransport]. A stream over MaxMessageSize, or a text
// that is not UTF-8, aborts the connection once a fragment was sent.
func (t *Transport) SendStream(ctx context.Context, kind transport.Kind, r io.Reader) error {
	c, err := t.current()
	if err != nil {
		return t.failed("send", transport.NotSent, err)
	}
	if outcome, err := c.sendStream(ctx, kind, r); err != nil {
		return t.failed("send", outcome, err)
	}
	return nil
}

// Receive returns the next message; see [transport.Transport].
func (t *Transport) Receive(ctx context.Context) ([]byte, error) {
	frame, err := t.ReceiveFrame(ctx)
	if err != nil {
		return nil, err
	}
	if frame.Kind != transport.Text {
		return nil, t.failed("receive", transport.NotSent,
			&transport.FrameTypeError{Want: transport.Text, Got: frame.Kind, Data: frame.Data})
	}
	return frame.Data, nil
}

// ReceiveFrame returns the next message of either kind; see
// [transport.FrameTransport].
func (t *Transport) ReceiveFrame(ctx context.Context) (transport.Frame, error) {
	c, err := t.current()
	if err != nil {
		return transport.Frame{}, t.failed("receive", transport.NotSent, err)
	}
	frame, err := c.receiveFrame(ctx)
	if err != nil {
		return transport.Frame{}, t.failed("receive", transport.NotSent, err)
	}
	return frame, nil
}

// Borrow lends the next message to use; see [transport.Lender]. Messages from 4
// KiB to 1 MiB are read into memory that is used again, and no more than 128 KiB
// of them, or one, wait to be borrowed. It is so from the first Borrow on, for
// binary messages up to 128 KiB from the beginning, and until a large message is
// received in another way.
func (t *Transport) Borrow(ctx context.Context, use func(transport.Frame) error) error {
	c, err := t.current()
	used := false
	if err == nil {
		used, err = c.borrow(ctx, use)
	}
	if err != nil && !used {
		return t.failed("receive", transport.NotSent, err)
	}
	return err
}

// ReceiveStream returns the next message as a reader; see
// [transport.StreamTransport]. Not more than 2 MiB of the message is held at a
// time. Close of the reader may be called while a Read waits, and ends it.
func (t *Transport) ReceiveStream(ctx context.Context) (transport.Kind, io.ReadCloser, error) {
	c, err := t.current()
	if err != nil {
		return 0, nil, t.failed("receive", transport.NotSent, err)
	}
	kind, r, err := c.receiveStream(ctx)
	if err != nil {
		return 0, nil, t.failed("receive", transport.NotSent, err)
	}
	return kind, r, nil
}

// Ping asks the peer for a sign of life and waits for it; see
// [transport.Pinger]. Pings that wait at the same time share one.
func (t *Transport) Ping(ctx context.Context) error {
	c, err := t.current()
	if err == nil {
		err = c.ping(ctx)
	}
	if err != nil {
		return t.failed("ping", transport.NotSent, err)
	}
	return nil
}

// IsConnected reports whether the state is connected.
func (t *Transport) IsConnected() bool { return t.State() == transport.Connected }

// State returns the current state.
func (t *Transport) State() transport.State { return t.machine.State() }

// WaitState waits until the state differs from from; see
// [transport.StateWaiter].
func (t *Transport) WaitState(ctx context.Context, from transport.State) (transport.State, error) {
	return t.machine.Wait(ctx, from)
}

// Reset makes a failed transport connectable again; see [transport.Resetter].
func (t *Transport) Reset() error { return t.machine.Reset() }

// SetReadLimit sets the largest message, in bytes, that is accepted of those
// that begin to arrive from now on; see [transport.ReadLimiter]. It stays in
// force over reconnections. It panics unless n is positive.
func (t *Transport) SetReadLimit(n int64) {
	if n <= 0 {
		panic("websocket: SetReadLimit needs a positive number of bytes")
	}
	t.limit.Store(n)
}

// Backlog returns what waits to be sent, including what is being sent, and what
// was received and not taken; see [transport.Backlogger].
func (t *Transport) Backlog() transport.Backlog {
	c, _ := t.current()
	if c == nil {
		return transport.Backlog{}
	}
	return c.backlog()
}

// RemoteAddr returns the peer's address, or the proxy's. It is nil when there
// was no connection and when the address is not known.
func (t *Transport) RemoteAddr() net.Addr {
	c, _ := t.current()
	if c == nil {
		return nil
	}
	return c.remote
}

// Subprotocol returns the subprotocol of the latest connection. It is empty
// when there is none.
func (t *Transport) Subprotocol() string {
	c, _ := t.current()
	if c == nil {
		return ""
	}
	return c.link.Subprotocol()
}
