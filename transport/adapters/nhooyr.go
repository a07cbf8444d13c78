package adapters

//lint:file-ignore SA1019 nhooyr.io/websocket is the engine this project is built on, by its owner's decision; it is deprecated in favour of github.com/coder/websocket, which Coder offers. This is the only file that imports it.

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"

	"nhooyr.io/websocket"

	"github.com/aip-go/aip/transport"
)

type nhooyrEngine struct{}

func (nhooyrEngine) Name() string { return "nhooyr.io/websocket" }

func (nhooyrEngine) Dial(ctx context.Context, url string, opts DialOptions) (Conn, *http.Response, error) {
	d, client := intercept(ctx, opts)
	conn, response, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient:      client,
		HTTPHeader:      opts.Header,
		Host:            opts.Host,
		Subprotocols:    opts.Subprotocols,
		CompressionMode: nhooyrCompression(opts.Compression),
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
	return newNhooyr(conn, d.stream), response, nil
}

func (nhooyrEngine) Accept(w http.ResponseWriter, r *http.Request, opts AcceptOptions) (Conn, error) {
	h, err := hijack(w, opts)
	if err != nil {
		return nil, err
	}
	conn, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true,
		Subprotocols:       opts.Subprotocols,
		CompressionMode:    nhooyrCompression(opts.Compression),
	})
	if err = h.finish(err); err != nil {
		return nil, err
	}
	if opts.HandshakeOnly {
		return letGo(conn, &h.stream), nil
	}
	return newNhooyr(conn, &h.stream), nil
}

func nhooyrCompression(on bool) websocket.CompressionMode {
	if on {
		return websocket.CompressionNoContextTakeover
	}
	return websocket.CompressionDisabled
}

func detectNhooyr(conn any) (Conn, bool) {
	c, ok := conn.(*websocket.Conn)
	if !ok || c == nil {
		return nil, false
	}
	return newNhooyr(c, nil), true
}

// nhooyrConn adapts a connection of nhooyr.io/websocket v1.8.17, which has
// these habits:
//
//   - The end of a context that a Read or Write runs with closes the
//     connection.
//   - Close is the only way to send a close frame. It waits up to 5 s for the
//     peer's, and is not ended by CloseNow.
//   - It writes data after its close frame, and a second close frame in answer
//     to the peer's. The first is prevented here as far as this side closes;
//     the rest can only be prevented in the byte stream beneath.
type nhooyrConn struct {
	conn *websocket.Conn
	// life is what reads and writes run with and end cancels it, so that
	// CloseNow ends them and a Close that waits. stream is the byte stream
	// beneath, which serves that purpose better where it is known.
	life   context.Context
	end    context.CancelFunc
	stream io.Closer
	// turn is held while a frame of data is written.
	turn    chan struct{}
	closing bool // WriteClose was called; guarded by turn
	reader  nhooyrReader
	writer  nhooyrWriter
}

// newNhooyr adapts a connection; stream is nil when it is not known.
func newNhooyr(conn *websocket.Conn, stream io.Closer) *nhooyrConn {
	conn.SetReadLimit(-1)
	c := &nhooyrConn{conn: conn, stream: stream, turn: make(chan struct{}, 1)}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

func (c *nhooyrConn) NextReader() (transport.Kind, io.Reader, error) {
	kind, r, err := c.conn.Reader(c.life)
	if err != nil {
		return 0, nil, nhooyrError(err)
	}
	c.reader.r = r
	return transport.Kind(kind), &c.reader, nil
}

// nhooyrReader translates the errors of a message's reader.
type nhooyrReader struct{ r io.Reader }

func (r *nhooyrReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		err = nhooyrError(err)
	}
	return n, err
}

// nhooyrError returns the peer's close frame as this package has it.
func nhooyrError(err error) error {
	var end websocket.CloseError
	if errors.As(err, &end) {
		return &transport.CloseError{Code: transport.StatusCode(end.Code), Reason: end.Reason, Remote: true}
	}
	return err
}

func (c *nhooyrConn) WriteMessage(kind transport.Kind, data []byte) error {
	return c.write(func() error {
		return c.conn.Write(c.life, websocket.MessageType(kind), data)
	})
}

func (c *nhooyrConn) NextWriter(kind transport.Kind) (io.WriteCloser, error) {
	w, err := c.conn.Writer(c.life, websocket.MessageType(kind))
	if err != nil {
		return nil, err
	}
	c.writer = nhooyrWriter{c: c, w: w}
	return &c.writer, nil
}

// write runs f unless a close frame was sent.
func (c *nhooyrConn) write(f func() error) error {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if c.closing {
		return net.ErrClosed
	}
	return f()
}

// nhooyrWriter writes a message unless a close frame was sent.
type nhooyrWriter struct {
	c *nhooyrConn
	w io.WriteCloser
}

func (w *nhooyrWriter) Write(p []byte) (n int, err error) {
	err = w.c.write(func() error {
		n, err = w.w.Write(p)
		return err
	})
	return n, err
}

func (w *nhooyrWriter) Close() error { return w.c.write(w.w.Close) }

func (c *nhooyrConn) Ping(ctx context.Context) error { return c.conn.Ping(ctx) }

func (c *nhooyrConn) WriteClose(code transport.StatusCode, reason string) error {
	select {
	case c.turn <- struct{}{}:
	case <-c.life.Done():
		return net.ErrClosed
	}
	closing := c.closing
	c.closing = true
	<-c.turn
	if closing {
		return nil
	}
	return c.conn.Close(websocket.StatusCode(code), reason)
}

func (c *nhooyrConn) CloseNow() error {
	c.end()
	if c.stream != nil {
		_ = c.stream.Close() // The library closes it once more and tells.
	}
	if err := c.conn.CloseNow(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (c *nhooyrConn) Subprotocol() string { return c.conn.Subprotocol() }
