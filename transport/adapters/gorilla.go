package adapters

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/aip-go/aip/transport"
)

// closeWait is how long a close frame waits for a frame of data that is being
// written.
const closeWait = 5 * time.Second

func detectGorilla(conn any) (Conn, bool) {
	c, ok := conn.(*websocket.Conn)
	if !ok || c == nil {
		return nil, false
	}
	return newGorilla(c), true
}

// gorillaConn adapts a connection of github.com/gorilla/websocket v1.5.3. That
// library sends one close frame and nothing after it, allows one reader, one
// writer of data and any number of writers of control frames at the same time,
// and leaves pings, pongs and limits to its user.
type gorillaConn struct {
	conn   *websocket.Conn
	reader gorillaReader
	closed chan struct{} // by CloseNow
	once   sync.Once
	wg     sync.WaitGroup // writePongs

	mu      sync.Mutex
	counter int
	pings   map[string]chan struct{} // closed by the pong with that content
	pong    string                   // the latest ping's content
	due     bool                     // and it is not answered yet
	ponging bool                     // writePongs runs
	ended   bool                     // CloseNow was called
}

func newGorilla(conn *websocket.Conn) *gorillaConn {
	c := &gorillaConn{conn: conn, closed: make(chan struct{}), pings: make(map[string]chan struct{})}
	conn.SetReadLimit(0)
	conn.SetPingHandler(c.onPing)
	conn.SetPongHandler(c.onPong)
	conn.SetCloseHandler(func(code int, _ string) error {
		// The error is the peer's close frame, whatever becomes of the answer.
		_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(closeWait))
		return nil
	})
	return c
}

func (c *gorillaConn) NextReader() (transport.Kind, io.Reader, error) {
	kind, r, err := c.conn.NextReader()
	if err != nil {
		return 0, nil, gorillaError(err)
	}
	c.reader.r = r
	return transport.Kind(kind), &c.reader, nil
}

// gorillaReader translates the errors of a message's reader.
type gorillaReader struct{ r io.Reader }

func (r *gorillaReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		err = gorillaError(err)
	}
	return n, err
}

// gorillaError returns the peer's close frame as this package has it. The
// library also makes a CloseError of an end without one.
func gorillaError(err error) error {
	var end *websocket.CloseError
	switch {
	case !errors.As(err, &end):
		return err
	case end.Code == websocket.CloseAbnormalClosure:
		return io.ErrUnexpectedEOF
	default:
		return &transport.CloseError{Code: transport.StatusCode(end.Code), Reason: end.Text, Remote: true}
	}
}

func (c *gorillaConn) WriteMessage(kind transport.Kind, data []byte) error {
	return c.conn.WriteMessage(int(kind), data)
}

func (c *gorillaConn) NextWriter(kind transport.Kind) (io.WriteCloser, error) {
	return c.conn.NextWriter(int(kind))
}

// onPing has the ping answered by a goroutine, because the reader must not wait
// for the writer. Of pings that came meanwhile the latest is answered (RFC 6455
// section 5.5.3).
func (c *gorillaConn) onPing(content string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pong, c.due = content, true
	if !c.ponging && !c.ended {
		c.ponging = true
		c.wg.Go(c.writePongs)
	}
	return nil
}

func (c *gorillaConn) writePongs() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.due && !c.ended {
		content := c.pong
		c.due = false
		c.mu.Unlock()
		// An error is final, and the reader meets it as well.
		_ = c.conn.WriteControl(websocket.PongMessage, []byte(content), time.Time{})
		c.mu.Lock()
	}
	c.ponging = false
}

func (c *gorillaConn) onPong(content string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answered, ok := c.pings[content]; ok {
		delete(c.pings, content)
		close(answered)
	}
	return nil
}

func (c *gorillaConn) Ping(ctx context.Context) error {
	answered := make(chan struct{})
	c.mu.Lock()
	c.counter++
	content := strconv.Itoa(c.counter)
	c.pings[content] = answered
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.pings, content)
	}()
	deadline, _ := ctx.Deadline()
	if err := c.conn.WriteControl(websocket.PingMessage, []byte(content), deadline); err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() && !errors.Is(err, os.ErrDeadlineExceeded) {
			return context.DeadlineExceeded // It waited for another frame, and was not begun.
		}
		return err
	}
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closed:
		return net.ErrClosed
	}
}

func (c *gorillaConn) WriteClose(code transport.StatusCode, reason string) error {
	err := c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(int(code), reason), time.Time{})
	if errors.Is(err, websocket.ErrCloseSent) {
		return nil
	}
	return err
}

func (c *gorillaConn) CloseNow() error {
	var err error
	c.once.Do(func() {
		c.mu.Lock()
		c.ended = true
		c.mu.Unlock()
		close(c.closed)
		err = c.conn.Close()
	})
	c.wg.Wait()
	return err
}

func (c *gorillaConn) Subprotocol() string { return c.conn.Subprotocol() }

// RemoteAddr returns the peer's address.
func (c *gorillaConn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }
