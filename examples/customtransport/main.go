// Command customtransport speaks AIP over a transport of its own: messages
// behind their length, on plain TCP. The protocol does not notice.
package main

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
)

const maxMessage = 1 << 20

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	served := make(chan error, 1)
	go func() { served <- serve(ctx, listener) }()

	t := &CustomTransport{MaxMessage: maxMessage}
	if err := t.Connect(ctx, "custom://"+listener.Addr().String()); err != nil {
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

// serve answers one message on one connection.
func serve(ctx context.Context, listener net.Listener) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	t, err := Wrap(conn, maxMessage)
	if err != nil {
		return err
	}
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
