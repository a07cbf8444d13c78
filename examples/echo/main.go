// Command echo starts a WebSocket server that returns what it gets, and talks
// to it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/aip-go/aip/transport/websocket"
)

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
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		if err := echo(ctx, w, r); err != nil {
			log.Print(err)
		}
	})
	server := &http.Server{Handler: mux}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	client := websocket.New(nil)
	if err := client.Connect(ctx, "ws://"+listener.Addr().String()+"/ws"); err != nil {
		return err
	}
	defer client.Close()
	for _, text := range []string{"hello", "goodbye"} {
		if err := client.Send(ctx, []byte(text)); err != nil {
			return err
		}
		data, err := client.Receive(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("%s\n", data)
	}
	if err := client.Close(); err != nil {
		return err
	}
	fmt.Println("state:", client.State())

	if err := server.Shutdown(ctx); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// echo serves one connection until the client closes it.
func echo(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	t, err := websocket.Accept(w, r, nil)
	if err != nil {
		return err // The request has been answered.
	}
	defer t.Close()
	for {
		data, err := t.Receive(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := t.Send(ctx, data); err != nil {
			return err
		}
	}
}
