package adapters

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/coder/websocket"

	"github.com/aip-go/aip/transport"
)

type coderEngine struct{}

func (coderEngine) Name() string { return "github.com/coder/websocket" }

func (coderEngine) Dial(ctx context.Context, url string, opts DialOptions) (Conn, *http.Response, error) {
	d, client := intercept(ctx, opts)
	conn, response, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient:      client,
		HTTPHeader:      opts.Header,
		Host:            opts.Host,
		Subprotocols:    opts.Subprotocols,
		CompressionMode: coderCompression(opts.Compression),
	})
	if err = d.finish(err); err != nil {
		if conn != nil {
			_ = conn.CloseNow() // Its stream is closed already.
		}
		return nil, response, err
	}
	if opts.HandshakeOnly {
		return letGo(conn, &d.stream.stream), response, nil
	}
	return newCoder(conn, d.stream), response, nil
}

func (coderEngine) Accept(w http.ResponseWriter, r *http.Request, opts AcceptOptions) (Conn, error) {
	h, err := hijack(w, opts)
	if err != nil {
		return nil, err
	}
	conn, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true,
		Subprotocols:       opts.Subprotocols,
		CompressionMode:    coderCompression(opts.Compression),
	})
	if err = h.finish(err); err != nil {
		return nil, err
	}
	if opts.HandshakeOnly {
		return letGo(conn, &h.stream), nil
	}
	return newCoder(conn, &h.stream), nil
}

func coderCompression(on bool) websocket.CompressionMode {
	if on {
		return websocket.CompressionNoContextTakeover
	}
	return websocket.CompressionDisabled
}

func detectCoder(conn any) (Conn, bool) {
	c, ok := conn.(*websocket.Conn)
	if !ok || c == nil {
		return nil, false
	}
	return newCoder(c, nil), true
}

// coderConn adapts a connection of github.com/coder/websocket v1.8.15, which
// has these habits:
//
//   - The end of a context that a Read or Write runs with closes the
//     connection. A context that can end costs eight allocations per message.
//   - Close is the only way to send a close frame. It waits up to 5 s for the
//     peer's, and is not ended by CloseNow.
//
// It sends one close frame and nothing after it.
type coderConn struct {
	conn *websocket.Conn
	// stream is the byte stream beneath. Closing it ends reads, writes and a
	// Close that waits. Where it is not known, reads and writes run with a life
	// that end cancels, to the same effect.
	stream io.Closer
	life   context.Context
	end    context.CancelFunc
	reader coderReader
}

// newCoder adapts a connection; stream is nil when it is not known.
func newCoder(conn *websocket.Conn, stream io.Closer) *coderConn {
	conn.SetReadLimit(-1)
	c := &coderConn{conn: conn, stream: stream, life: context.Background(), end: func() {}}
	if stream == nil {
		c.life, c.end = context.WithCancel(c.life)
	}
	return c
}

func (c *coderConn) NextReader() (transport.Kind, io.Reader, error) {
	kind, r, err := c.conn.Reader(c.life)
	if err != nil {
		return 0, nil, coderError(err)
	}
	c.reader.r = r
	return transport.Kind(kind), &c.reader, nil
}

// coderReader translates the errors of a message's reader.
type coderReader struct{ r io.Reader }

func (r *coderReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		err = coderError(err)
	}
	return n, err
}

// coderError returns the peer's close frame as this package has it.
func coderError(err error) error {
	var end websocket.CloseError
	if errors.As(err, &end) {
		return &transport.CloseError{Code: transport.StatusCode(end.Code), Reason: end.Reason, Remote: true}
	}
	return err
}

func (c *coderConn) WriteMessage(kind transport.Kind, data []byte) error {
	return c.conn.Write(c.life, websocket.MessageType(kind), data)
}

func (c *coderConn) NextWriter(kind transport.Kind) (io.WriteCloser, error) {
	return c.conn.Writer(c.life, websocket.MessageType(kind))
}

func (c *coderConn) Ping(ctx context.Context) error { return c.conn.Ping(ctx) }

func (c *coderConn) WriteClose(code transport.StatusCode, reason string) error {
	return c.conn.Close(websocket.StatusCode(code), reason)
}

func (c *coderConn) CloseNow() error {
	c.end()
	if c.stream != nil {
		_ = c.stream.Close() // The library closes it once more and tells.
	}
	if err := c.conn.CloseNow(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (c *coderConn) Subprotocol() string { return c.conn.Subprotocol() }
