// Command middleware changes messages on their way: one middleware stamps what
// goes out, another one hides what comes in, and a third one counts.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

type clientMiddleware = protocol.Middleware[messages.ClientMessage, messages.ServerMessage]

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	clientSide, serverSide := transport.NewPair(nil)
	defer clientSide.Close()
	client, err := protocol.NewClient(clientSide, nil)
	if err != nil {
		return err
	}
	server, err := protocol.NewServer(serverSide, nil)
	if err != nil {
		return err
	}

	// Outgoing middleware runs in this order, incoming in the reverse order.
	client.Use(
		clientMiddleware{Outgoing: func(_ context.Context, m *messages.ClientMessage) (*messages.ClientMessage, error) {
			stamped := *m // The message is the sender's: change a copy.
			stamped.TaskName = "stamped"
			return &stamped, nil
		}},
		clientMiddleware{Incoming: func(_ context.Context, m *messages.ServerMessage) (*messages.ServerMessage, error) {
			m.Error = "hidden"
			return m, nil
		}},
	)
	metrics := protocol.NewMetricsMiddleware()
	client.Extend(metrics)

	if err := client.Send(ctx, messages.NewDeviceHeartbeat("device-1")); err != nil {
		return err
	}
	got, err := server.Receive(ctx)
	if err != nil {
		return err
	}
	fmt.Println("server got task name:", got.TaskName)

	if err := server.Send(ctx, messages.NewServerError("a stack trace")); err != nil {
		return err
	}
	reply, err := client.Receive(ctx)
	if err != nil {
		return err
	}
	fmt.Println("client got error:", reply.Error)

	snapshot := metrics.Snapshot()
	fmt.Println("sent:", snapshot.MessagesSent, "received:", snapshot.MessagesReceived)
	return nil
}
