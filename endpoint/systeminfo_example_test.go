package endpoint_test

import (
	"context"
	"fmt"
	"log"

	"github.com/aip-go/aip/endpoint"
)

// A device that says what system it is on.
func ExampleGatherSystemInfo() {
	info, err := endpoint.GatherSystemInfo(context.Background())
	if err != nil {
		log.Print(err) // what is missing is "unknown"; the rest can be used
	}
	info.DeviceID = "d1"
	device, err := endpoint.NewDevice(&endpoint.DeviceOptions{ID: "d1", URL: "ws://localhost:5000/ws", SystemInfo: &info})
	fmt.Println(device != nil, err, info.CPUCount > 0, info.MemoryTotalGB > 0)
	// Output: true <nil> true true
}
