package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/resilience"
)

// usage is what the process holds at a moment.
type usage struct {
	goroutines int
	bytes      uint64 // heap and stacks in use
}

// now measures after a collection.
func now() usage {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{runtime.NumGoroutine(), m.HeapInuse + m.StackInuse}
}

// counts are what the server saw.
type counts struct {
	registered, resumed, detached, disconnected, accepted, ended, heartbeats atomic.Int64
}

func (c *counts) observe(e endpoint.Event) {
	switch e.Kind {
	case endpoint.EventRegistered:
		if e.Resumed {
			c.resumed.Add(1)
		} else {
			c.registered.Add(1)
		}
	case endpoint.EventDetached:
		c.detached.Add(1)
	case endpoint.EventDisconnected:
		c.disconnected.Add(1)
	case endpoint.EventTaskAccepted:
		c.accepted.Add(1)
	case endpoint.EventTaskEnded:
		c.ended.Add(1)
	case endpoint.EventHeartbeat:
		c.heartbeats.Add(1)
	}
}

// grace is how long a client that was cut may stay away: longer than its
// strategy waits, shorter than the server waits for tasks at its end. A device
// that is stopped while it is away takes no leave, and its task lasts as long.
const grace = 15 * time.Second

// serve is the server's process.
func serve(ctx context.Context, p plan) error {
	var seen counts
	server, err := endpoint.NewServer(&endpoint.ServerOptions{
		Observer: seen.observe,
		Resume:   &resilience.ResumerOptions{Grace: grace},
		Handler: func(ctx context.Context, task *endpoint.Task) (any, error) {
			for range 3 {
				if _, err := task.Do(ctx, messages.Command{ToolName: "work", ToolType: messages.ToolAction}); err != nil {
					return nil, err
				}
			}
			return "done", nil
		},
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: server, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()

	empty := now()
	fmt.Printf("empty: %d goroutines, %.1f MiB\n", empty.goroutines, mib(empty.bytes))
	program, err := os.Executable()
	if err != nil {
		return err
	}
	children := exec.CommandContext(ctx, program, "-clients-of", "ws://"+listener.Addr().String(),
		"-devices", strconv.Itoa(p.devices), "-constellations", strconv.Itoa(p.constellations), "-for", p.duration.String())
	children.Stdout, children.Stderr = os.Stdout, os.Stderr
	children.Cancel = func() error { return children.Process.Signal(os.Interrupt) }
	if err := children.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- children.Wait() }()

	every := time.NewTicker(p.duration/10 + time.Second)
	defer every.Stop()
	for running := true; running; {
		select {
		case <-every.C:
			report(server, &seen, empty)
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("the clients: %w", err)
			}
			running = false
		}
	}
	// Clients that were cut and did not come back are gone after their grace.
	closing, cancel := context.WithTimeout(context.Background(), grace+time.Minute)
	defer cancel()
	if err := errors.Join(server.Shutdown(closing), web.Shutdown(closing)); err != nil {
		return err
	}
	<-served
	return settle(&seen, empty)
}

// report prints what the server holds now.
func report(server *endpoint.Server, seen *counts, empty usage) {
	clients, attached := server.Clients(), 0
	for _, c := range clients {
		if !c.Detached {
			attached++
		}
	}
	u := now()
	n := max(len(clients), 1)
	fmt.Printf("%d clients, %d with a connection; %.2f goroutines and %.1f KiB each; %d registrations, %d resumed, %d tasks accepted, %d ended, %d heartbeats\n",
		len(clients), attached, float64(u.goroutines-empty.goroutines)/float64(n), float64(u.bytes-min(empty.bytes, u.bytes))/1024/float64(n),
		seen.registered.Load(), seen.resumed.Load(), seen.accepted.Load(), seen.ended.Load(), seen.heartbeats.Load())
}

// settle checks that nothing is left.
func settle(seen *counts, empty usage) error {
	end := now()
	for i := 0; i < 50 && end.goroutines > empty.goroutines; i++ {
		time.Sleep(100 * time.Millisecond)
		end = now()
	}
	fmt.Printf("closed: %d goroutines, %.1f MiB; %d registrations, %d resumed, %d tasks accepted, %d ended\n",
		end.goroutines, mib(end.bytes), seen.registered.Load(), seen.resumed.Load(), seen.accepted.Load(), seen.ended.Load())
	switch {
	case end.goroutines > empty.goroutines:
		return fmt.Errorf("%d goroutines are left", end.goroutines-empty.goroutines)
	case seen.accepted.Load() > seen.ended.Load(): // A task whose requester left before its ack was not accepted.
		return fmt.Errorf("%d tasks were accepted, %d have ended", seen.accepted.Load(), seen.ended.Load())
	case seen.registered.Load() != seen.disconnected.Load():
		return fmt.Errorf("%d clients came, %d have gone", seen.registered.Load(), seen.disconnected.Load())
	}
	return nil
}

func mib(bytes uint64) float64 { return float64(bytes) / (1 << 20) }
