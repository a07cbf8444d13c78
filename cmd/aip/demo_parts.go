package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// heartbeatInterval is short, so that there is something to see.
const heartbeatInterval = 200 * time.Millisecond

// demo holds the parts of the demonstration.
type demo struct {
	report *report
	token  string
	url    string

	server        *endpoint.Server
	http          *http.Server
	served        chan error // the result of http
	files         string     // directory of received files
	received      chan endpoint.Event
	desk, laptop  *demoDevice
	constellation *endpoint.Constellation

	mu         sync.Mutex
	heartbeats map[string]int // answered, by client
	beat       chan struct{}  // holds a token after a heartbeat
	tasks      map[messages.TaskStatus]int
	refused    int
	commands   int
}

func newDemo(r *report) *demo {
	return &demo{
		report: r, token: rand.Text(),
		served: make(chan error, 1), received: make(chan endpoint.Event, 1),
		heartbeats: map[string]int{}, beat: make(chan struct{}, 1), tasks: map[messages.TaskStatus]int{},
	}
}

// startServer starts the server on a free port of the loopback.
func (d *demo) startServer() error {
	var err error
	if d.files, err = os.MkdirTemp("", "aip-demo-"); err != nil {
		return fmt.Errorf("a directory for temporary files is needed: %w", err)
	}
	d.server, err = endpoint.NewServer(&endpoint.ServerOptions{
		Handler: handleTask, Token: d.token, FileDir: d.files, Observer: d.observeServer,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.url = fmt.Sprintf("ws://%s/ws", listener.Addr())
	mux := http.NewServeMux()
	mux.Handle("/ws", d.server)
	d.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { d.served <- d.http.Serve(listener) }()
	d.report.event("server", "listening", "listens on "+d.url, field{"url", d.url})
	return nil
}

// observeServer counts, and tells what the server does.
func (d *demo) observeServer(e endpoint.Event) {
	switch e.Kind {
	case endpoint.EventRegistered:
		how := "has registered"
		if e.Resumed {
			how = "has come back to its session"
		}
		d.report.event("server", "registered", fmt.Sprintf("%s %q %s", e.Role, e.ClientID, how),
			field{"client_id", e.ClientID}, field{"role", e.Role}, field{"resumed", e.Resumed})
	case endpoint.EventDetached:
		d.report.event("server", "detached", fmt.Sprintf("%s %q has lost its connection and may come back", e.Role, e.ClientID),
			field{"client_id", e.ClientID}, field{"role", e.Role})
	case endpoint.EventDisconnected:
		how := "has disconnected"
		if e.Err != nil {
			how = "is lost"
		}
		d.report.event("server", "disconnected", fmt.Sprintf("%s %q %s", e.Role, e.ClientID, how),
			field{"client_id", e.ClientID}, field{"role", e.Role}, field{"clean", e.Err == nil})
	case endpoint.EventHeartbeat:
		d.count(func() { d.heartbeats[e.ClientID]++ })
		select {
		case d.beat <- struct{}{}:
		default:
		}
	case endpoint.EventTaskEnded:
		d.count(func() { d.tasks[e.Status]++ })
	case endpoint.EventTaskRefused:
		d.count(func() { d.refused++ })
		d.report.event("server", "task_refused", "refuses a task: "+e.Err.Error(), field{"session_id", e.SessionID})
	case endpoint.EventFile:
		d.received <- e
	}
}

func (d *demo) count(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// totals returns what was counted.
func (d *demo) totals() []field {
	d.mu.Lock()
	defer d.mu.Unlock()
	heartbeats := 0
	for _, n := range d.heartbeats {
		heartbeats += n
	}
	return []field{
		{"tasks_completed", d.tasks[messages.StatusCompleted]}, {"tasks_failed", d.tasks[messages.StatusFailed]},
		{"tasks_refused", d.refused}, {"commands", d.commands}, {"heartbeats", heartbeats},
	}
}

// handleTask is what the server does with a task: it sends the device commands
// and makes a report of their results.
func handleTask(ctx context.Context, task *endpoint.Task) (any, error) {
	if task.Request == requestLong {
		_, err := task.Do(ctx, action("wait", map[string]any{"milliseconds": 10_000}))
		return nil, err
	}
	first, err := task.Do(ctx,
		action("count_words", map[string]any{"text": task.Request}),
		action("wait", map[string]any{"milliseconds": 250}),
	)
	if err != nil {
		return nil, err
	}
	second, err := task.Do(ctx,
		action("sha256", map[string]any{"text": task.Request}),
		action("wait", map[string]any{"milliseconds": 250}),
		action("upper_case", map[string]any{"text": task.Request}),
	)
	if err != nil {
		return nil, err
	}
	return map[string]any{"words": first[0].Result, "sha256": second[0].Result, "text": second[2].Result}, nil
}

// requestLong asks for a task that does not end by itself soon.
const requestLong = "take your time"

func action(tool string, parameters map[string]any) messages.Command {
	value, err := messages.NewValue(parameters)
	if err != nil {
		panic("aip: " + err.Error()) // numbers and strings always encode
	}
	return messages.Command{ToolName: tool, ToolType: messages.ToolAction, Parameters: value}
}

// tools are what the devices can do.
func tools() []endpoint.Tool {
	text := func(f func(string) any) endpoint.ToolFunc {
		return func(_ context.Context, parameters messages.Value) (any, error) {
			var p struct{ Text string }
			if err := parameters.Decode(&p); err != nil {
				return nil, err
			}
			return f(p.Text), nil
		}
	}
	return []endpoint.Tool{
		{Name: "count_words", Run: text(func(s string) any { return len(strings.Fields(s)) })},
		{Name: "upper_case", Run: text(func(s string) any { return strings.ToUpper(s) })},
		{Name: "sha256", Run: text(func(s string) any {
			sum := sha256.Sum256([]byte(s))
			return hex.EncodeToString(sum[:])
		})},
		{Name: "wait", Run: func(ctx context.Context, parameters messages.Value) (any, error) {
			var p struct{ Milliseconds int }
			if err := parameters.Decode(&p); err != nil {
				return nil, err
			}
			select {
			case <-time.After(time.Duration(p.Milliseconds) * time.Millisecond):
				return p.Milliseconds, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}},
	}
}

// demoDevice is a device whose connection can be cut.
type demoDevice struct {
	id       string
	demo     *demo
	endpoint *endpoint.Device
	// registered and working hold a token after these events.
	registered, working chan struct{}

	mu    sync.Mutex
	cable transport.Transport
	stop  context.CancelFunc // nil while it does not run
	ended chan error         // the result of its run
}

// newDevice returns a device. If it is steady, it replaces a connection that is
// lost, and its session goes on.
func (d *demo) newDevice(id string, steady bool) (*demoDevice, error) {
	device := &demoDevice{id: id, demo: d, registered: make(chan struct{}, 1), working: make(chan struct{}, 1)}
	var err error
	device.endpoint, err = endpoint.NewDevice(&endpoint.DeviceOptions{
		ID: id, URL: d.url, Tools: tools(), Dial: device.dial,
		HeartbeatInterval: heartbeatInterval, Observer: device.observe,
		Reconnect: &endpoint.ReconnectOptions{Off: !steady, Strategy: soon{}},
	})
	return device, err
}

// soon tries again after a moment, so that nobody has to wait.
type soon struct{}

func (soon) NextDelay(int, error) (time.Duration, bool) { return 100 * time.Millisecond, true }

// dial connects, and keeps hold of the cable.
func (d *demoDevice) dial(ctx context.Context, url string) (transport.Transport, error) {
	t := websocket.New(&websocket.Options{Token: d.demo.token})
	if err := t.Connect(ctx, url); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cable = t
	return t, nil
}

func (d *demoDevice) observe(e endpoint.Event) {
	switch e.Kind {
	case endpoint.EventRegistered:
		notify(d.registered)
	case endpoint.EventCommand:
		d.demo.count(func() { d.demo.commands++ })
		d.demo.report.event(d.id, "command", fmt.Sprintf("runs %d %s of task %s", e.Count, plural(e.Count, "command"), e.TaskName),
			field{"count", e.Count}, field{"session_id", e.SessionID})
		notify(d.working)
	}
}

// start runs the device and waits until it is registered.
func (d *demoDevice) start(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	d.mu.Lock()
	d.stop, d.ended = stop, ended
	d.mu.Unlock()
	go func() { ended <- d.endpoint.Run(running) }()
	select {
	case <-d.registered:
		return nil
	case err := <-ended:
		ended <- err
		return fmt.Errorf("device %q: %w", d.id, err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end stops the device, if it runs, and returns how it ended.
func (d *demoDevice) end() error {
	d.mu.Lock()
	stop, ended := d.stop, d.ended
	d.stop = nil
	d.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	return <-ended
}

var errCut = errors.New("the cable was pulled")

// pull cuts the connection.
func (d *demoDevice) pull() error {
	d.mu.Lock()
	cable := d.cable
	d.mu.Unlock()
	aborter, err := transport.As[transport.Aborter](cable)
	if err != nil {
		return err
	}
	aborter.Abort(errCut)
	return nil
}

// cut cuts the connection and returns how the device ended.
func (d *demoDevice) cut() error {
	d.mu.Lock()
	stop, ended := d.stop, d.ended
	d.stop = nil
	d.mu.Unlock()
	defer stop()
	if err := d.pull(); err != nil {
		return err
	}
	return <-ended
}

// fileOptions make many small chunks, so that there is progress to see.
func (d *demo) fileOptions(actor string) *protocol.SendFileOptions {
	quarter := int64(0)
	return &protocol.SendFileOptions{
		ChunkSize: 256 << 10,
		Progress: func(p protocol.FileProgress) {
			if q := p.Done * 4 / max(p.Size, 1); d.report.terminal || q > quarter {
				quarter = q
				d.report.progress(actor, p.Name, p.Done, p.Size)
			}
		},
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
