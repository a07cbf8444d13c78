package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// The tests of this file are points of section 9.2: a constellation of this SDK
// on the reference's server, with devices beside it. Its tasks are in
// constellation_task_test.go.

// goConstellation is a constellation of this SDK.
type goConstellation struct {
	*endpoint.Constellation
	events *journal[endpoint.Event]
	ends   *journal[*transport.CloseError]
	server *pyServer
	t      *testing.T
}

// constellation makes a constellation, until the end of the test.
func (s *pyServer) constellation(t *testing.T, options endpoint.ConstellationOptions, ws websocket.Options) *goConstellation {
	t.Helper()
	c := &goConstellation{
		events: newJournal[endpoint.Event](), ends: newJournal[*transport.CloseError](), server: s, t: t,
	}
	if options.Name == "" {
		options.Name = "g"
	}
	options.Dial = dialer(ws, c.ends)
	options.Observer = c.events.add
	constellation, err := endpoint.NewConstellation(&options)
	if err != nil {
		t.Fatal(err)
	}
	c.Constellation = constellation
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close returned %v", err)
		}
	})
	return c
}

// connected makes a constellation that is connected for the device dev, which
// runs on the server, too.
func (s *pyServer) connected(t *testing.T, options endpoint.ConstellationOptions, ws websocket.Options) *goConstellation {
	t.Helper()
	s.device(t, endpoint.DeviceOptions{}, websocket.Options{})
	c := s.constellation(t, options, ws)
	if err := c.connect("dev"); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *goConstellation) connect(device string) error {
	return c.Connect(within(c.t), device, c.server.url)
}

// within returns a context that ends when the test's patience does.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// plan is what a task of the Python server is to do (testdata/sessions.py).
func plan(p object) string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// ended is the end of a task.
type ended struct {
	result *endpoint.TaskResult
	err    error
}

// start gives a device a task; its end comes over the channel.
func (c *goConstellation) start(r endpoint.TaskRequest) <-chan ended {
	ends := make(chan ended, 1)
	ctx := within(c.t)
	go func() {
		result, err := c.Run(ctx, "dev", r)
		ends <- ended{result, err}
	}()
	return ends
}

// TestConstellationRegistration: one connection per device, each with its own
// id, the role and the target; the device has to be online first (9.2.1,
// 9.2.3).
func TestConstellationRegistration(t *testing.T) {
	s := startServer(t)
	c := s.constellation(t, endpoint.ConstellationOptions{}, websocket.Options{})
	for _, id := range []string{"a", "b"} {
		err := c.connect(id)
		var refused *protocol.RegistrationError
		if !errors.As(err, &refused) || refused.Failure != protocol.RegistrationRefused || !transport.Retryable(err) {
			t.Errorf("without its device Connect returned %v", err)
		}
		s.device(t, endpoint.DeviceOptions{ID: id}, websocket.Options{})
		if err := c.connect(id); err != nil {
			t.Fatal(err)
		}
		s.receives("register", with("client_type", "constellation"), with("client_id", "g@"+id), with("target_id", id), with("status", "ok"))
		if err := c.connect(id); err != nil { // again: there is nothing to do
			t.Error(err)
		}
	}
	if online := s.call("GET", "/api/clients", nil); fmt.Sprint(online["online_clients"]) != "[a g@a b g@b]" {
		t.Errorf("the server knows %v", online)
	}
}

// TestConstellationForbidden: without the right token there is a 403, which is
// final and shows no token (9.2.1).
func TestConstellationForbidden(t *testing.T) {
	s := startServer(t)
	c := s.constellation(t, endpoint.ConstellationOptions{}, websocket.Options{Token: "wrong"})
	err := c.connect("dev")
	var answer *websocket.HandshakeError
	if !errors.As(err, &answer) || answer.StatusCode != 403 || transport.Retryable(err) {
		t.Errorf("Connect returned %v", err)
	}
	leaks(t, fmt.Sprint(err))
}

// TestConstellationHeartbeats: the role is right in all messages, heartbeats
// included, so that the server, which is strict about it, answers them (9.2.2).
func TestConstellationHeartbeats(t *testing.T) {
	s := startServer(t)
	c := s.connected(t, endpoint.ConstellationOptions{HeartbeatInterval: 50 * time.Millisecond}, websocket.Options{})
	for range 3 {
		s.receives("heartbeat", with("client_type", "constellation"), with("client_id", "g@dev"))
		c.events.await(t, "heartbeat", func(e endpoint.Event) bool { return e.Kind == endpoint.EventHeartbeat })
	}
	if n := s.count(message("sent", "error")); n != 0 {
		t.Errorf("%d messages were refused", n)
	}
}

// TestConstellationInfo: device info is asked for by request_id; an error in the
// result is a failure (9.2.8).
func TestConstellationInfo(t *testing.T) {
	s := startServer(t)
	c := s.connected(t, endpoint.ConstellationOptions{}, websocket.Options{})
	info, err := c.DeviceInfo(within(t), "dev")
	if err != nil || !strings.Contains(info.String(), `"device_id":"dev"`) {
		t.Errorf("DeviceInfo returned %v, %v", info, err)
	}
	asked := s.receives("device_info_request", with("target_id", "dev"), with("status", "ok"))
	if id, _ := asked["request_id"].(string); id == "" {
		t.Errorf("asked with %v", asked)
	}
	p := start(t, "device", "--url", s.url+"?token="+url.QueryEscape(key), "--id", "mute", "--bare")
	p.happens("registered")
	if err := c.connect("mute"); err != nil {
		t.Fatal(err)
	}
	_, err = c.DeviceInfo(within(t), "mute")
	var unknown *protocol.DeviceInfoError
	if !errors.As(err, &unknown) {
		t.Errorf("DeviceInfo returned %v", err)
	}
}

