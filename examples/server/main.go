// Command server runs tasks on devices: it has a device greet whom the task
// names. It listens at the address in its argument, takes the token that is in
// the environment as AIP_TOKEN, and at an interrupt lets tasks end.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
)

func main() {
	address := "127.0.0.1:5000"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, address); err != nil {
		log.Fatal(err)
	}
}

// greet is the task handler.
func greet(ctx context.Context, task *endpoint.Task) (any, error) {
	parameters, err := messages.NewValue(map[string]string{"name": task.Request})
	if err != nil {
		return nil, err
	}
	results, err := task.Do(ctx, messages.Command{ToolName: "greet", ToolType: messages.ToolAction, Parameters: parameters})
	switch {
	case err != nil:
		return nil, err
	case results[0].Status != messages.ResultSuccess:
		return nil, errors.New(results[0].Error)
	}
	return results[0].Result, nil
}

func run(ctx context.Context, address string) error {
	server, err := endpoint.NewServer(&endpoint.ServerOptions{Handler: greet, Token: os.Getenv("AIP_TOKEN")})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return errors.Join(err, server.Close())
	}
	fmt.Println("listening at", listener.Addr())
	mux := http.NewServeMux()
	mux.Handle("/ws", server)
	mux.Handle("/api/", server.API())
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	select {
	case err := <-served:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	// First the sessions, of which net/http knows nothing, then the listener.
	drain, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(drain), web.Shutdown(drain))
}
