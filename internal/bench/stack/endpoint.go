package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
)

// EndpointService is an endpoint.Server without limits to the rate of messages.
// DefaultsService is one with its defaults.
const (
	EndpointService = "endpoint"
	DefaultsService = "endpoint with limits"
)

func endpointHandler() (http.Handler, func() error, error) {
	return newServer(&endpoint.Limits{MessageRate: -1, ByteRate: -1, RegistrationsPerMinute: -1})
}

func defaultsHandler() (http.Handler, func() error, error) { return newServer(nil) }

func newServer(limits *endpoint.Limits) (http.Handler, func() error, error) {
	s, err := endpoint.NewServer(&endpoint.ServerOptions{
		Handler:     runTask,
		Limits:      limits,
		MaxTasks:    -1,
		DrainSpread: -1,
	})
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// plan is what a task does, as the text of its request: two commands one after
// the other or, if it has times, a command again and again between them.
type plan struct{ Begin, End time.Time }

func runTask(ctx context.Context, task *endpoint.Task) (any, error) {
	var p plan
	if err := json.Unmarshal([]byte(task.Request), &p); err != nil {
		return nil, err
	}
	call := func(int) error { return callTool(ctx, task) }
	if p.End.IsZero() {
		return nil, errors.Join(call(0), call(1))
	}
	return Drive(1, p.Begin, p.End, call)
}

// callTool has the device call its tool, and looks at the result.
func callTool(ctx context.Context, task *endpoint.Task) error {
	results, err := task.Do(ctx, messages.Command{ToolName: toolName, ToolType: messages.ToolAction, Parameters: parameters})
	if err != nil {
		return err
	}
	if len(results) != 1 || results[0].Status != messages.ResultSuccess {
		return fmt.Errorf("the results of a command are %+v", results)
	}
	return nil
}

const toolName = "echo"

// echoText are the parameters and the result of the tool that is measured.
type echoText struct {
	Text string `json:"text"`
}

func newTool() (endpoint.Tool, error) {
	return endpoint.NewTool(toolName, func(_ context.Context, p echoText) (echoText, error) { return p, nil }, nil)
}

var clients atomic.Int64

// fresh returns an id that no client has had: the server may not know yet that
// the one before is gone.
func fresh(prefix string) string {
	return prefix + "-" + strconv.FormatInt(clients.Add(1), 10)
}

// DeviceOptions say what devices are like.
type DeviceOptions struct {
	// Heartbeats is the time between two; zero means none. OpenDevices then
	// waits until every device had one answered.
	Heartbeats time.Duration
	// NoSession asks for no session that outlives a connection.
	NoSession bool
}

// OpenDevices registers n devices, and returns their ids and what ends them.
func OpenDevices(ctx context.Context, addr string, n int, o DeviceOptions) (ids []string, end func() error, err error) {
	tool, err := newTool()
	if err != nil {
		return nil, nil, err
	}
	awaited, interval := endpoint.EventHeartbeat, o.Heartbeats
	if o.Heartbeats == 0 {
		awaited, interval = endpoint.EventRegistered, -1
	}
	running, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	end = func() error {
		cancel()
		all.Wait()
		return nil
	}
	ready, failed := make(chan struct{}, n), make(chan error, n)
	for range n {
		id := fresh("device")
		var once sync.Once
		device, err := endpoint.NewDevice(&endpoint.DeviceOptions{
			ID: id, URL: "ws://" + addr + "/ws", Tools: []endpoint.Tool{tool},
			SystemInfo:        &messages.SystemInfo{DeviceID: id, Platform: messages.PlatformLinux},
			Platform:          messages.PlatformLinux,
			HeartbeatInterval: interval,
			Reconnect:         &endpoint.ReconnectOptions{NoResume: o.NoSession},
			Observer: func(e endpoint.Event) {
				if e.Kind == awaited {
					once.Do(func() { ready <- struct{}{} })
				}
			},
		})
		if err != nil {
			return nil, nil, errors.Join(err, end())
		}
		ids = append(ids, id)
		all.Go(func() { failed <- device.Run(running) })
	}
	for range n {
		select {
		case <-ready:
		case err := <-failed:
			return nil, nil, errors.Join(fmt.Errorf("a device ended early: %w", err), end())
		case <-ctx.Done():
			return nil, nil, errors.Join(context.Cause(ctx), end())
		}
	}
	return ids, end, nil
}

// Tools has each of n devices, which are on this side, called by a task of its
// own on the server.
func Tools(ctx context.Context, addr string, n int, warm, turn time.Duration) (f Figures, err error) {
	ids, end, err := OpenDevices(ctx, addr, n, DeviceOptions{})
	if err != nil {
		return Figures{}, err
	}
	defer func() { err = errors.Join(err, end()) }()
	name := fresh("bench")
	requester, closed, err := openClient(ctx, addr, messages.NewConstellationRegistration(name, ""))
	if err != nil {
		return Figures{}, err
	}
	defer func() { err = errors.Join(err, closed()) }()
	begin := time.Now().Add(warm)
	request, err := json.Marshal(plan{begin, begin.Add(turn)})
	if err != nil {
		return Figures{}, err
	}
	figures, errs := make([]Figures, n), make([]error, n)
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() { figures[i], errs[i] = measureTools(ctx, requester, name, id, string(request)) })
	}
	all.Wait()
	for _, one := range figures {
		f.Rate += one.Rate
		f.Median += one.Median / float64(n)
	}
	return f, errors.Join(errs...)
}