// TestConstellationLeaves: disconnecting is a close with 1000; the server
// cancels the tasks, silently, and Run says that they are lost (9.2.9).
func TestConstellationLeaves(t *testing.T) {
	s := startServer(t)
	c := s.connected(t, endpoint.ConstellationOptions{}, websocket.Options{})
	running := c.start(endpoint.TaskRequest{Request: plan(object{"hold": "end"})})
	s.happens("held")
	if err := c.Disconnect("dev"); err != nil {
		t.Fatal(err)
	}
	if end := <-running; !errors.Is(end.err, endpoint.ErrTaskLost) {
		t.Errorf("Run returned %v", end.err)
	}
	if left := s.happens("left"); left.Client != "g@dev" || left.Code != 1000 {
		t.Errorf("the server saw %+v", left)
	}
}

// TestConstellationDeviceLoss: the loss of the device in the middle of a task
// fails the task at once (9.2.6).
func TestConstellationDeviceLoss(t *testing.T) {
	s := startServer(t)
	p := start(t, "device", "--url", s.url+"?token="+url.QueryEscape(key), "--id", "dev")
	p.happens("registered")
	c := s.constellation(t, endpoint.ConstellationOptions{}, websocket.Options{})
	if err := c.connect("dev"); err != nil {
		t.Fatal(err)
	}
	running := c.start(endpoint.TaskRequest{Request: plan(object{"commands": [][]object{{{"tool_name": "sleep", "parameters": object{"seconds": 60}}}}})})
	p.receives("command")
	began := time.Now()
	p.kill()
	if end := <-running; !errors.Is(end.err, endpoint.ErrTaskFailed) || time.Since(began) > 5*time.Second {
		t.Errorf("Run returned %v after %v", end.err, time.Since(began))
	}
}

// TestConstellationServerLoss: a server that closes, ends or is killed in the
// middle of a task is told apart, and the task is lost at once (9.2.9).
func TestConstellationServerLoss(t *testing.T) {
	for name, test := range map[string]struct {
		cut  func(*pyServer)
		code transport.StatusCode
	}{
		"close": {func(s *pyServer) { s.do("close", object{"client": "g@dev", "code": 1001}) }, 1001},
		"end":   {func(s *pyServer) { s.stop() }, 1012},
		"kill":  {func(s *pyServer) { s.kill() }, 1006},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			c := s.connected(t, endpoint.ConstellationOptions{Reconnect: once}, websocket.Options{})
			running := c.start(endpoint.TaskRequest{Request: plan(object{"hold": "end"})})
			s.happens("held")
			done := c.Done("dev")
			test.cut(s)
			end := <-running
			if !errors.Is(end.err, endpoint.ErrTaskLost) {
				t.Errorf("Run returned %v", end.err)
			}
			if lost := c.ends.await(t, "end", func(e *transport.CloseError) bool { return true }); lost.Code != test.code ||
				name == "kill" && !errors.Is(lost, io.ErrUnexpectedEOF) {
				t.Errorf("the connection ended with %v", lost)
			}
			<-done
		})
	}
}

// TestConstellationComesBack: a lost connection is replaced, and tasks run
// again (9.2.9).
func TestConstellationComesBack(t *testing.T) {
	s := startServer(t)
	c := s.connected(t, endpoint.ConstellationOptions{Reconnect: quick}, websocket.Options{})
	registered := func(h *happening) bool { return h.Event == "registered" && h.Client == "g@dev" }
	s.await(t, "registration", registered)
	s.do("close", object{"client": "g@dev", "code": 1011})
	s.await(t, "new registration", registered)
	c.events.await(t, "registration", func(e endpoint.Event) bool { return e.Kind == endpoint.EventRegistered })
	c.events.await(t, "new registration", func(e endpoint.Event) bool { return e.Kind == endpoint.EventRegistered })
	if result, err := c.Run(within(t), "dev", endpoint.TaskRequest{Request: plan(object{"result": 1})}); err != nil {
		t.Errorf("Run returned %v, %v", result, err)
	}
}

// TestConstellationPings: both sides ping and answer during a task that takes
// longer than the server's ping timeout (9.2.7).
func TestConstellationPings(t *testing.T) {
	s := startServer(t, "--ping-interval", "0.2", "--ping-timeout", "1.5")
	pongs := newJournal[time.Duration]()
	c := s.connected(t, endpoint.ConstellationOptions{}, websocket.Options{PingInterval: 200 * time.Millisecond, Hooks: websocket.Hooks{Ping: pongs.add}})
	running := c.start(endpoint.TaskRequest{ID: "t", Request: plan(object{"hold": "end"})})
	s.happens("held")
	for range 9 {
		pongs.await(t, "pong", func(time.Duration) bool { return true })
		s.happens("ping")
		s.happens("pong")
	}
	s.do("release", object{"session_id": "g@t"})
	if end := <-running; end.err != nil {
		t.Errorf("Run returned %v", end.err)
	}
}
