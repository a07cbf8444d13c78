package main

import (
	"context"
	"net/http"

	"github.com/coder/websocket"
)

// coderPeer is the plain loop on the engine that continues nhooyr.
func coderPeer() Peer {
	return Peer{
		Name: "coder",
		Dial: func(ctx context.Context, url string) (Conn, error) {
			conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{CompressionMode: websocket.CompressionDisabled})
			if err != nil {
				return nil, err
			}
			conn.SetReadLimit(maxMessage)
			return coderConn{conn}, nil
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

type coderConn struct{ conn *websocket.Conn }

func (c coderConn) Send(ctx context.Context, message []byte) error {
	return c.conn.Write(ctx, websocket.MessageText, message)
}

func (c coderConn) Receive(ctx context.Context) ([]byte, error) {
	_, message, err := c.conn.Read(ctx)
	return message, err
}

func (c coderConn) Close() error { return c.conn.Close(websocket.StatusNormalClosure, "") }
