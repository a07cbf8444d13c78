package interop

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/transport/websocket"
)

// The tests of this file are points of section 9.2: tasks of a constellation of
// this SDK.

// TestConstellationTask: a task with a fresh session id, for the device, is
// acknowledged, driven, and ends with its result (9.2.4, 9.2.6).
func TestConstellationTask(t *testing.T) {
	s := startServer(t)
	c := s.connected(t, endpoint.ConstellationOptions{}, websocket.Options{})
	sessions := map[any]bool{}
	for range 2 {
		result, err := c.Run(within(t), "dev", endpoint.TaskRequest{Request: "hello"})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(result.Result.String(), `"text":"hello"`) {
			t.Errorf("the result is %v", result.Result)
		}
		m := s.receives("task", with("target_id", "dev"), with("status", "continue"), with("session_id", result.SessionID))
		id := strings.TrimPrefix(result.SessionID, "g@")
		if len(id) != 36 || m["task_name"] != "g/"+id {
			t.Errorf("the task is %v", m)
		}
		sessions[result.SessionID] = true
		c.events.await(t, "acknowledgement", func(e endpoint.Event) bool { return e.Kind == endpoint.EventTaskAccepted })
	}
	if len(sessions) != 2 {
		t.Errorf("the sessions are %v", sessions)
	}
}

// TestConstellationPython: the same with the reference's device (9.2.4).
func TestConstellationPython(t *testing.T) {
	s := startServer(t)
	d := start(t, "device", "--url", s.url+"?token="+url.QueryEscape(key), "--id", "dev")
	d.happens("registered")
	c := s.constellation(t, endpoint.ConstellationOptions{}, websocket.Options{})
	if err := c.connect("dev"); err != nil {
		t.Fatal(err)
	}
	request := plan(object{"commands": [][]object{{{"tool_name": "execute_command", "parameters": object{"command": "echo hello"}}}}})
	result, err := c.Run(within(t), "dev", endpoint.TaskRequest{Request: request})
	if err != nil || !strings.Contains(result.Result.String(), `"result":"hello"`) {
		t.Errorf("Run returned %v, %v", result, err)
	}
	d.receives("task_end", with("status", "completed"))
}

