package peer

import (
	"context"
	"net/http"

	"github.com/coder/websocket"
)

// coderPeer is the plain loop on the engine that continues coder.
func coderPeer() Peer {
	return Peer{
		Name:  "coder",
		Bytes: true,
		Listen: func(serve func(Conn)) (Listener, error) {
			return listenHTTP(serve, func(w http.ResponseWriter, r *http.Request) (Conn, error) {
				conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
				if err != nil {
					return nil, err
				}
				conn.SetReadLimit(MaxMessage)
				return coderConn{conn}, nil
			})
		},
		Dial: func(ctx context.Context, addr string, dial DialFunc) (Conn, error) {
			conn, _, err := websocket.Dial(ctx, "ws://"+addr, &websocket.DialOptions{
				HTTPClient:      httpClient(dial),
				CompressionMode: websocket.CompressionDisabled,
			})
			if err != nil {
				return nil, err
			}
			conn.SetReadLimit(MaxMessage)
			return coderConn{conn}, nil
		},
	}
}

type coderConn struct{ conn *websocket.Conn }

func (c coderConn) Send(message []byte) error {
	return c.conn.Write(context.Background(), websocket.MessageText, message)
}

func (c coderConn) Flush() error { return nil }

func (c coderConn) Receive(each func([]byte) error) error {
	ctx := context.Background()
	for {
		_, message, err := c.conn.Read(ctx)
		if err != nil {
			return err
		}
		if err := each(message); err != nil {
			return err
		}
	}
}

func (c coderConn) Close() error { return c.conn.CloseNow() }
