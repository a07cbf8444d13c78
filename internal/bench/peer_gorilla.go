package main

import (
	"context"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// gorillaPeer is the plain loop on gorilla, which takes no contexts.
func gorillaPeer() Peer {
	return Peer{
		Name: "gorilla",
		Dial: func(ctx context.Context, url string) (Conn, error) {
			conn, _, err := websocket.DefaultDialer.DialContext(ctx, url, nil)
			if err != nil {
				return nil, err
			}
			conn.SetReadLimit(maxMessage)
			return gorillaConn{conn}, nil
		},
		Echo: func(w http.ResponseWriter, r *http.Request) {
			conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
			if err != nil {
				return // the dialling side reports it
			}
			defer conn.Close()
			conn.SetReadLimit(maxMessage)
			for {
				kind, message, err := conn.ReadMessage()
				if err != nil {
					return
				}
				if err := conn.WriteMessage(kind, message); err != nil {
					return
				}
			}
		},
	}
}

type gorillaConn struct{ conn *websocket.Conn }

func (c gorillaConn) Send(_ context.Context, message []byte) error {
	return c.conn.WriteMessage(websocket.TextMessage, message)
}

func (c gorillaConn) Receive(context.Context) ([]byte, error) {
	_, message, err := c.conn.ReadMessage()
	return message, err
}

func (c gorillaConn) Close() error {
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := c.conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second)); err != nil {
		return err
	}
	return c.conn.Close()
}
