// Command chunks sends a message that is too large for one frame in pieces and
// puts it together again on the other side.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/transport"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	// Neither side takes a message over 1 MiB.
	client, server := transport.NewPair(&transport.MemoryOptions{MaxMessageSize: 1 << 20})
	defer client.Close()

	chunker, err := codec.NewChunker(&codec.ChunkerOptions{ChunkSize: 256 << 10})
	if err != nil {
		return err
	}
	assembler, err := codec.NewAssembler(nil)
	if err != nil {
		return err
	}

	large := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	sent := make(chan error, 1)
	go func() {
		for frame := range chunker.Frames(large) {
			if err := client.SendFrames(ctx, transport.Frame{Kind: transport.Binary, Data: frame}); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()

	for frames := 1; ; frames++ {
		frame, err := server.ReceiveFrame(ctx)
		if err != nil {
			return err
		}
		message, complete, err := assembler.Add(frame.Data)
		if err != nil {
			return err
		}
		if complete {
			fmt.Printf("%d bytes in %d frames, arrived whole: %v\n", len(message), frames, bytes.Equal(message, large))
			return <-sent
		}
	}
}
