package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// pyServer is the Python server.
type pyServer struct {
	*program
	address string
	url     string // without the token
}

// startServer starts the Python server. At the end of the test, which fails
// then, the frames that it received are checked against what a client may send.
func startServer(t *testing.T, args ...string) *pyServer {
	t.Helper()
	s := &pyServer{program: start(t, "server", append([]string{"--token", key, "--ping-interval", "20"}, args...)...)}
	s.address = fmt.Sprintf("127.0.0.1:%d", s.happens("listening").Port)
	s.url = "ws://" + s.address + "/ws"
	t.Cleanup(func() {
		for _, fault := range faults(s.all()) {
			t.Error(fault)
		}
	})
	return s
}

// faults returns what is wrong with the frames that a server has received from
// clients of this SDK (9.1.5, 9.1.10, 9.2).
func faults(all []*happening) []string {
	var found []string
	roles := map[string]string{}
	for _, h := range all {
		if h.Event != "received" || h.Text == "" {
			continue // a large one; its model was checked by the server
		}
		m, id := h.Message, h.Client
		kind, _ := m["type"].(string)
		role, _ := m["client_type"].(string)
		if id == "" {
			id, _ = m["client_id"].(string)
			roles[id] = role
			if kind != "register" {
				found = append(found, "a connection began with "+h.Text)
			}
		} else if kind == "register" {
			found = append(found, "a second registration: "+h.Text)
		}
		allowed := "register heartbeat task command_results device_info_response"
		if roles[id] == "constellation" {
			allowed = "register heartbeat task device_info_request"
		}
		_, resumes := m["seq"]
		_, acknowledges := m["ack"]
		switch {
		case !strings.Contains(allowed, kind):
			found = append(found, "a "+roles[id]+" sent "+h.Text)
		case m["status"] == nil, m["client_id"] != id, role != roles[id]:
			found = append(found, "no status, or another identity: "+h.Text)
		case resumes, acknowledges:
			found = append(found, "numbers that were not agreed on: "+h.Text)
		}
	}
	return found
}

// dialer dials as the endpoints do, with the options ws and the token unless
// they have one, and notes how connections end.
func dialer(ws websocket.Options, ends *journal[*transport.CloseError]) endpoint.Dialer {
	if ws.Token == "" {
		ws.Token = key
	}
	ws.Hooks.Closed = ends.add
	return func(ctx context.Context, url string) (transport.Transport, error) {
		t := websocket.New(&ws)
		if err := t.Connect(ctx, url); err != nil {
			return nil, err
		}
		return t, nil
	}
}

// goDevice is a device of this SDK, that runs.
type goDevice struct {
	*endpoint.Device
	events *journal[endpoint.Event]
	ends   *journal[*transport.CloseError]
	logs   *observer.ObservedLogs
	result chan error // of Run
	stop   context.CancelFunc
}

// run runs a device on the server until the end of the test.
func (s *pyServer) run(t *testing.T, options endpoint.DeviceOptions, ws websocket.Options) *goDevice {
	t.Helper()
	d := &goDevice{events: newJournal[endpoint.Event](), ends: newJournal[*transport.CloseError](), result: make(chan error, 1)}
	if options.ID == "" {
		options.ID = "dev"
	}
	if options.URL == "" {
		options.URL = s.url
	}
	options.Platform = messages.PlatformLinux
	options.Observer = d.events.add
	options.Dial = dialer(ws, d.ends)
	options.Tools = append(options.Tools, endpoint.Tool{Name: "echo", Namespace: "tools", Run: func(_ context.Context, p messages.Value) (any, error) {
		return p, nil
	}})
	core, logs := observer.New(zap.DebugLevel)
	options.Logger, d.logs = zap.New(core), logs
	device, err := endpoint.NewDevice(&options)
	if err != nil {
		t.Fatal(err)
	}
	d.Device = device
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	go func() {
		d.result <- device.Run(ctx)
		d.events.end()
	}()
	t.Cleanup(func() {
		stop()
		d.end(t)
	})
	return d
}

// end waits until Run returns, and returns what it did.
func (d *goDevice) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-d.result:
		d.result <- err
		return err
	case <-time.After(patience):
		t.Fatal("Run does not return")
		return nil
	}
}

// observes waits for an event.
func (d *goDevice) observes(t *testing.T, kind endpoint.EventKind) endpoint.Event {
	t.Helper()
	return d.events.await(t, string(kind), func(e endpoint.Event) bool { return e.Kind == kind })
}

// device runs a device on the server and waits for its registration.
func (s *pyServer) device(t *testing.T, options endpoint.DeviceOptions, ws websocket.Options) *goDevice {
	t.Helper()
	d := s.run(t, options, ws)
	d.observes(t, endpoint.EventRegistered)
	s.await(t, "registration", func(h *happening) bool { return h.Event == "registered" && h.Client != "" })
	return d
}

// command has the server send the device dev a COMMAND.
func (s *pyServer) command(id string, actions ...object) {
	s.t.Helper()
	for i, action := range actions {
		action["call_id"] = fmt.Sprint(id, ".", i)
		if action["tool_type"] == nil {
			action["tool_type"] = "action"
		}
	}
	s.do("send", object{"client": "dev", "message": object{
		"type": "command", "status": "continue", "agent_name": "LinuxAgent", "session_id": "s", "response_id": id, "actions": actions,
	}})
}

// answer waits for the results of the COMMAND id.
func (s *pyServer) answer(id string) object {
	s.t.Helper()
	return s.receives("command_results", with("prev_response_id", id))
}

// call sends a request to the server's HTTP API and returns the answer.
func (s *pyServer) call(method, path string, body object) object {
	s.t.Helper()
	return call(s.t, "http://"+s.address+path, method, "k/+ &=\xe4", body) // FastAPI reads headers as Latin-1
}

// call sends a request to an HTTP API and returns the answer.
func call(t *testing.T, url, method, key string, body object) object {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(method, url, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-API-Key", key)
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, err = io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s got %s: %s, %v", url, response.Status, text, err)
	}
	var answer object
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// roundTrip has the server say something to the device dev, and waits for the
// answer.
func (s *pyServer) roundTrip() {
	s.t.Helper()
	s.do("send", object{"client": "dev", "message": object{"type": "device_info_request", "status": "ok"}})
	s.receives("device_info_response")
}

// leaks reports where a text shows the token.
func leaks(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{key, url.QueryEscape(key), "token="} {
		if strings.Contains(text, secret) {
			t.Errorf("shows the token: %s", text)
		}
	}
}
