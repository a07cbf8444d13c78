package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

func Example() {
	ctx := context.Background()
	hub := transport.NewMemoryHub()
	t := hub.NewTransport(nil)
	defer t.Close()

	strategy, err := resilience.NewBackoff(&resilience.BackoffOptions{Initial: time.Millisecond, Max: 10 * time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	accepted := make(chan error, 1)
	serve := func() { // the server starts late
		listener, err := hub.Listen("server", nil)
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer listener.Close()
			_, err := listener.Accept(ctx)
			accepted <- err
		}()
	}
	err = resilience.Retry(ctx, strategy, func(ctx context.Context) error {
		if err := t.Reset(); err != nil {
			return err
		}
		return t.Connect(ctx, "mem://server")
	}, &resilience.AttemptsOptions{Observe: func(e resilience.AttemptEvent) {
		fmt.Println("attempt", e.Attempt, e.Kind)
		if e.Kind == resilience.AttemptWaiting {
			serve()
		}
	}})
	fmt.Println(err, <-accepted, t.State())
	// Output:
	// attempt 1 started
	// attempt 1 failed
	// attempt 2 waiting
	// attempt 2 started
	// attempt 2 succeeded
	// <nil> <nil> connected
}

func ExampleBackoff() {
	strategy, err := resilience.NewBackoff(&resilience.BackoffOptions{NoJitter: true})
	if err != nil {
		log.Fatal(err)
	}
	for attempt := 0; ; attempt++ {
		delay, ok := strategy.NextDelay(attempt, nil)
		if !ok {
			break
		}
		fmt.Println(delay)
	}
	_, ok := strategy.NextDelay(0, transport.ErrInvalidURL)
	fmt.Println("after an invalid URL:", ok)
	// Output:
	// 1s
	// 2s
	// 4s
	// 8s
	// 16s
	// after an invalid URL: false
}

// business is a strategy that waits longer at night.
type business struct{ day, night resilience.Strategy }

func (b business) NextDelay(attempt int, cause error) (time.Duration, bool) {
	if hour := time.Now().Hour(); hour < 8 || hour >= 18 {
		return b.night.NextDelay(attempt, cause)
	}
	return b.day.NextDelay(attempt, cause)
}

func ExampleStrategy() {
	day, err := resilience.NewBackoff(&resilience.EnvironmentLocal.Backoff)
	if err != nil {
		log.Fatal(err)
	}
	night, err := resilience.NewBackoff(&resilience.EnvironmentUnreliable.Backoff)
	if err != nil {
		log.Fatal(err)
	}
	var strategy resilience.Strategy = business{day, night}
	_, ok := strategy.NextDelay(0, resilience.ErrDisconnected)
	fmt.Println(ok)
	// Output: true
}

func ExampleHeartbeats() {
	heartbeats, err := resilience.NewHeartbeats(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer heartbeats.Close()

	client, server := transport.NewPair(nil)
	defer server.Close()
	peer, err := heartbeats.Start("server", &resilience.PeerOptions{
		Interval:     20 * time.Millisecond,
		ReplyTimeout: 10 * time.Millisecond,
		Send:         func(ctx context.Context) error { return client.Send(ctx, []byte(`{"type":"heartbeat"}`)) },
		Abort:        client.Abort,
	})
	if err != nil {
		log.Fatal(err)
	}
	for {
		_, err := client.Receive(context.Background())
		if err != nil { // the server answers nothing
			fmt.Println(errors.As(err, new(*resilience.ExpiredError)), errors.Is(err, transport.ErrPingTimeout))
			break
		}
		peer.Alive()
	}
	fmt.Println(heartbeats.Running("server"))
	// Output:
	// true true
	// false
}

// A server sends no heartbeats: it gives up clients that send none.
func ExampleHeartbeats_server() {
	reaper, err := resilience.NewHeartbeats(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer reaper.Close()

	silent := make(chan error)
	_, err = reaper.Start("device", &resilience.PeerOptions{
		Interval:     20 * time.Millisecond, // the client's own
		ReplyTimeout: 10 * time.Millisecond,
		Misses:       1,
		Abort:        func(cause error) { silent <- cause },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(errors.Is(<-silent, transport.ErrPingTimeout))
	// Output: true
}

func ExamplePhiAccrual() {
	detector, err := resilience.NewPhiAccrual(&resilience.PhiOptions{Interval: 10 * time.Second, Pause: 2 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	for range 100 {
		detector.Observe(10 * time.Second)
	}
	fmt.Println("allows", detector.Timeout().Round(time.Second))
	fmt.Printf("after 14 s phi is %.1f\n", detector.Phi(14*time.Second))
	// Output:
	// allows 18s
	// after 14 s phi is 1.6
}

func ExampleTimeouts() {
	timeouts := resilience.NewTimeouts(&resilience.TimeoutOptions{
		Operations: map[resilience.Operation]time.Duration{resilience.OpDeviceInfo: 10 * time.Millisecond},
	})
	slow := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	err := timeouts.Do(context.Background(), resilience.OpDeviceInfo, slow)
	var timeout *resilience.TimeoutError
	fmt.Println(errors.As(err, &timeout), timeout.Operation, timeout.After)

	ok, err := timeouts.DoOrNone(context.Background(), resilience.OpDeviceInfo, slow)
	fmt.Println(ok, err)
	// Output:
	// true device info 10ms
	// false <nil>
}

func ExampleBudget() {
	budget, err := resilience.NewBudget(&resilience.BudgetOptions{Tokens: 4, Refill: 1000})
	if err != nil {
		log.Fatal(err)
	}
	for range 3 { // of many links, each with attempts of its own
		attempts := resilience.NewAttempts(nil, &resilience.AttemptsOptions{Budget: budget})
		if err := attempts.Do(context.Background(), nil, func(context.Context) error { return nil }); err != nil {
			log.Fatal(err)
		}
	}
	tokens, waiting := budget.Tokens()
	fmt.Println(tokens, waiting)
	// Output: 4 0
}
