// Command batches gathers many small messages into few frames.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	client, server := transport.NewPair(nil)
	defer client.Close()

	// A batch goes out when it holds 10 messages, or is 10 ms old.
	batcher, err := codec.NewBatcher(client.Send, &codec.BatcherOptions{MaxCount: 10})
	if err != nil {
		return err
	}
	for range 25 {
		message, err := codec.JSON{}.Append(nil, messages.NewDeviceHeartbeat("device-1"))
		if err != nil {
			return err
		}
		if err := batcher.Add(ctx, message); err != nil {
			return err
		}
	}
	// Close sends what is left and waits for it.
	if err := batcher.Close(); err != nil {
		return err
	}
	if err := client.Close(); err != nil {
		return err
	}

	total := 0
	for server.Backlog().ReceiveMessages > 0 {
		frame, err := server.Receive(ctx)
		if err != nil {
			return err
		}
		for message, err := range codec.DecodeBatch[messages.ClientMessage](frame, codec.JSON{}, nil) {
			if err != nil {
				return err
			}
			if message.Type == messages.ClientHeartbeat {
				total++
			}
		}
	}
	fmt.Println("heartbeats that arrived:", total)
	return nil
}
