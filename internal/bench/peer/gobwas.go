package peer

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// gobwasPeer is gobwas/ws with the functions of its wsutil, over the buffered
// reader of the handshake.
func gobwasPeer() Peer {
	return Peer{
		Name:  "gobwas",
		Bytes: true,
		Listen: func(serve func(Conn)) (Listener, error) {
			return listenHTTP(serve, func(w http.ResponseWriter, r *http.Request) (Conn, error) {
				conn, buffered, _, err := ws.UpgradeHTTP(r, w)
				if err != nil {
					return nil, err
				}
				return &gobwasConn{conn: conn, r: buffered.Reader, state: ws.StateServerSide}, nil
			})
		},
		Dial: func(ctx context.Context, addr string, dial DialFunc) (Conn, error) {
			conn, r, _, err := ws.Dialer{NetDial: dial}.Dial(ctx, "ws://"+addr)
			if err != nil {
				return nil, err
			}
			if r == nil { // nothing came with the handshake
				r = bufio.NewReader(conn)
			}
			return &gobwasConn{conn: conn, r: r, state: ws.StateClientSide}, nil
		},
	}
}

type gobwasConn struct {
	conn  net.Conn
	r     *bufio.Reader
	state ws.State
	mu    sync.Mutex // of the writer
}

func (c *gobwasConn) Send(message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return wsutil.WriteMessage(c.conn, c.state, ws.OpText, message)
}

func (c *gobwasConn) Flush() error { return nil }

// Read and Write are what wsutil reads messages from, and answers pings with.
func (c *gobwasConn) Read(p []byte) (int, error) { return c.r.Read(p) }

func (c *gobwasConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn.Write(p)
}

func (c *gobwasConn) Receive(each func([]byte) error) error {
	for {
		message, _, err := wsutil.ReadData(c, c.state)
		if err != nil {
			return err
		}
		if err := each(message); err != nil {
			return err
		}
	}
}

func (c *gobwasConn) Close() error { return c.conn.Close() }
