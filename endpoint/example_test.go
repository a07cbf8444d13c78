package endpoint_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// listen makes the server reachable as mem://name, for examples that need no
// network. With a network it would be http.Handle("/ws", server).
func listen(hub *transport.MemoryHub, name string, server *endpoint.Server) (stop func()) {
	listener, err := hub.Listen(name, nil)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			t, err := listener.Accept(context.Background())
			if err != nil {
				return
			}
			go func() { _ = server.Serve(context.Background(), t) }()
		}
	}()
	return func() {
		_ = listener.Close()
		_ = server.Close()
	}
}

// dial connects over the hub. Without it, endpoints dial WebSockets.
func dial(hub *transport.MemoryHub) endpoint.Dialer {
	return func(ctx context.Context, url string) (transport.Transport, error) {
		t := hub.NewTransport(nil)
		return t, t.Connect(ctx, url)
	}
}

// greeter is a tool.
var greeter = endpoint.Tool{
	Name: "greet",
	Run: func(_ context.Context, parameters messages.Value) (any, error) {
		var p struct{ Name string }
		if err := parameters.Decode(&p); err != nil {
			return nil, err
		}
		return "hello, " + p.Name, nil
	},
}

// greet is a task handler: it has the device call the tool, and makes its
// result the task's.
func greet(ctx context.Context, task *endpoint.Task) (any, error) {
	parameters, err := messages.NewValue(map[string]string{"name": task.Request})
	if err != nil {
		return nil, err
	}
	results, err := task.Do(ctx, messages.Command{
		ToolName: "greet", ToolType: messages.ToolAction, Parameters: parameters,
	})
	if err != nil {
		return nil, err
	}
	return results[0].Result, nil
}

// A server runs the tasks that constellations ask for, by commands to devices.
func ExampleServer() {
	server, err := endpoint.NewServer(&endpoint.ServerOptions{Handler: greet})
	if err != nil {
		log.Fatal(err)
	}
	hub := transport.NewMemoryHub()
	defer listen(hub, "server", server)() // http.Handle("/ws", server)

	defer startDevice(hub)()
	constellation := startConstellation(hub)
	defer constellation.Close()

	for _, client := range server.Clients() {
		fmt.Println(client.Role, client.ID)
	}
	// Output:
	// device lamp
	// constellation sky@lamp
}

// A device offers tools and runs until its context ends.
func ExampleDevice() {
	server, err := endpoint.NewServer(&endpoint.ServerOptions{Handler: greet})
	if err != nil {
		log.Fatal(err)
	}
	hub := transport.NewMemoryHub()
	defer listen(hub, "server", server)()

	registered := make(chan struct{})
	device, err := endpoint.NewDevice(&endpoint.DeviceOptions{
		ID:    "lamp",
		URL:   "mem://server", // ws://host:5000/ws
		Dial:  dial(hub),      // not needed for WebSockets
		Tools: []endpoint.Tool{greeter},
		Observer: func(e endpoint.Event) {
			if e.Kind == endpoint.EventRegistered {
				close(registered)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- device.Run(ctx) }()

	<-registered
	fmt.Println(server.Clients()[0].ID, "is there")
	stop()
	fmt.Println(<-ended)
	// Output:
	// lamp is there
	// <nil>
}

// A constellation gives tasks to devices and waits for their results.
func ExampleConstellation() {
	server, err := endpoint.NewServer(&endpoint.ServerOptions{Handler: greet})
	if err != nil {
		log.Fatal(err)
	}
	hub := transport.NewMemoryHub()
	defer listen(hub, "server", server)()
	stopDevice := startDevice(hub)

	constellation, err := endpoint.NewConstellation(&endpoint.ConstellationOptions{
		Name: "sky",
		Dial: dial(hub), // not needed for WebSockets
	})
	if err != nil {
		log.Fatal(err)
	}
	defer constellation.Close()
	ctx := context.Background()
	if err := constellation.Connect(ctx, "lamp", "mem://server"); err != nil {
		log.Fatal(err)
	}
	result, err := constellation.Run(ctx, "lamp", endpoint.TaskRequest{Request: "world"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Result)

	stopDevice()
	_, err = constellation.Run(ctx, "lamp", endpoint.TaskRequest{Request: "world"})
	var failed *endpoint.TaskError
	fmt.Println(errors.As(err, &failed), failed.DeviceID)
	// Output:
	// "hello, world"
	// true lamp
}

// startDevice runs the device "lamp" until stop is called.
func startDevice(hub *transport.MemoryHub) (stop func()) {
	registered := make(chan struct{})
	device, err := endpoint.NewDevice(&endpoint.DeviceOptions{
		ID: "lamp", URL: "mem://server", Dial: dial(hub), Tools: []endpoint.Tool{greeter},
		Observer: func(e endpoint.Event) {
			if e.Kind == endpoint.EventRegistered {
				close(registered)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- device.Run(ctx) }()
	<-registered
	return func() {
		cancel()
		if err := <-ended; err != nil {
			log.Fatal(err)
		}
	}
}

func startConstellation(hub *transport.MemoryHub) *endpoint.Constellation {
	constellation, err := endpoint.NewConstellation(&endpoint.ConstellationOptions{Name: "sky", Dial: dial(hub)})
	if err != nil {
		log.Fatal(err)
	}
	if err := constellation.Connect(context.Background(), "lamp", "mem://server"); err != nil {
		log.Fatal(err)
	}
	return constellation
}
