package protocol_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// pair returns the two ends of a connection in memory.
func pair() (*protocol.Client, *protocol.Server) {
	near, far := transport.NewPair(nil)
	client, err := protocol.NewClient(near, nil)
	if err != nil {
		log.Fatal(err)
	}
	server, err := protocol.NewServer(far, nil)
	if err != nil {
		log.Fatal(err)
	}
	return client, server
}

func ExampleAIPProtocol_SendBinary() {
	ctx := context.Background()
	client, server := pair()
	defer client.Close()

	screenshot := []byte("not really a picture")
	metadata := messages.Object{{Key: "filename", Value: messages.TrustedValue([]byte(`"screen.png"`))}}
	if err := client.SendBinary(ctx, screenshot, protocol.WithChecksum(metadata, screenshot)); err != nil {
		log.Fatal(err)
	}

	m, err := server.ReceiveBinary(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Model().Filename, len(m.Data), "bytes, verified:", m.Verified)
	// Output: screen.png 20 bytes, verified: true
}

func ExampleAIPProtocol_ReceiveFile() {
	ctx := context.Background()
	client, server := pair()
	defer client.Close()
	dir, err := os.MkdirTemp("", "received")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	content := strings.NewReader("abcdefg")
	if _, err := client.SendFileFrom(ctx, content, "f.txt", content.Size(), nil); err != nil {
		log.Fatal(err)
	}

	file, err := server.ReceiveFile(ctx, dir, &protocol.ReceiveFileOptions{
		MaxSize:  10 << 20,
		Existing: protocol.ExistingKept,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(filepath.Base(file.Path), file.Size, "bytes, MD5", file.MD5)
	// Output: f.txt 7 bytes, MD5 7ac66c0f148de9519b8bd264312c4d64
}

func ExampleAIPProtocol_HandleFiles() {
	ctx := context.Background()
	client, server := pair()
	dir, err := os.MkdirTemp("", "received")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	err = server.HandleFiles(dir, nil, func(_ context.Context, file *protocol.FileResult, err error) error {
		switch {
		case errors.Is(err, protocol.ErrExists):
			fmt.Println("we have that one")
		case err != nil:
			return err
		default:
			fmt.Println("received", file.Name)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		if _, err := client.SendFileFrom(ctx, strings.NewReader("hello"), "greeting.txt", 5, nil); err != nil {
			log.Fatal(err)
		}
	}
	if err := client.Close(); err != nil {
		log.Fatal(err)
	}
	if err := server.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// received greeting.txt
	// we have that one
}

func ExampleSafeName() {
	for _, name := range []string{"report.pdf", "../../etc/passwd", `C:\boot.ini`, "aux.txt", "what?.txt", ".."} {
		safe, err := protocol.SafeName(name)
		fmt.Printf("%q %v\n", safe, err)
	}
	// Output:
	// "report.pdf" <nil>
	// "passwd" <nil>
	// "boot.ini" <nil>
	// "_aux.txt" <nil>
	// "what_.txt" <nil>
	// "" protocol: unsafe file name: names no file
}
