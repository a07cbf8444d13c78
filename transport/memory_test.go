package transport_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

// The transport keeps the contract: see TestMemory of package transporttest.
// Here is what Memory promises beyond it.

func mustSend(t *testing.T, from *transport.Memory, message string) {
	t.Helper()
	if err := from.Send(t.Context(), []byte(message)); err != nil {
		t.Fatalf("Send: %v", err)
	}
}

func mustReceive(t *testing.T, at *transport.Memory, want string) {
	t.Helper()
	got, err := at.Receive(t.Context())
	if err != nil || string(got) != want {
		t.Fatalf("received %q, %v; want %q", got, err, want)
	}
}

// sendsFull sends a message that must find the queue full.
func sendsFull(t *testing.T, from *transport.Memory, message string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := from.Send(ctx, []byte(message))
	if !errors.Is(err, context.DeadlineExceeded) || transport.OutcomeOf(err) != transport.NotSent {
		t.Fatalf("Send into a full queue: %v", err)
	}
}

func TestMemoryQueueBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := transport.NewPair(&transport.MemoryOptions{QueueBytes: 10})
		mustSend(t, client, "12345")
		mustSend(t, client, "67890")
		sendsFull(t, client, "x")
		mustReceive(t, server, "12345")
		mustSend(t, client, "")
		mustSend(t, client, "x")
		sendsFull(t, client, "12345")
		mustReceive(t, server, "67890")
		mustReceive(t, server, "")
		mustReceive(t, server, "x")

		mustSend(t, client, "larger than the whole queue")
		sendsFull(t, client, "x")
		mustReceive(t, server, "larger than the whole queue")
		if b := server.Backlog(); b != (transport.Backlog{}) {
			t.Errorf("the backlog is %+v", b)
		}
	})
}

func TestMemoryQueueMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := transport.NewPair(&transport.MemoryOptions{QueueMessages: 2})
		mustSend(t, client, "")
		mustSend(t, client, "")
		sendsFull(t, client, "")
		mustReceive(t, server, "")
		mustSend(t, client, "")
	})
}

func TestMemoryUnlimited(t *testing.T) {
	client, server := transport.NewPair(&transport.MemoryOptions{MaxMessageSize: -1, QueueBytes: -1, QueueMessages: -1})
	large := make([]byte, 101<<20)
	if err := client.SendFrames(t.Context(), transport.Frame{Kind: transport.Binary, Data: large}); err != nil {
		t.Fatalf("SendFrames: %v", err)
	}
	for range 1000 {
		mustSend(t, client, "small")
	}
	if b := server.Backlog(); b.ReceiveMessages != 1001 || b.ReceiveBytes != int64(len(large)+5000) {
		t.Errorf("the backlog is %+v", b)
	}
}

func TestMemoryDefaults(t *testing.T) {
	options := &transport.MemoryOptions{}
	client, _ := transport.NewPair(options)
	if *options != (transport.MemoryOptions{}) {
		t.Errorf("the options were changed: %+v", options)
	}
	err := client.Send(t.Context(), make([]byte, 100<<20+1))
	if !errors.Is(err, transport.ErrMessageTooLarge) {
		t.Errorf("Send over 100 MiB: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 256 {
		mustSend(t, client, "x")
	}
	if err := client.Send(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Send: %v", err)
	}
}

// TestMemoryWaiting: sends that wait are the sender's backlog, and are served
// in the order in which they came.
func TestMemoryWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := transport.NewPair(&transport.MemoryOptions{QueueMessages: 1})
		mustSend(t, client, "first")
		var waiting sync.WaitGroup
		for _, message := range []string{"a", "bb", "ccc"} {
			waiting.Go(func() {
				if err := client.Send(t.Context(), []byte(message)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		waiting.Go(func() {
			if err := client.SendStream(t.Context(), transport.Text, strings.NewReader("dddd")); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if b := client.Backlog(); b.SendMessages != 4 || b.SendBytes != 6 {
			t.Errorf("the backlog is %+v", b)
		}
		for _, message := range []string{"first", "a", "bb", "ccc", "dddd"} {
			mustReceive(t, server, message)
		}
		waiting.Wait()
		if b := client.Backlog(); b != (transport.Backlog{}) {
			t.Errorf("the backlog is %+v", b)
		}
	})
}

// TestMemoryKinds: only text and binary can be sent.
func TestMemoryKinds(t *testing.T) {
	client, _ := transport.NewPair(nil)
	for _, kind := range []transport.Kind{0, 3} {
		err := client.SendFrames(t.Context(), transport.Frame{Kind: transport.Text}, transport.Frame{Kind: kind})
		if !errors.Is(err, transport.ErrFrameType) || transport.OutcomeOf(err) != transport.NotSent {
			t.Errorf("SendFrames with %s: %v", kind, err)
		}
		err = client.SendStream(t.Context(), kind, strings.NewReader("x"))
		if !errors.Is(err, transport.ErrFrameType) || transport.OutcomeOf(err) != transport.NotSent {
			t.Errorf("SendStream with %s: %v", kind, err)
		}
	}
	if b := client.Backlog(); b != (transport.Backlog{}) {
		t.Errorf("the backlog is %+v", b)
	}
}

// TestMemoryCutStream: a message whose sender closes in the middle of it is not
// a clean end.
func TestMemoryCutStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, whole := range []bool{true, false} {
			client, server := transport.NewPair(nil)
			r, w := io.Pipe()
			streaming := make(chan error, 1)
			go func() { streaming <- client.SendStream(t.Context(), transport.Binary, r) }()
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if err := client.Close(); err != nil {
				t.Error(err)
			}
			var err error
			if whole {
				_, err = server.ReceiveFrame(t.Context())
			} else {
				_, stream, begun := server.ReceiveStream(t.Context())
				if begun != nil {
					t.Fatal(begun)
				}
				_, err = io.Copy(io.Discard, stream)
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
				t.Errorf("Receive of a part: %v", err)
			}
			if _, err := server.Receive(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("Receive after it: %v", err)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			if err := <-streaming; !errors.Is(err, transport.ErrClosed) || transport.OutcomeOf(err) != transport.MaybeSent {
				t.Errorf("SendStream: %v", err)
			}
		}
	})
}

func TestMemoryReadLimitPanics(t *testing.T) {
	client, _ := transport.NewPair(nil)
	for _, n := range []int64{0, -1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("SetReadLimit(%d) does not panic", n)
				}
			}()
			client.SetReadLimit(n)
		}()
	}
}

