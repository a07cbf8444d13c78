package peer

import (
	"context"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

// gorillaPeer is the plain loop on gorilla, with a lock for its one writer.
func gorillaPeer() Peer {
	return Peer{
		Name:  "gorilla",
		Bytes: true,
		Listen: func(serve func(Conn)) (Listener, error) {
			return listenHTTP(serve, func(w http.ResponseWriter, r *http.Request) (Conn, error) {
				conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
				if err != nil {
					return nil, err
				}
				conn.SetReadLimit(MaxMessage)
				return &gorillaConn{conn: conn}, nil
			})
		},
		Dial: func(ctx context.Context, addr string, dial DialFunc) (Conn, error) {
			conn, _, err := (&websocket.Dialer{NetDialContext: dial}).DialContext(ctx, "ws://"+addr, nil)
			if err != nil {
				return nil, err
			}
			conn.SetReadLimit(MaxMessage)
			return &gorillaConn{conn: conn}, nil
		},
	}
}

type gorillaConn struct {
	conn *websocket.Conn
	mu   sync.Mutex // of the writer
}

func (c *gorillaConn) Send(message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn.WriteMessage(websocket.TextMessage, message)
}

func (c *gorillaConn) Flush() error { return nil }

func (c *gorillaConn) Receive(each func([]byte) error) error {
	for {
		_, message, err := c.conn.ReadMessage()
		if err != nil {
			return err
		}
		if err := each(message); err != nil {
			return err
		}
	}
}

func (c *gorillaConn) Close() error { return c.conn.Close() }
