//lint:file-ignore SA1019 the deprecated library is what the transport is compared with

package main

import (
	"context"
	"net/http"

	"nhooyr.io/websocket"
)

// nhooyrPeer is the plain loop on the transport's own engine: what the
// transport is measured by.
func nhooyrPeer() Peer {
	return Peer{
		Name: "nhooyr",
		Dial: func(ctx context.Context, url string) (Conn, error) {
			conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{CompressionMode: websocket.CompressionDisabled})
			if err != nil {
				return nil, err
			}
			conn.SetReadLimit(maxMessage)
			return nhooyrConn{conn}, nil
		},
		Echo: func(w http.ResponseWriter, r *http.Request) {
			conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
			if err != nil {
				return // the dialling side reports it
			}
			defer conn.CloseNow()
			conn.SetReadLimit(maxMessage)
			ctx := context.Background()
			for {
				kind, message, err := conn.Read(ctx)
				if err != nil {
					return
				}
				if err := conn.Write(ctx, kind, message); err != nil {
					return
				}
			}
		},
	}
}

type nhooyrConn struct{ conn *websocket.Conn }

func (c nhooyrConn) Send(ctx context.Context, message []byte) error {
	return c.conn.Write(ctx, websocket.MessageText, message)
}

func (c nhooyrConn) Receive(ctx context.Context) ([]byte, error) {
	_, message, err := c.conn.Read(ctx)
	return message, err
}

func (c nhooyrConn) Close() error { return c.conn.Close(websocket.StatusNormalClosure, "") }