func TestMemoryPairCannotConnect(t *testing.T) {
	client, _ := transport.NewPair(nil)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	err := client.Connect(t.Context(), "mem://server")
	if !errors.Is(err, errors.ErrUnsupported) || transport.Retryable(err) || client.State() != transport.Failed {
		t.Errorf("Connect: %v, then %s", err, client.State())
	}
}

func TestMemoryHubNames(t *testing.T) {
	hub := transport.NewMemoryHub()
	if _, err := hub.Listen("", nil); !errors.Is(err, transport.ErrInvalidOptions) {
		t.Errorf("Listen without a name: %v", err)
	}
	listener, err := hub.Listen("server/path", nil)
	if err != nil {
		t.Fatal(err)
	}
	if listener.URL() != "mem://server/path" {
		t.Errorf("the URL is %q", listener.URL())
	}
	if _, err := hub.Listen("server/path", nil); !errors.Is(err, transport.ErrInvalidOptions) {
		t.Errorf("Listen at a name that is taken: %v", err)
	}
	if err := errors.Join(listener.Close(), listener.Close()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, err := listener.Accept(t.Context()); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	again, err := hub.Listen("server/path", nil)
	if err != nil {
		t.Fatalf("Listen at a name that is free again: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := again.Accept(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Accept with a cancelled context: %v", err)
	}
	for _, url := range []string{"mem://", "ws://server/path", "server/path", "mem:server"} {
		client := hub.NewTransport(nil)
		if err := client.Connect(t.Context(), url); !errors.Is(err, transport.ErrInvalidURL) {
			t.Errorf("Connect(%q): %v", url, err)
		}
	}
}

// TestMemoryListenerCloses: a Connect that waits to be accepted is refused when
// the listener closes.
func TestMemoryListenerCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := transport.NewMemoryHub()
		listener, err := hub.Listen("server", nil)
		if err != nil {
			t.Fatal(err)
		}
		client := hub.NewTransport(nil)
		connecting := make(chan error, 1)
		go func() { connecting <- client.Connect(t.Context(), "mem://server?token=secret") }()
		synctest.Wait()
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		if err := <-connecting; !transport.Retryable(err) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Connect: %v", err)
		}
	})
}

// TestMemoryEndsAtOnce: a peer that ends the connection before Connect returns
// leaves the client in the state that this calls for.
func TestMemoryEndsAtOnce(t *testing.T) {
	hub := transport.NewMemoryHub()
	listener, err := hub.Listen("server", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for i := range 200 {
		abort := i%2 == 1
		accepted := make(chan error, 1)
		go func() {
			server, err := listener.Accept(t.Context())
			if err == nil && abort {
				server.Abort(errors.New("the cause"))
			} else if err == nil {
				err = server.Close()
			}
			accepted <- err
		}()
		client := hub.NewTransport(nil)
		if err := client.Connect(t.Context(), "mem://server"); err != nil {
			t.Fatal(err)
		}
		if err := <-accepted; err != nil {
			t.Fatal(err)
		}
		want, end := transport.Disconnected, io.EOF
		if abort {
			want, end = transport.Failed, io.ErrUnexpectedEOF
		}
		if _, err := client.Receive(t.Context()); !errors.Is(err, end) || client.State() != want {
			t.Fatalf("%s: %v; want %s, %v", client.State(), err, want, end)
		}
	}
}
