// Command bench measures the WebSocket transport beside plain loops on the
// WebSocket libraries of Go: the time and the allocations of an echo between
// two sides in this process, over loopback TCP. It prints medians, and ratios
// to the plain loop on the transport's own engine, from one run:
//
//	go run ./internal/bench
//
// It is a module of its own, so that the libraries it compares with stay out
// of the root module.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	var plan Plan
	flag.IntVar(&plan.Rounds, "rounds", 21, "turns per peer and size")
	flag.DurationVar(&plan.Turn, "turn", 100*time.Millisecond, "how long a turn lasts at least")
	flag.Parse()
	plan.Sizes = Sizes
	if plan.Rounds < 1 || flag.NArg() != 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(plan); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(plan Plan) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	rows, err := Measure(ctx, Peers(), plan)
	if err != nil {
		return err
	}
	return Print(os.Stdout, rows)
}

// Sizes are the message sizes that are measured, in bytes.
var Sizes = []int{128, 1 << 10, 64 << 10, 1 << 20}