// measureTools runs a task that calls tools, and returns what it has measured.
func measureTools(ctx context.Context, c *protocol.Client, name, device, request string) (f Figures, err error) {
	end, err := protocol.RunTask(ctx, c, messages.NewConstellationTask(messages.TaskRequest{
		ClientID: name, TargetID: device, Request: request,
	}))
	if err != nil {
		return f, err
	}
	return f, end.Result.Decode(&f)
}

// openClient registers a client of the protocol, and runs it.
func openClient(ctx context.Context, addr string, registration *messages.ClientMessage) (*protocol.Client, func() error, error) {
	t, err := dial(ctx, addr, "/ws")
	if err != nil {
		return nil, nil, err
	}
	c, err := protocol.NewClient(t, nil)
	if err == nil {
		_, err = protocol.Register(ctx, c, registration)
	}
	if err != nil {
		return nil, nil, errors.Join(err, t.Close())
	}
	return c, run(t, c.Run), nil
}

// OpenTasks returns a task of two commands as a call, for that many callers: a
// constellation asks for it, and a device runs the commands, both on this side.
func OpenTasks(ctx context.Context, addr string, callers int) (Call, func() error, error) {
	ids, end, err := OpenDevices(ctx, addr, 1, DeviceOptions{})
	if err != nil {
		return nil, nil, err
	}
	c, err := endpoint.NewConstellation(&endpoint.ConstellationOptions{Name: fresh("bench"), MaxTasksPerDevice: callers})
	if err == nil {
		err = c.Connect(ctx, ids[0], "ws://"+addr+"/ws")
	}
	if err != nil {
		return nil, nil, errors.Join(err, end())
	}
	return func() error {
			_, err := c.Run(ctx, ids[0], endpoint.TaskRequest{Request: "{}"})
			return err
		}, func() error {
			return errors.Join(c.Close(), end())
		}, nil
}

// Heartbeats sends heartbeats of a registered client, so many at a time, and
// returns how many are answered per second.
func Heartbeats(ctx context.Context, addr string, inFlight int, warm, turn time.Duration) (rate float64, err error) {
	c, end, err := openClient(ctx, addr, messages.NewDeviceRegistration(fresh("device"), messages.PlatformLinux, messages.Value{}))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, end()) }()
	begin := time.Now().Add(warm)
	if inFlight == 1 {
		f, err := Drive(1, begin, begin.Add(turn), func(int) error {
			_, err := protocol.Beat(ctx, c)
			return err
		})
		return f.Rate, err
	}
	count, over, rates := 0, false, make(chan float64, 1)
	c.Handle(messages.ServerHeartbeat, func(ctx context.Context, _ *messages.ServerMessage) error {
		now := time.Now()
		if now.After(begin) {
			count++
		}
		if count == 0 || now.Before(begin.Add(turn)) {
			return protocol.SendHeartbeat(ctx, c)
		}
		if !over {
			over = true
			rates <- float64(count) / now.Sub(begin).Seconds()
		}
		return nil
	})
	for range inFlight {
		if err := protocol.SendHeartbeat(ctx, c); err != nil {
			return 0, err
		}
	}
	select {
	case rate := <-rates:
		return rate, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
