// Command wrap speaks AIP over WebSockets that other libraries opened: a server
// that has gorilla/websocket, and a client that has coder/websocket.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport/websocket"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	served := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served <- serve(ctx, w, r)
	}))
	defer server.Close()

	conn, _, err := coder.Dial(ctx, server.URL, nil)
	if err != nil {
		return err
	}
	// Wrap finds out whose connection it is, and owns it from then on.
	t, err := websocket.Wrap(conn, nil)
	if err != nil {
		return err
	}
	defer t.Close()
	client, err := protocol.NewClient(t, nil)
	if err != nil {
		return err
	}
	if err := client.Send(ctx, messages.NewDeviceHeartbeat("device-1")); err != nil {
		return err
	}
	reply, err := client.Receive(ctx)
	if err != nil {
		return err
	}
	fmt.Println("client got:", reply.Type, reply.Status)
	if err := t.Close(); err != nil {
		return err
	}
	return <-served
}

// serve answers one message on a connection that gorilla upgraded.
func serve(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	upgrader := gorilla.Upgrader{}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return err
	}
	t, err := websocket.Wrap(conn, nil)
	if err != nil {
		return err
	}
	defer t.Close()
	server, err := protocol.NewServer(t, nil)
	if err != nil {
		return err
	}
	message, err := server.Receive(ctx)
	if err != nil {
		return err
	}
	fmt.Println("server got:", message.Type, "from", message.ClientID)
	if err := server.Send(ctx, messages.NewHeartbeatReply()); err != nil {
		return err
	}
	return t.WaitClosed(ctx)
}
