package protocol

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// newPair returns both ends of an in-memory connection.
func newPair(t testing.TB, client, server *Options) (*Client, *Server) {
	t.Helper()
	a, b := transport.NewPair(nil)
	c, err := NewClient(a, client)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(b, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); _ = s.Close() })
	return c, s
}

// start runs p and returns a function that waits for Run's error.
func start[Out, In Message](ctx context.Context, p *AIPProtocol[Out, In]) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() error { return <-done }
}

// readOn waits until what can be read while a handler runs was read. It is for
// a test in a bubble.
func readOn() {
	time.Sleep(2 * patience)
	synctest.Wait()
}

// running runs p until the test ends or calls the returned function.
func running[Out, In Message](t testing.TB, p *AIPProtocol[Out, In]) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	wait := start(ctx, p)
	stopped := false
	stop = func() {
		cancel()
		if !stopped {
			stopped = true
			_ = wait()
		}
	}
	t.Cleanup(stop)
	return stop
}

// as sets the identity of a client that has not registered.
func as(c *Client, role messages.ClientType) *Client {
	c.SetIdentity(Identity{ClientID: "dev", ClientType: role, TargetID: ""})
	return c
}

// message returns a server's message with the number n as its task name.
func message(n int) *messages.ServerMessage {
	m := messages.NewTaskCompleted("s", messages.Value{})
	m.TaskName = strconv.Itoa(n)
	return m
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func value(t testing.TB, v any) messages.Value {
	t.Helper()
	out, err := messages.NewValue(v)
	must(t, err)
	return out
}

// raw sends text as it is.
func raw(t testing.TB, tr transport.Transport, format string, args ...any) {
	t.Helper()
	must(t, tr.Send(context.Background(), fmt.Appendf(nil, format, args...)))
}
