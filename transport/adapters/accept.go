package adapters

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"time"
)

// handshakeTimeout bounds the writing of the response to a handshake.
const handshakeTimeout = 10 * time.Second

// hijacked is the [http.ResponseWriter] that a library gets to answer a
// handshake with. The connection was taken from the server before that, so that
// wrappers of the server's own writer have no say in the response.
type hijacked struct {
	conn   net.Conn
	rw     *bufio.ReadWriter // the server's, with nothing in it
	header http.Header
	stream stream // what the library reads and writes
	err    error  // of writing the response
}

// hijack takes the connection over. On an error it has answered the request:
// with 501 where that is not supported, else with 500.
func hijack(w http.ResponseWriter, opts AcceptOptions) (*hijacked, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		status := http.StatusInternalServerError
		if errors.Is(err, errors.ErrUnsupported) {
			status = http.StatusNotImplemented
		}
		http.Error(w, http.StatusText(status), status)
		return nil, fmt.Errorf("adapters: the server's ResponseWriter, a %T, cannot be hijacked: %w", w, err)
	}
	// A client that does not wait for the response may have sent frames.
	early := make([]byte, rw.Reader.Buffered())
	if _, err := io.ReadFull(rw.Reader, early); err != nil {
		_ = conn.Close() // It is unusable.
		return nil, fmt.Errorf("adapters: reading what the server had buffered: %w", err)
	}
	if len(early) > 0 {
		conn = &earlyConn{Conn: conn, early: early}
	}
	h := &hijacked{conn: conn, rw: rw, header: http.Header{}, stream: stream{ReadWriteCloser: conn}}
	maps.Copy(h.header, w.Header())
	if opts.Wrap != nil {
		h.stream.ReadWriteCloser = opts.Wrap(conn)
	}
	return h, nil
}

// Header returns the headers of the response.
func (h *hijacked) Header() http.Header { return h.header }

// WriteHeader writes the response's head.
func (h *hijacked) WriteHeader(status int) {
	if status != http.StatusSwitchingProtocols {
		h.header.Set("Connection", "close")
	}
	// Not every connection has deadlines; this one's loss does not matter.
	_ = h.conn.SetWriteDeadline(time.Now().Add(handshakeTimeout))
	defer func() { _ = h.conn.SetWriteDeadline(time.Time{}) }()
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = h.header.Write(&head) // A Buffer has no errors.
	head.WriteString("\r\n")
	_, h.err = h.conn.Write(head.Bytes())
}

// Write writes a part of the body of an error response.
func (h *hijacked) Write(p []byte) (int, error) {
	if h.err != nil {
		return 0, h.err
	}
	return h.conn.Write(p)
}

// Hijack hands over the connection.
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if h.err != nil {
		return nil, nil, h.err
	}
	conn := &streamConn{Conn: h.conn, stream: &h.stream}
	h.rw.Reader.Reset(conn)
	h.rw.Writer.Reset(conn)
	return conn, h.rw, nil
}

// finish ends the handshake, which had this result, and returns it.
func (h *hijacked) finish(err error) error {
	if err != nil {
		_ = h.conn.Close() // The handshake has failed already.
	}
	return err
}

// streamConn is a connection whose bytes go through a stream.
type streamConn struct {
	net.Conn
	stream *stream
}

func (c *streamConn) Read(p []byte) (int, error)  { return c.stream.Read(p) }
func (c *streamConn) Write(p []byte) (int, error) { return c.stream.Write(p) }
func (c *streamConn) Close() error                { return c.stream.Close() }

// earlyConn is a connection from which something was read already.
type earlyConn struct {
	net.Conn
	early []byte
}

func (c *earlyConn) Read(p []byte) (int, error) {
	if len(c.early) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.early)
	c.early = c.early[n:]
	return n, nil
}
