package endpoint

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

var errCut = errors.New("the test cut the cable")

// cable is a connection with the test in the middle: it passes on what comes,
// until the test cuts it, on one side or on both, or lets it swallow everything.
type cable struct {
	near, far *transport.Memory // the test's ends, towards the client and the server

	mu                 sync.Mutex
	swallow            bool
	nearCut, farCut    bool
	toServer, toClient []string // the text frames that were passed on
}

// cut ends the connection for both sides.
func (c *cable) cut() { c.cutClient(); c.cutServer() }

// cutClient ends the connection for the client; the server does not notice.
func (c *cable) cutClient() {
	c.mu.Lock()
	c.nearCut = true
	c.mu.Unlock()
	c.near.Abort(errCut)
}

// cutServer ends the connection for the server; the client does not notice.
func (c *cable) cutServer() {
	c.mu.Lock()
	c.farCut = true
	c.mu.Unlock()
	c.far.Abort(errCut)
}

// blackHole swallows from now on what both sides send.
func (c *cable) blackHole() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.swallow = true
}

// pass passes frames on until one of the ends ends. silent tells that the other
// side must not notice that.
func (c *cable) pass(from, to *transport.Memory, seen *[]string, silent *bool) {
	for {
		frame, err := from.ReceiveFrame(context.Background())
		if err != nil {
			c.mu.Lock()
			unnoticed := *silent || c.swallow
			c.mu.Unlock()
			if unnoticed {
				return
			}
			var end *transport.CloseError
			if errors.As(err, &end) && end.Code.Sendable() {
				_ = to.CloseWith(end.Code, end.Reason)
			} else {
				to.Abort(errCut)
			}
			return
		}
		c.mu.Lock()
		lost := c.swallow
		if frame.Kind == transport.Text && !lost {
			*seen = append(*seen, string(frame.Data))
		}
		c.mu.Unlock()
		if lost {
			continue
		}
		if err := to.SendFrames(context.Background(), frame); err != nil {
			continue // It is read until its end, as what a network has taken over.
		}
	}
}

// world is a server and clients with cables between them.
type world struct {
	t      *testing.T
	events *recorder // of the server
	all    sync.WaitGroup

	mu     sync.Mutex
	server *testServer // nil: nobody listens
	cables map[string][]*cable
	every  []*cable
}

// newWorld starts a server. Its Observer is the world's.
func newWorld(t *testing.T, options *ServerOptions) *world {
	t.Helper()
	w := &world{t: t, events: &recorder{}, cables: map[string][]*cable{}}
	w.start(options)
	t.Cleanup(func() {
		w.mu.Lock()
		every := w.every
		w.mu.Unlock()
		for _, c := range every {
			_ = c.near.Close()
			_ = c.far.Close()
		}
		w.all.Wait()
	})
	return w
}

// start starts a server in the place of the one there was.
func (w *world) start(options *ServerOptions) *testServer {
	w.t.Helper()
	o := *options
	o.Observer = w.events.observe
	s := startServer(w.t, &o)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.server = s
	return s
}

// down makes the server unreachable; what is connected stays so.
func (w *world) down() *testServer {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.server
	w.server = nil
	return s
}

func (w *world) up(s *testServer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.server = s
}

var errUnreachable = errors.New("nobody listens")

// plug connects one more cable for the client of that name, and returns the
// client's end of it.
func (w *world) plug(name string) (transport.Transport, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	server := w.server
	if server == nil {
		return nil, errUnreachable
	}
	client, near := transport.NewPair(nil)
	far, end := transport.NewPair(nil)
	c := &cable{near: near, far: far}
	w.cables[name] = append(w.cables[name], c)
	w.every = append(w.every, c)
	w.all.Go(func() { c.pass(near, far, &c.toServer, &c.nearCut) })
	w.all.Go(func() { c.pass(far, near, &c.toClient, &c.farCut) })
	w.all.Go(func() { _ = server.Serve(context.Background(), end) })
	return client, nil
}

// dial returns a Dialer for the client of that name.
func (w *world) dial(name string) Dialer {
	return func(context.Context, string) (transport.Transport, error) { return w.plug(name) }
}

// cable returns the last cable of a client.
func (w *world) cable(name string) *cable {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.cables[name]
	if len(all) == 0 {
		w.t.Fatalf("%s never connected", name)
	}
	return all[len(all)-1]
}

