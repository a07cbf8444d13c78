// Command constellation gives a device a task and prints what comes of it. Its
// arguments are the server's URL, the device's id, and the request; the token is
// in the environment as AIP_TOKEN.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/aip-go/aip/endpoint"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: constellation ws://host:port/ws device request")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url, device, request string) error {
	constellation, err := endpoint.NewConstellation(&endpoint.ConstellationOptions{
		Name: "stars", Credentials: endpoint.BearerToken(os.Getenv("AIP_TOKEN")),
	})
	if err != nil {
		return err
	}
	defer constellation.Close()
	if err := constellation.Connect(ctx, device, url); err != nil {
		return err
	}
	result, err := constellation.Run(ctx, device, endpoint.TaskRequest{Request: request, Timeout: time.Minute})
	if err != nil {
		return err // A *endpoint.TaskError: refused, failed, timed out, lost.
	}
	fmt.Println(result.Result)
	return nil
}
