//lint:file-ignore SA1019 the deprecated library is what the transport is compared with

package peer

import (
	"context"
	"net/http"

	"nhooyr.io/websocket"
)

// nhooyrPeer is the plain loop on the transport's own engine: what the
// transport is measured by.
func nhooyrPeer() Peer {
	return Peer{
		Name:  "nhooyr",
		Bytes: true,
		Listen: func(serve func(Conn)) (Listener, error) {
			return listenHTTP(serve, func(w http.ResponseWriter, r *http.Request) (Conn, error) {
				conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
				if err != nil {
					return nil, err
				}
				conn.SetReadLimit(MaxMessage)
				return nhooyrConn{conn}, nil
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
			return nhooyrConn{conn}, nil
		},
	}
}

type nhooyrConn struct{ conn *websocket.Conn }

func (c nhooyrConn) Send(message []byte) error {
	return c.conn.Write(context.Background(), websocket.MessageText, message)
}

func (c nhooyrConn) Flush() error { return nil }

func (c nhooyrConn) Receive(each func([]byte) error) error {
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

func (c nhooyrConn) Close() error { return c.conn.CloseNow() }
