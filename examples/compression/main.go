// Command compression sends a large message compressed, and takes plain and
// compressed messages alike on the other side.
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
	client, server := transport.NewPair(nil)
	defer client.Close()

	// Auto compresses what is large enough to gain from it, and recognises
	// gzip and zstd when it receives. MaxSize stops a decompression bomb.
	compressor, err := codec.NewAuto(&codec.AutoOptions{CompressOptions: codec.CompressOptions{MaxSize: 8 << 20}})
	if err != nil {
		return err
	}

	screenshot := bytes.Repeat([]byte("a very repetitive screenshot "), 10_000)
	for _, original := range [][]byte{[]byte("small"), screenshot} {
		packed, err := compressor.Compress(nil, original)
		if err != nil {
			return err
		}
		// Compressed bytes are not UTF-8 text, so they travel as binary.
		if err := client.SendFrames(ctx, transport.Frame{Kind: transport.Binary, Data: packed}); err != nil {
			return err
		}
		frame, err := server.ReceiveFrame(ctx)
		if err != nil {
			return err
		}
		received, err := compressor.Decompress(nil, frame.Data)
		if err != nil {
			return err
		}
		fmt.Printf("%d bytes, compressed: %v, arrived whole: %v\n",
			len(original), len(frame.Data) < len(original), bytes.Equal(received, original))
	}
	return nil
}
