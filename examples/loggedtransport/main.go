// Command loggedtransport wraps a transport in one that logs what passes.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/aip-go/aip/transport"
)

// LoggedTransport logs the size of every text message. What it does not
// override goes to the transport inside, and optional interfaces are found
// behind it by transport.As.
type LoggedTransport struct {
	transport.Transport
	log func(format string, args ...any)
}

// Unwrap makes the optional interfaces of the transport inside available.
func (t *LoggedTransport) Unwrap() transport.Transport { return t.Transport }

// Send logs and sends.
func (t *LoggedTransport) Send(ctx context.Context, data []byte) error {
	t.log("sending %d bytes", len(data))
	return t.Transport.Send(ctx, data)
}

// Receive receives and logs.
func (t *LoggedTransport) Receive(ctx context.Context) ([]byte, error) {
	data, err := t.Transport.Receive(ctx)
	if err == nil {
		t.log("received %d bytes", len(data))
	}
	return data, err
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	client, server := transport.NewPair(nil)
	defer client.Close()
	logged := &LoggedTransport{Transport: client, log: func(format string, args ...any) {
		fmt.Printf(format+"\n", args...)
	}}

	if err := logged.Send(ctx, []byte("hello")); err != nil {
		return err
	}
	if err := server.Send(ctx, []byte("hello to you")); err != nil {
		return err
	}
	if _, err := logged.Receive(ctx); err != nil {
		return err
	}

	pinger, err := transport.As[transport.Pinger](logged)
	if err != nil {
		return err
	}
	fmt.Println("ping through the wrapper:", pinger.Ping(ctx))
	return nil
}
