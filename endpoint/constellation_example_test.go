package endpoint_test

import (
	"context"
	"fmt"
	"log"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// A constellation knows what its devices can do, gives each one task at a time,
// and runs the tasks of several devices side by side.
func ExampleConstellation_RunAll() {
	server, err := endpoint.NewServer(&endpoint.ServerOptions{Handler: greet})
	if err != nil {
		log.Fatal(err)
	}
	hub := transport.NewMemoryHub()
	defer listen(hub, "server", server)()

	// The servers are asked about the devices after registration.
	known := make(chan string, 2)
	constellation, err := endpoint.NewConstellation(&endpoint.ConstellationOptions{
		Name: "sky",
		Dial: dial(hub), // not needed for WebSockets
		Observer: func(e endpoint.Event) {
			if e.Kind == endpoint.EventDeviceState && e.From == endpoint.DeviceConnected && e.To == endpoint.DeviceIdle {
				known <- e.DeviceID
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer constellation.Close()
	ctx := context.Background()
	for id, feature := range map[string]string{"door": "camera", "lamp": "light"} {
		defer startFeatured(hub, id, feature)()
		if err := constellation.Connect(ctx, id, "mem://server"); err != nil {
			log.Fatal(err)
		}
		<-known
	}

	fmt.Println(constellation.Find(), constellation.Find("camera"))
	results := constellation.RunAll(ctx, []endpoint.Assignment{
		{DeviceID: "lamp", Task: endpoint.TaskRequest{Request: "first"}},
		{DeviceID: "lamp", Task: endpoint.TaskRequest{Request: "second"}},
		{Capabilities: []string{"camera"}, Task: endpoint.TaskRequest{Request: "whoever sees"}},
		{Capabilities: []string{"wings"}, Task: endpoint.TaskRequest{Request: "whoever flies"}},
	}, 0)
	for _, r := range results {
		if r.Err != nil {
			fmt.Println(r.Err)
			continue
		}
		fmt.Println(r.Result.DeviceID, r.Result.Result)
	}
	status, _ := constellation.Status("lamp")
	fmt.Println(status.State, status.Queued, status.URL)
	// Output:
	// [door lamp] [door]
	// lamp "hello, first"
	// lamp "hello, second"
	// door "hello, whoever sees"
	// endpoint: no connected device has the capabilities
	// idle 0 mem://server
}

// startFeatured runs a device with a feature until stop is called.
func startFeatured(hub *transport.MemoryHub, id, feature string) (stop func()) {
	registered := make(chan struct{})
	device, err := endpoint.NewDevice(&endpoint.DeviceOptions{
		ID: id, URL: "mem://server", Dial: dial(hub), Tools: []endpoint.Tool{greeter},
		SystemInfo: &messages.SystemInfo{Platform: messages.PlatformLinux, SupportedFeatures: []string{feature}},
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
