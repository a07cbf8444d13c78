package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"

	"github.com/aip-go/aip/transport"
)

func Example() {
	ctx := context.Background()
	client, server := transport.NewPair(nil)

	if err := client.Send(ctx, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	message, err := server.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, %s\n", message, server.State())

	if err := client.Close(); err != nil {
		log.Fatal(err)
	}
	_, err = server.Receive(ctx)
	fmt.Println(errors.Is(err, io.EOF), server.WaitClosed(ctx), server.State())
	// Output:
	// hello, connected
	// true <nil> disconnected
}

func ExampleMemoryHub() {
	ctx := context.Background()
	hub := transport.NewMemoryHub()
	listener, err := hub.Listen("server", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()

	accepted := make(chan *transport.Memory, 1)
	go func() {
		defer close(accepted)
		server, err := listener.Accept(ctx)
		if err != nil {
			log.Print(err)
			return
		}
		accepted <- server
	}()

	client := hub.NewTransport(&transport.MemoryOptions{MaxMessageSize: 1 << 20})
	if err := client.Connect(ctx, "mem://server"); err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	server := <-accepted
	fmt.Println(client.State(), server.State())
	// Output:
	// connected connected
}

func ExampleAs() {
	client, server := transport.NewPair(nil)
	defer client.Close()
	defer server.Close()

	frames, err := transport.As[transport.FrameTransport](client)
	if err != nil {
		log.Fatal(err)
	}
	err = frames.SendFrames(context.Background(),
		transport.Frame{Kind: transport.Text, Data: []byte(`{"type":"screenshot"}`)},
		transport.Frame{Kind: transport.Binary, Data: []byte{0x89, 'P', 'N', 'G'}},
	)
	fmt.Println(err, server.Backlog().ReceiveMessages)
	// Output:
	// <nil> 2
}
