package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// exampleServer accepts one device after the other and gives it a session, or
// continues the one it has. It returns where it is.
func exampleServer(ctx context.Context, hub *transport.MemoryHub, sessions chan<- *resilience.Session) string {
	listener, err := hub.Listen("server", nil)
	if err != nil {
		log.Fatal(err)
	}
	resumer, err := resilience.NewResumer(nil)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		defer listener.Close()
		for {
			t, err := listener.Accept(ctx)
			if err != nil {
				return
			}
			server, err := protocol.NewServer(t, nil)
			if err != nil {
				log.Fatal(err)
			}
			registration, err := protocol.AwaitRegistration(ctx, server)
			if err != nil {
				return
			}
			if session := resumer.Claim(registration, ""); session != nil {
				if err := session.Resume(ctx, t, registration); err != nil {
					log.Fatal(err)
				}
				continue
			}
			session, err := resumer.Confirm(ctx, t, registration, "")
			if err != nil {
				log.Fatal(err)
			}
			sessions <- session
		}
	}()
	return listener.URL()
}

// exampleLink returns a link of a device, which tries again after a moment.
func exampleLink(hub *transport.MemoryHub, store resilience.Store) *resilience.Link {
	strategy, err := resilience.NewBackoff(&resilience.BackoffOptions{
		Initial: time.Millisecond, Spread: -1, Retries: resilience.Unlimited,
	})
	if err != nil {
		log.Fatal(err)
	}
	link, err := resilience.NewLink(&resilience.LinkOptions{
		Dial: func(ctx context.Context, url string) (transport.Transport, error) {
			t := hub.NewTransport(nil)
			return t, t.Connect(ctx, url)
		},
		Registration: func(context.Context) (*messages.ClientMessage, error) {
			return messages.NewDeviceRegistration("device_001", messages.PlatformLinux, messages.Value{}), nil
		},
		Strategy: strategy,
		Resume:   &resilience.ResumeOptions{Store: store},
	})
	if err != nil {
		log.Fatal(err)
	}
	return link
}

// A session goes on when its connection is lost.
func ExampleLink() {
	ctx, stop := context.WithCancel(context.Background())
	hub, sessions := transport.NewMemoryHub(), make(chan *resilience.Session, 1)
	url := exampleServer(ctx, hub, sessions)
	link := exampleLink(hub, nil)
	if err := link.Connect(ctx, url); err != nil {
		log.Fatal(err)
	}
	session := <-sessions

	link.Drop(errors.New("the cable was pulled"))
	kept := transport.WithDelivery(ctx, transport.Buffered)
	for i := range 3 {
		if err := link.Send(kept, fmt.Appendf(nil, `{"type":"task","request":"number %d"}`, i)); err != nil {
			log.Fatal(err)
		}
	}
	for range 3 {
		data, err := session.Receive(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(data))
	}
	if err := errors.Join(link.Close(), session.Close()); err != nil {
		log.Fatal(err)
	}
	stop()
	// Output:
	// {"type":"task","request":"number 0"}
	// {"type":"task","request":"number 1"}
	// {"type":"task","request":"number 2"}
}

// A session in a file goes on in the next process. Here it is the next link.
func ExampleNewFileStore() {
	dir, err := os.MkdirTemp("", "session")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := resilience.NewFileStore(filepath.Join(dir, "device_001"), nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	hub, sessions := transport.NewMemoryHub(), make(chan *resilience.Session, 1)
	url := exampleServer(ctx, hub, sessions)

	first := exampleLink(hub, store)
	if err := first.Connect(ctx, url); err != nil {
		log.Fatal(err)
	}
	session := <-sessions
	if err := session.Send(ctx, []byte(`{"type":"task_end","result":"for the device"}`)); err != nil {
		log.Fatal(err)
	}
	// This process ends before it has received that. 1001 keeps the session.
	if err := first.CloseWith(transport.StatusGoingAway, ""); err != nil {
		log.Fatal(err)
	}

	second := exampleLink(hub, store)
	if err := second.Connect(ctx, url); err != nil {
		log.Fatal(err)
	}
	data, err := second.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(data))
	if err := errors.Join(second.Close(), session.Close(), store.Close()); err != nil {
		log.Fatal(err)
	}
	stop()
	// Output:
	// {"type":"task_end","result":"for the device"}
}
