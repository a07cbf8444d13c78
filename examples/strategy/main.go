// Command strategy reconnects by a strategy of its own: delays that grow like
// Fibonacci's numbers, and no attempt for a failure that the program knows to
// be final.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// fibonacci is a resilience.Strategy. It keeps nothing for each link, so one
// value serves any number of them.
type fibonacci struct {
	unit time.Duration
	max  time.Duration
}

var errRetired = errors.New("this server was retired")

func (f fibonacci) NextDelay(attempt int, cause error) (time.Duration, bool) {
	if errors.Is(cause, errRetired) {
		return 0, false
	}
	a, b := f.unit, f.unit
	for range attempt {
		a, b = b, min(a+b, f.max)
	}
	return a, true
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	failures := []error{
		errors.New("no route"), errors.New("no route"), errors.New("no route"),
		errors.New("no route"), errors.New("no route"), errors.New("no route"), errRetired,
	}
	link, err := resilience.NewLink(&resilience.LinkOptions{
		Dial: func(context.Context, string) (transport.Transport, error) {
			err := failures[0]
			failures = failures[1:]
			return nil, err
		},
		Strategy:   fibonacci{unit: time.Millisecond, max: 5 * time.Millisecond},
		RetryFirst: true,
		Attempts: resilience.AttemptsOptions{Observe: func(e resilience.AttemptEvent) {
			switch e.Kind {
			case resilience.AttemptWaiting:
				fmt.Printf("attempt %d after %v: %v\n", e.Attempt, e.Delay, e.Err)
			case resilience.AttemptsEnded:
				fmt.Println("no more attempts")
			}
		}},
	})
	if err != nil {
		return err
	}
	err = link.Connect(ctx, "ws://server.example/ws")
	fmt.Println(errors.Is(err, resilience.ErrGaveUp), errors.Is(err, errRetired), link.State())
	return nil
}