// peer connects a client that is the test itself.
func (w *world) peer(name string) *peer {
	w.t.Helper()
	tr, err := w.plug(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return &peer{w.t, tr}
}

// of returns the server's events of a kind about a client.
func (w *world) of(kind EventKind, client string) []Event {
	var list []Event
	for _, e := range w.events.of(kind) {
		if e.ClientID == client {
			list = append(list, e)
		}
	}
	return list
}

// resumed counts the resumed registrations of a client.
func (w *world) resumed(client string) int {
	n := 0
	for _, e := range w.of(EventRegistered, client) {
		if e.Resumed {
			n++
		}
	}
	return n
}

// liveDevice is a device that runs.
type liveDevice struct {
	*Device
	events *recorder
	stop   context.CancelFunc
	ended  <-chan error
}

// device runs the device "dev". It is stopped at the end of the test. Its
// attempts are quick unless the options say otherwise.
func (w *world) device(options DeviceOptions) *liveDevice {
	w.t.Helper()
	if options.ID == "" {
		options.ID = "dev"
	}
	if options.Reconnect == nil {
		options.Reconnect = &ReconnectOptions{Strategy: quick{}}
	}
	if options.Dial == nil {
		options.Dial = w.dial(options.ID)
	}
	events := &recorder{}
	options.Observer = events.observe
	device, err := NewDevice(&options)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		ended <- device.Run(ctx)
	}()
	w.t.Cleanup(func() {
		stop()
		<-done
	})
	synctest.Wait()
	return &liveDevice{device, events, stop, ended}
}

// constellation returns the constellation "con" with a link to the device
// "dev". It is closed at the end of the test.
func (w *world) constellation(options ConstellationOptions) (*Constellation, *recorder) {
	w.t.Helper()
	options.Name = "con"
	if options.Reconnect == nil {
		options.Reconnect = &ReconnectOptions{Strategy: quick{}}
	}
	if options.Dial == nil {
		options.Dial = w.dial("con@dev")
	}
	events := &recorder{}
	options.Observer = events.observe
	c, err := NewConstellation(&options)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			w.t.Error(err)
		}
	})
	if err := c.Connect(soon(w.t), "dev", "test://server"); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait() // It is told about the device.
	return c, events
}

// run gives a task to "dev".
func run(c *Constellation, request TaskRequest) *running {
	r := &running{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.result, r.err = c.Run(context.Background(), "dev", request)
	}()
	synctest.Wait()
	return r
}

// worker is a tool that takes its time and counts.
type worker struct {
	mu    sync.Mutex
	takes time.Duration
	runs  int
	cut   []error // causes of the ends of its contexts
}

func (k *worker) tool() Tool {
	return tool("work", func(ctx context.Context, _ messages.Value) (any, error) {
		k.mu.Lock()
		k.runs++
		n, takes := k.runs, k.takes
		k.mu.Unlock()
		select {
		case <-time.After(takes):
			return n, nil
		case <-ctx.Done():
			k.mu.Lock()
			defer k.mu.Unlock()
			k.cut = append(k.cut, context.Cause(ctx))
			return nil, context.Cause(ctx)
		}
	})
}

func (k *worker) count() (runs, cut int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.runs, len(k.cut)
}

// commanding returns a handler that sends n commands "work".
func commanding(n int) TaskHandler {
	return func(ctx context.Context, task *Task) (any, error) {
		var last string
		for range n {
			results, err := task.Do(ctx, call("work"))
			if err != nil {
				return nil, err
			}
			if results[0].Status != messages.ResultSuccess {
				return nil, errors.New(results[0].Error)
			}
			last = results[0].Result.String()
		}
		return last, nil
	}
}

// checkEmpty checks that nothing is left of clients, connections and tasks.
func checkEmpty(t *testing.T, s *testServer) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.online)+len(s.sessions)+len(s.connections)+s.unended != 0 {
		t.Errorf("left are %d clients, %d sessions, %d connections, %d ends", len(s.online), len(s.sessions), len(s.connections), s.unended)
	}
	if s.resumer != nil {
		if all, _ := s.resumer.Sessions(); all != 0 {
			t.Errorf("left are %d sessions that can be resumed", all)
		}
	}
}

// checkOneEnd checks that each task of the server has one end.
func (w *world) checkOneEnd(tasks int) {
	w.t.Helper()
	synctest.Wait()
	ends := map[string]int{}
	for _, e := range w.events.of(EventTaskEnded) {
		ends[e.SessionID]++
	}
	for id, n := range ends {
		if n != 1 {
			w.t.Errorf("task %s ended %d times", id, n)
		}
	}
	if len(ends) != tasks {
		w.t.Errorf("%d tasks ended, want %d", len(ends), tasks)
	}
}

// soonIn is soon for what takes up to d.
func soonIn(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
