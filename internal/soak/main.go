// Command soak keeps a server busy with many devices and constellations that
// come, go, and lose their connections, over real WebSockets, and reports what
// that costs the server: memory and goroutines for each device, and whether
// both come back to where they were.
//
//	go run ./internal/soak -devices 10000 -for 10m
//
// The server is this process; the clients are another one, which this one
// starts. It exits with 1 if a task did not end, or something is left at the
// end.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// plan is what a run does.
type plan struct {
	devices, constellations int
	duration                time.Duration
	url                     string // of the server, for the clients
}

func main() {
	var p plan
	flag.IntVar(&p.devices, "devices", 1000, "how many devices")
	flag.IntVar(&p.constellations, "constellations", 8, "how many constellations, each with tasks for random devices")
	flag.DurationVar(&p.duration, "for", time.Minute, "how long")
	flag.StringVar(&p.url, "clients-of", "", "be the clients of the server with this URL")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := serve
	if p.url != "" {
		run = clients
	}
	if err := run(ctx, p); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}
