// Command restart kills a server in the middle of a task. The device goes on
// working, finds the next server by itself, and answers the task that is asked
// for again with the work that it has begun: nothing is done twice.
//
// The program starts itself again as the server, to be killed.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
)

func main() {
	run := play
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		run = func(ctx context.Context) error { return serve(ctx, os.Args[2]) }
	}
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// serve is the server. It has the device do one command for each task.
func serve(_ context.Context, address string) error {
	server, err := endpoint.NewServer(&endpoint.ServerOptions{
		Handler: func(ctx context.Context, task *endpoint.Task) (any, error) {
			results, err := task.Do(ctx, messages.Command{ToolName: "work", ToolType: messages.ToolAction})
			if err != nil {
				return nil, err
			}
			return results[0].Result, nil
		},
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())
	return http.Serve(listener, server)
}

// start starts the server as another process and waits until it listens.
func start(ctx context.Context, address string) (*exec.Cmd, string, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	server := exec.CommandContext(ctx, program, "serve", address)
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := server.Start(); err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		_, err = fmt.Sscanf(line, "listening on %s", &address)
	}
	return server, address, err
}

// quickly tries again after a moment. Many clients would need more patience,
// and jitter: the default has both.
type quickly struct{}

func (quickly) NextDelay(int, error) (time.Duration, bool) { return 100 * time.Millisecond, true }

func play(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	server, address, err := start(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	url := "ws://" + address
	reconnect := &endpoint.ReconnectOptions{Strategy: quickly{}}

	// The device begins to work when it is told to, and is done when it may.
	begun, finish := make(chan struct{}), make(chan struct{})
	registered := make(chan struct{}, 1)
	times := 0
	device, err := endpoint.NewDevice(&endpoint.DeviceOptions{
		ID: "device_001", URL: url, Reconnect: reconnect,
		Tools: []endpoint.Tool{{Name: "work", Run: func(ctx context.Context, _ messages.Value) (any, error) {
			times++
			fmt.Println("device: begins to work")
			close(begun)
			select {
			case <-finish:
				fmt.Println("device: is done")
				return "the work", nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}},
		Observer: func(e endpoint.Event) {
			if e.Kind == endpoint.EventRegistered {
				registered <- struct{}{}
			}
		},
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- device.Run(running) }()
	<-registered
	fmt.Println("device: registered")

	accepted, back := make(chan struct{}, 1), make(chan struct{}, 1)
	constellation, err := endpoint.NewConstellation(&endpoint.ConstellationOptions{
		Name: "stars", Reconnect: reconnect,
		Observer: func(e endpoint.Event) {
			switch e.Kind {
			case endpoint.EventTaskAccepted:
				accepted <- struct{}{}
			case endpoint.EventRegistered:
				back <- struct{}{}
			}
		},
	})
	if err != nil {
		return err
	}
	defer constellation.Close()
	if err := constellation.Connect(ctx, "device_001", url); err != nil {
		return err
	}
	<-back

	// With a RequestID, the task can be asked for again.
	task := endpoint.TaskRequest{Request: "do the work", ID: "task-1", RequestID: messages.NewID()}
	first := make(chan error, 1)
	go func() {
		_, err := constellation.Run(ctx, "device_001", task)
		first <- err
	}()
	<-accepted
	<-begun
	fmt.Println("server: is killed")
	if err := server.Process.Kill(); err != nil {
		return err
	}
	_ = server.Wait() // It was killed.

	server, _, err = start(ctx, address)
	if err != nil {
		return err
	}
	fmt.Println("server: is started again")
	<-registered
	fmt.Println("device: registered")
	fmt.Println("constellation: the task is lost:", errors.Is(<-first, endpoint.ErrTaskLost))
	<-back
	second := make(chan error, 1)
	go func() {
		result, err := constellation.Run(ctx, "device_001", task)
		if err == nil {
			fmt.Println("constellation: has the result:", result.Result)
		}
		second <- err
	}()
	select {
	case <-accepted:
	case err := <-second:
		return err
	}
	fmt.Println("constellation: asks for it again")
	close(finish)
	if err := <-second; err != nil {
		return err
	}
	fmt.Println("device: began to work", times, "time")

	stop()
	err = errors.Join(<-ended, constellation.Close(), server.Process.Kill())
	_ = server.Wait() // It was killed.
	return err
}
