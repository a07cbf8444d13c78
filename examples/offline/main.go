// Command offline sends messages while there is no server. Each one says what
// is to become of it: it fails, is dropped, or waits and is sent once the
// server is there and has registered the device.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	hub := transport.NewMemoryHub()
	strategy, err := resilience.NewBackoff(&resilience.BackoffOptions{
		Initial: 10 * time.Millisecond, Spread: -1, Retries: resilience.Unlimited,
	})
	if err != nil {
		return err
	}
	failed := make(chan struct{}, 1)
	link, err := resilience.NewLink(&resilience.LinkOptions{
		Dial: func(ctx context.Context, url string) (transport.Transport, error) {
			t := hub.NewTransport(nil)
			return t, t.Connect(ctx, url)
		},
		Registration: func(context.Context) (*messages.ClientMessage, error) {
			return messages.NewDeviceRegistration("device_001", messages.PlatformLinux, messages.Value{}), nil
		},
		Strategy:   strategy,
		RetryFirst: true,
		Attempts: resilience.AttemptsOptions{Observe: func(e resilience.AttemptEvent) {
			if e.Kind == resilience.AttemptFailed {
				select {
				case failed <- struct{}{}:
				default:
				}
			}
		}},
	})
	if err != nil {
		return err
	}
	connected := make(chan error, 1)
	go func() { connected <- link.Connect(ctx, "mem://server") }()
	<-failed // There is no server.

	client, err := protocol.NewClient(link, nil)
	if err != nil {
		return err
	}
	report := messages.NewDeviceInfo("device_001", messages.Value{})
	err = client.Send(ctx, report)
	fmt.Println("fail now:", errors.Is(err, transport.ErrNotConnected), "and", transport.OutcomeOf(err))
	err = client.Send(transport.WithDelivery(ctx, transport.Volatile), report)
	fmt.Println("volatile:", err)
	for i := range 3 {
		report.RequestID = fmt.Sprint("report ", i+1)
		err = client.Send(transport.WithDelivery(ctx, transport.Buffered), report)
		fmt.Println("buffered:", err)
	}
	fmt.Println("waiting:", link.Backlog().SendMessages)

	if err := serve(ctx, hub); err != nil {
		return err
	}
	if err := <-connected; err != nil {
		return err
	}
	if err := link.Flush(ctx); err != nil {
		return err
	}
	fmt.Println("waiting:", link.Backlog().SendMessages)
	return link.Close()
}

// serve accepts one device and prints what it sends.
func serve(ctx context.Context, hub *transport.MemoryHub) error {
	listener, err := hub.Listen("server", nil)
	if err != nil {
		return err
	}
	defer listener.Close()
	t, err := listener.Accept(ctx)
	if err != nil {
		return err
	}
	server, err := protocol.NewServer(t, nil)
	if err != nil {
		return err
	}
	registration, err := protocol.AwaitRegistration(ctx, server)
	if err != nil {
		return err
	}
	fmt.Println("server: registered", registration.ClientID)
	if err := registration.Confirm(ctx); err != nil {
		return err
	}
	for range 3 {
		m, err := server.Receive(ctx)
		if err != nil {
			return err
		}
		fmt.Println("server: received", m.RequestID)
	}
	return nil
}
