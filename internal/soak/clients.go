package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// cables are the connections of this process, to be cut at random.
type cables struct {
	mu  sync.Mutex
	all map[transport.Transport]struct{}
}

// dial connects, and keeps hold of the cable.
func (c *cables) dial(ctx context.Context, url string) (transport.Transport, error) {
	t := websocket.New(nil)
	if err := t.Connect(ctx, url); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[t] = struct{}{}
	return t, nil
}

var errCut = errors.New("cut by the soak test")

// cut cuts one connection.
func (c *cables) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t := range c.all {
		delete(c.all, t)
		if aborter, err := transport.As[transport.Aborter](t); err == nil && t.IsConnected() {
			aborter.Abort(errCut)
			return
		}
	}
}

// clients is the process of the devices and constellations.
func clients(ctx context.Context, p plan) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c := &cables{all: map[transport.Transport]struct{}{}}
	strategy, err := resilience.NewBackoff(&resilience.BackoffOptions{Retries: resilience.Unlimited, Max: 5 * time.Second})
	if err != nil {
		return err
	}
	reconnect := &endpoint.ReconnectOptions{Strategy: strategy}
	var all sync.WaitGroup
	var registered atomic.Int64
	begun := time.Now()
	opening := make(chan struct{}, 64) // as many connect at the same time
	for i := range p.devices {
		device, err := endpoint.NewDevice(&endpoint.DeviceOptions{
			ID: fmt.Sprint("device-", i), URL: p.url, Reconnect: reconnect,
			SystemInfo: &messages.SystemInfo{Platform: "linux"},
			Dial: func(ctx context.Context, url string) (transport.Transport, error) {
				opening <- struct{}{}
				defer func() { <-opening }()
				return c.dial(ctx, url)
			},
			Tools: []endpoint.Tool{{Name: "work", Run: work}},
			Observer: func(e endpoint.Event) {
				if e.Kind == endpoint.EventRegistered && !e.Resumed {
					registered.Add(1)
				}
			},
		})
		if err != nil {
			return err
		}
		all.Go(func() { live(ctx, device) })
	}
	for registered.Load() < int64(p.devices) && ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Printf("%d devices registered after %.1f s\n", registered.Load(), time.Since(begun).Seconds())

	living, end := context.WithTimeout(ctx, p.duration)
	defer end()
	all.Go(func() {
		for living.Err() == nil {
			time.Sleep(time.Duration(rand.Int64N(int64(200 * time.Millisecond))))
			c.cut()
		}
	})
	var users sync.WaitGroup
	var outcomes outcomes
	for i := range p.constellations {
		constellation, err := endpoint.NewConstellation(&endpoint.ConstellationOptions{
			Name: fmt.Sprint("constellation-", i), Reconnect: reconnect, Dial: c.dial,
		})
		if err != nil {
			return err
		}
		users.Go(func() {
			defer constellation.Close()
			for living.Err() == nil {
				outcomes.count(once(living, constellation, p))
			}
		})
	}
	users.Wait()
	fmt.Println("tasks:", outcomes.String())
	stop()
	all.Wait()
	return nil
}

// work takes a moment.
func work(ctx context.Context, _ messages.Value) (any, error) {
	select {
	case <-time.After(time.Duration(rand.Int64N(int64(100 * time.Millisecond)))):
		return "worked", nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// live runs a device, which goes away now and then.
func live(ctx context.Context, device *endpoint.Device) {
	for ctx.Err() == nil {
		day, end := context.WithTimeout(ctx, time.Minute+time.Duration(rand.Int64N(int64(20*time.Minute))))
		_ = device.Run(day) // However it ends, it is run again.
		end()
	}
}

// once gives a random device a task, and may lose its patience.
func once(ctx context.Context, constellation *endpoint.Constellation, p plan) error {
	id := fmt.Sprint("device-", rand.IntN(p.devices))
	ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond+time.Duration(rand.Int64N(int64(3*time.Second))))
	defer cancel()
	if err := constellation.Connect(ctx, id, p.url); err != nil {
		return err
	}
	_, err := constellation.Run(ctx, id, endpoint.TaskRequest{Request: "work"})
	if rand.IntN(8) > 0 { // Some connections are kept.
		_ = constellation.Disconnect(id) // It may be gone already.
	}
	return err
}

// outcomes counts how tasks ended.
type outcomes struct {
	mu                              sync.Mutex
	done, failed, lost, late, other int
}

func (o *outcomes) count(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		o.done++
	case errors.Is(err, endpoint.ErrTaskFailed), errors.Is(err, endpoint.ErrTaskRefused):
		o.failed++
	case errors.Is(err, endpoint.ErrTaskLost), errors.Is(err, endpoint.ErrNotConnected):
		o.lost++
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		o.late++
	default:
		o.other++
	}
}

func (o *outcomes) String() string {
	return fmt.Sprintf("%d completed, %d failed or refused, %d lost, %d given up, %d otherwise", o.done, o.failed, o.lost, o.late, o.other)
}
