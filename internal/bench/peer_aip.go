package main

import (
	"context"
	"net/http"

	"github.com/aip-go/aip/transport/websocket"
)

// aipPeers are the transport, with its default options, on each engine.
func aipPeers() []Peer {
	return []Peer{
		aipPeer("aip", websocket.EngineNhooyr),
		aipPeer("aip on coder", websocket.EngineCoder),
	}
}

func aipPeer(name string, engine websocket.Engine) Peer {
	return Peer{
		Name: name,
		Dial: func(ctx context.Context, url string) (Conn, error) {
			t := websocket.New(&websocket.Options{Engine: engine})
			if err := t.Connect(ctx, url); err != nil {
				return nil, err
			}
			return t, nil
		},
		Echo: func(w http.ResponseWriter, r *http.Request) {
			t, err := websocket.Accept(w, r, &websocket.AcceptOptions{Options: &websocket.Options{Engine: engine}})
			if err != nil {
				return // the dialling side reports it
			}
			defer t.Close()
			ctx := context.Background()
			for {
				message, err := t.Receive(ctx)
				if err != nil {
					return
				}
				if err := t.Send(ctx, message); err != nil {
					return
				}
			}
		},
	}
}
