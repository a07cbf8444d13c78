package transporttest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

// trial is one run of a subtest. It is the [testing.TB] that a harness gets:
// what it is told to clean up happens before the check for goroutines.
type trial struct {
	testing.TB
	harness  Harness
	env      Env
	server   bool // the near side is the server
	label    label
	ctx      context.Context // ends when the guard's time is over
	endpoint Endpoint

	mu       sync.Mutex
	cleanups []func()
}

// FailNow ends the goroutine, which need not be the test's.
func (t *trial) FailNow() {
	t.Fail()
	runtime.Goexit()
}

// Fatal is Log and FailNow.
func (t *trial) Fatal(args ...any) {
	t.Helper()
	t.Error(args...)
	runtime.Goexit()
}

// Fatalf is Logf and FailNow.
func (t *trial) Fatalf(format string, args ...any) {
	t.Helper()
	t.Errorf(format, args...)
	runtime.Goexit()
}

// Context returns a context that ends before the cleanups.
func (t *trial) Context() context.Context { return t.ctx }

// Cleanup registers f to run at the end of the trial, last one first.
func (t *trial) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

func (t *trial) cleanup() {
	for {
		t.mu.Lock()
		n := len(t.cleanups)
		if n == 0 {
			t.mu.Unlock()
			return
		}
		f := t.cleanups[n-1]
		t.cleanups = t.cleanups[:n-1]
		t.mu.Unlock()
		f()
	}
}

// settings returns the settings of the near and of the far side.
func (t *trial) settings() (near, far *Settings) {
	if t.server {
		return &t.env.Server, &t.env.Client
	}
	return &t.env.Client, &t.env.Server
}

// near returns the settings of the near side.
func (t *trial) near() Settings {
	near, _ := t.settings()
	return *near
}

// start starts the server.
func (t *trial) start() {
	t.Helper()
	t.endpoint = t.harness.Start(t, t.env)
}

// client returns a new client, which is closed at the end.
func (t *trial) client() transport.Transport {
	c := t.endpoint.NewClient()
	t.Cleanup(func() { _ = c.Close() }) // Subtests about Close look at its error.
	return c
}

// pair starts the server and returns two connected transports.
func (t *trial) pair() (near, far transport.Transport) {
	t.Helper()
	t.start()
	return t.another()
}

// another returns two more connected transports.
func (t *trial) another() (near, far transport.Transport) {
	t.Helper()
	client := t.client()
	server := t.connect(client)
	if t.server {
		return server, client
	}
	return client, server
}

// connect connects the client and returns its peer.
func (t *trial) connect(client transport.Transport) (server transport.Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, t.patience())
	defer cancel()
	accepting := async(func() (transport.Transport, error) { return t.endpoint.Accept(ctx) })
	if err := client.Connect(ctx, t.endpoint.URL); err != nil {
		cancel()
		if server, err := accepting.wait(); err == nil {
			_ = server.Close() // The client's error is what matters.
		}
		t.Fatalf("Connect: %v", err)
	}
	server, err := accepting.wait()
	if err != nil {
		t.Fatalf("Accept: %v", err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// link returns the latest connection of the network.
func (t *trial) link() *Link {
	links := t.env.Network.Links()
	return links[len(links)-1]
}

// toFar is the network's direction to the far side.
func (t *trial) toFar() Direction {
	if t.server {
		return ToClient
	}
	return ToServer
}

// patience is how long the kit waits for what must happen soon: on the bubble's
// clock without meaning, on the wall's long enough for a busy machine.
func (t *trial) patience() time.Duration {
	if t.harness.Carrier == Sockets {
		return 10 * time.Second
	}
	return time.Minute
}

// short is how long the kit lets a call wait in vain.
func (t *trial) short() time.Duration {
	if t.harness.Carrier == Sockets {
		return 20 * time.Millisecond
	}
	return time.Second
}

// settle waits until nothing moves any more; not on sockets.
func (t *trial) settle() { synctest.Wait() }

// until waits until the condition holds.
func (t *trial) until(what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(t.patience())
	for !condition() {
		if !time.Now().Before(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		t.pause(time.Millisecond)
	}
}

// pause lets time pass.
func (t *trial) pause(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
}

// reaches waits for a state.
func (t *trial) reaches(who string, at transport.Transport, want transport.State) {
	t.Helper()
	t.until(who+" is "+want.String(), func() bool { return at.State() == want })
}

// send sends a text message that must get through.
func (t *trial) send(from transport.Transport, message string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, t.patience())
	defer cancel()
	if err := from.Send(ctx, []byte(message)); err != nil {
		t.Fatalf("Send: %v", err)
	}
}

// receive receives a text message that must be the given one.
func (t *trial) receive(at transport.Transport, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, t.patience())
	defer cancel()
	got, err := at.Receive(ctx)
	if err != nil {
		t.Fatalf("Receive: %v; want %s", err, brief(want))
	}
	if string(got) != want {
		t.Fatalf("received %s, want %s", brief(string(got)), brief(want))
	}
}

// usable checks that messages pass both ways.
func (t *trial) usable(a, b transport.Transport) {
	t.Helper()
	t.send(a, "still there?")
	t.receive(b, "still there?")
	t.send(b, "yes")
	t.receive(a, "yes")
	if !a.IsConnected() || !b.IsConnected() {
		t.Errorf("IsConnected: %v and %v on a connection that works", a.IsConnected(), b.IsConnected())
	}
}

// is checks what an error matches.
func (t *trial) is(what string, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("%s: %v; want an error that matches %q", what, err, target)
		}
	}
}

// isNot checks what an error does not match.
func (t *trial) isNot(what string, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if errors.Is(err, target) {
			t.Errorf("%s: %v; it must not match %q", what, err, target)
		}
	}
}

// outcome checks what an error says of a message.
func (t *trial) outcome(err error, want transport.Outcome) {
	t.Helper()
	if got := transport.OutcomeOf(err); got != want {
		t.Errorf("%v: the outcome is %q, want %q", err, got, want)
	}
}

// feature returns an optional interface that was declared.
func feature[T any](t *trial, of transport.Transport) T {
	t.Helper()
	found, err := transport.As[T](of)
	if err != nil {
		t.Fatalf("a declared feature is missing: %v", err)
	}
	return found
}

// future is what a goroutine will return.
type future[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// async runs f in a goroutine.
func async[T any](f func() (T, error)) *future[T] {
	r := &future[T]{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.value, r.err = f()
	}()
	return r
}

// call is async for a function without a value.
func call(f func() error) *future[struct{}] {
	return async(func() (struct{}, error) { return struct{}{}, f() })
}

func (r *future[T]) wait() (T, error) {
	<-r.done
	return r.value, r.err
}

// returns waits for a call that has to return soon.
func returns[T any](t *trial, what string, r *future[T]) (T, error) {
	t.Helper()
	timer := time.NewTimer(t.patience())
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
		t.Fatalf("%s does not return", what)
	}
	return r.value, r.err
}

// finished reports whether it has returned.
func (r *future[T]) finished() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}
