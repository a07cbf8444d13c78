// Command device runs the commands of a server, until it is interrupted. Its
// arguments are the server's URL and the device's id; the token is in the
// environment as AIP_TOKEN. A connection that is lost is replaced.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/aip-go/aip/endpoint"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: device ws://host:port/ws id")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

// parameters are those of the tool: they are checked before it is called.
type parameters struct {
	Name string `json:"name" jsonschema:"whom to greet"`
}

func greet(_ context.Context, p parameters) (string, error) {
	return "Hello, " + p.Name + "!", nil
}

func run(ctx context.Context, url, id string) error {
	tool, err := endpoint.NewTool("greet", greet, &endpoint.ToolOptions{Description: "greets someone"})
	if err != nil {
		return err
	}
	device, err := endpoint.NewDevice(&endpoint.DeviceOptions{
		ID: id, URL: url, Tools: []endpoint.Tool{tool},
		Credentials: endpoint.BearerToken(os.Getenv("AIP_TOKEN")),
		Observer: func(e endpoint.Event) {
			if e.Kind == endpoint.EventRegistered {
				fmt.Println("registered as", id)
			}
		},
	})
	if err != nil {
		return err
	}
	return device.Run(ctx)
}
