// Command handlers serves messages with one handler for each type, while a
// call from a handler waits for its own reply.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	clientSide, serverSide := transport.NewPair(nil)
	client, err := protocol.NewClient(clientSide, nil)
	if err != nil {
		return err
	}
	server, err := protocol.NewServer(serverSide, nil)
	if err != nil {
		return err
	}

	// The server answers heartbeats, and device info requests from its books.
	server.Handle(messages.ClientHeartbeat, func(ctx context.Context, m *messages.ClientMessage) error {
		return server.Send(ctx, messages.NewHeartbeatReply())
	})
	server.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
		info, err := messages.NewValue(map[string]any{"hostname": "lab-7"})
		if err != nil {
			return err
		}
		return server.Send(ctx, messages.NewDeviceInfoResponse(m.RequestID, info))
	})

	// The client asks for device info when its heartbeat is answered. Calling
	// from a handler is fine: replies do not wait for handlers.
	answered := make(chan string, 1)
	client.Handle(messages.ServerHeartbeat, func(ctx context.Context, m *messages.ServerMessage) error {
		request := messages.NewDeviceInfoRequest("c@device-1", "device-1")
		reply, err := client.Call(ctx, request, protocol.MatchDeviceInfo(request.RequestID))
		if err != nil {
			return err
		}
		answered <- reply.Result.String()
		return nil
	})

	ended := make(chan error, 2)
	go func() { ended <- server.Run(ctx) }()
	go func() { ended <- client.Run(ctx) }()

	if err := client.Send(ctx, messages.NewConstellationHeartbeat("c@device-1", "device-1")); err != nil {
		return err
	}
	fmt.Println("device info:", <-answered)

	// Closing the connection ends both sides cleanly.
	if err := client.Close(); err != nil {
		return err
	}
	for range 2 {
		if err := <-ended; err != nil {
			return err
		}
	}
	fmt.Println("closed cleanly")
	return nil
}