// TestConstellationRefused: an error without any id, and no acknowledgement, is
// the refusal of the task that was sent last; it comes at once (9.2.4).
func TestConstellationRefused(t *testing.T) {
	s := startServer(t)
	c := s.connected(t, endpoint.ConstellationOptions{}, websocket.Options{})
	release := c.start(endpoint.TaskRequest{ID: "held", Request: plan(object{"hold": "end"})})
	s.happens("held")
	other := s.constellation(t, endpoint.ConstellationOptions{Name: "h"}, websocket.Options{})
	if err := other.connect("dev"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err := other.Run(within(t), "dev", endpoint.TaskRequest{Request: plan(object{"refuse": "not today"})})
	var failed *endpoint.TaskError
	if !errors.Is(err, endpoint.ErrTaskRefused) || !errors.As(err, &failed) || failed.Message != "not today" || time.Since(began) > 5*time.Second {
		t.Errorf("Run returned %v after %v", err, time.Since(began))
	}
	// A task that runs meanwhile is none of its business.
	s.do("release", object{"session_id": "g@held"})
	if end := <-release; end.err != nil {
		t.Errorf("Run returned %v", end.err)
	}
	if _, err := other.Run(within(t), "dev", endpoint.TaskRequest{Request: "hello"}); err != nil {
		t.Errorf("the next Run returned %v", err)
	}
}

// TestConstellationForeignSession: the id of a task that somebody else runs is
// refused (9.2.4).
func TestConstellationForeignSession(t *testing.T) {
	s := startServer(t)
	c := s.connected(t, endpoint.ConstellationOptions{}, websocket.Options{})
	running := c.start(endpoint.TaskRequest{ID: "t", Request: plan(object{"hold": "end"})})
	s.happens("held")
	s.device(t, endpoint.DeviceOptions{ID: "other"}, websocket.Options{})
	if err := c.connect("other"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(within(t), "other", endpoint.TaskRequest{ID: "t", Request: "mine"}); !errors.Is(err, endpoint.ErrTaskRefused) {
		t.Errorf("Run returned %v", err)
	}
	s.do("release", object{"session_id": "g@t"})
	if end := <-running; end.err != nil {
		t.Errorf("Run returned %v", end.err)
	}
}

// TestConstellationOneUnacknowledged: of two tasks the second is sent when the
// first is acknowledged, as a refusal would not say which it refuses; from then
// on both run at once (9.2.5).
func TestConstellationOneUnacknowledged(t *testing.T) {
	s := startServer(t)
	c := s.connected(t, endpoint.ConstellationOptions{MaxTasksPerDevice: -1}, websocket.Options{})
	first := c.start(endpoint.TaskRequest{ID: "1", Request: plan(object{"hold": "ack", "result": 1})})
	s.happens("held")
	second := c.start(endpoint.TaskRequest{ID: "2", Request: plan(object{"hold": "end", "result": 2})})
	// Some round trips later the second one would have been there.
	for range 20 {
		s.roundTrip()
	}
	if n := s.received("task"); n != 1 {
		t.Errorf("%d tasks came", n)
	}
	s.do("release", object{"session_id": "g@1"})
	if end := <-first; end.err != nil || end.result.Result.String() != "1" {
		t.Errorf("the first ended with %+v", end)
	}
	s.happens("held")
	s.do("release", object{"session_id": "g@2"})
	if end := <-second; end.err != nil || end.result.Result.String() != "2" {
		t.Errorf("the second ended with %+v", end)
	}
}

// TestConstellationSuccess: only completed and no error is a success; tasks are
// told apart by their sessions, whichever ends first (9.2.6).
func TestConstellationSuccess(t *testing.T) {
	s := startServer(t)
	c := s.connected(t, endpoint.ConstellationOptions{MaxTasksPerDevice: -1}, websocket.Options{})
	running := map[string]<-chan ended{}
	for _, id := range []string{"1", "2", "3"} {
		running[id] = c.start(endpoint.TaskRequest{ID: id, Request: plan(object{"hold": "end", "result": id})})
		s.await(t, "hold", func(h *happening) bool { return h.Event == "held" && h.SessionID == "g@"+id })
	}
	for _, id := range []string{"3", "1", "2"} {
		s.do("release", object{"session_id": "g@" + id})
		if end := <-running[id]; end.err != nil || end.result.Result.String() != `"`+id+`"` {
			t.Errorf("%s ended with %+v", id, end)
		}
	}
	for name, p := range map[string]object{
		"failed":    {"status": "failed"},
		"error":     {"status": "completed", "error": "but"},
		"exception": {"status": "failed", "error": "no luck", "result": object{"failure": "session ended with an error"}},
	} {
		_, err := c.Run(within(t), "dev", endpoint.TaskRequest{Request: plan(p)})
		if !errors.Is(err, endpoint.ErrTaskFailed) {
			t.Errorf("%s: Run returned %v", name, err)
		}
	}
}

// TestConstellationForeignEnd: the end of a task counts only on the connection
// of its own device (9.2.6).
func TestConstellationForeignEnd(t *testing.T) {
	s := startServer(t)
	c := s.connected(t, endpoint.ConstellationOptions{}, websocket.Options{})
	s.device(t, endpoint.DeviceOptions{ID: "other"}, websocket.Options{})
	if err := c.connect("other"); err != nil {
		t.Fatal(err)
	}
	running := c.start(endpoint.TaskRequest{ID: "t", Request: plan(object{"hold": "end", "result": "true"})})
	s.happens("held")
	s.do("send", object{"client": "g@other", "message": object{
		"type": "task_end", "status": "completed", "session_id": "g@t", "result": "forged",
	}})
	// What follows it on that connection shows that it has been read.
	if _, err := c.DeviceInfo(within(t), "other"); err != nil {
		t.Errorf("DeviceInfo returned %v", err)
	}
	s.do("release", object{"session_id": "g@t"})
	if end := <-running; end.err != nil || end.result.Result.String() != `"true"` {
		t.Errorf("Run returned %+v", end)
	}
}

// TestConstellationTimeout: a task has the constellation's own timeout. The
// device is busy with it until its end comes, which is nobody else's, and only
// then gets the next one (9.2.7).
func TestConstellationTimeout(t *testing.T) {
	s := startServer(t)
	c := s.connected(t, endpoint.ConstellationOptions{}, websocket.Options{})
	_, err := c.Run(within(t), "dev", endpoint.TaskRequest{ID: "t", Timeout: 200 * time.Millisecond, Request: plan(object{"hold": "end"})})
	if !errors.Is(err, endpoint.ErrTaskTimeout) {
		t.Errorf("Run returned %v", err)
	}
	next := c.start(endpoint.TaskRequest{Request: plan(object{"result": 7})})
	for range 20 { // in which it would have been sent
		s.roundTrip()
	}
	if n := s.received("task"); n != 1 {
		t.Errorf("%d tasks came while the device was busy", n)
	}
	s.do("release", object{"session_id": "g@t"})
	s.await(t, "the late end", message("sent", "task_end", with("session_id", "g@t")))
	if end := <-next; end.err != nil || end.result.Result.String() != "7" {
		t.Errorf("Run returned %+v", end)
	}
}

// TestConstellationNoAnswer: a server that neither accepts nor refuses a task is
// given up in time (9.2.4).
func TestConstellationNoAnswer(t *testing.T) {
	s := startServer(t)
	c := s.connected(t, endpoint.ConstellationOptions{AckTimeout: 300 * time.Millisecond, Reconnect: once}, websocket.Options{})
	if _, err := c.Run(within(t), "dev", endpoint.TaskRequest{Request: plan(object{"silent": true})}); !errors.Is(err, endpoint.ErrTaskLost) {
		t.Errorf("Run returned %v", err)
	}
}

// TestConstellationLargeResult: 20 MiB (9.2.6).
func TestConstellationLargeResult(t *testing.T) {
	const size = 20 << 20
	s := startServer(t)
	c := s.connected(t, endpoint.ConstellationOptions{}, websocket.Options{Compression: true})
	result, err := c.Run(within(t), "dev", endpoint.TaskRequest{Request: plan(object{"size": size})})
	if err != nil || result.Result.Len() != size+2 {
		t.Errorf("Run returned %v", err)
	}
}
