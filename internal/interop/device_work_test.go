package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport/websocket"
)

// The tests of this file are lines of section 9.1: the work of a device of this
// SDK for the reference's server.

// TestDeviceIdentity: status, id and role are in every message that a device
// sends (9.1.5), and it sends nothing that is not a device's to send: the
// server checks both in every test; here all kinds of message come (9.1.10).
func TestDeviceIdentity(t *testing.T) {
	s := startServer(t)
	s.device(t, endpoint.DeviceOptions{HeartbeatInterval: 50 * time.Millisecond}, websocket.Options{})
	s.call("POST", "/api/dispatch", object{"client_id": "dev", "request": "hello", "task_name": "n"})
	s.await(t, "the end", message("sent", "task_end"))
	s.receives("heartbeat")
	s.do("send", object{"client": "dev", "message": object{"type": "device_info_request", "status": "ok"}})
	s.receives("device_info_response")
	s.do("send", object{"client": "dev", "message": object{"type": "error", "status": "error", "error": "x"}})
	s.command("last", object{"tool_name": "echo"})
	s.answer("last")
	if n := s.count(message("sent", "error")); n != 1 {
		t.Errorf("the server objected: %d errors", n)
	}
	if found := faults(s.all()); len(found) != 0 {
		t.Error(found)
	}
	for _, kind := range []string{"register", "heartbeat", "task", "command_results", "device_info_response"} {
		if s.received(kind) == 0 {
			t.Errorf("no %s came", kind)
		}
	}
}

// TestDeviceCommands: commands run in order, and are answered once with a
// result for each: success, failure, and skipped after it; also when there is
// no such tool, it panics, or takes too long (9.1.6).
func TestDeviceCommands(t *testing.T) {
	s := startServer(t)
	var order []int // by the one worker
	s.device(t, endpoint.DeviceOptions{CommandTimeout: 200 * time.Millisecond, Tools: []endpoint.Tool{
		{Name: "note", Namespace: "tools", Run: func(_ context.Context, p messages.Value) (any, error) {
			var parameters struct{ N int }
			err := p.Decode(&parameters)
			order = append(order, parameters.N)
			return parameters.N, err
		}},
		{Name: "fail", Run: func(context.Context, messages.Value) (any, error) { return nil, errors.New("no luck") }},
		{Name: "panic", Run: func(context.Context, messages.Value) (any, error) { panic("at the disco") }},
		{Name: "slow", Run: func(ctx context.Context, _ messages.Value) (any, error) { <-ctx.Done(); return nil, ctx.Err() }},
	}}, websocket.Options{})
	note := func(n int) object { return object{"tool_name": "note", "parameters": object{"n": n}} }
	for id, test := range map[string]struct {
		actions []object
		want    []string
	}{
		"all":     {[]object{note(1), note(2), note(3)}, []string{"success", "success", "success"}},
		"failure": {[]object{{"tool_name": ""}, {"tool_name": "fail"}, note(4), note(5)}, []string{"success", "failure", "skipped", "skipped"}},
		"unknown": {[]object{{"tool_name": "unheard of"}, note(6)}, []string{"failure", "skipped"}},
		"panic":   {[]object{{"tool_name": "panic"}}, []string{"failure"}},
		"timeout": {[]object{{"tool_name": "slow"}}, []string{"failure"}},
		"empty":   {[]object{}, nil},
	} {
		s.command(id, test.actions...)
		m := s.answer(id)
		if m["session_id"] != "s" || m["status"] != "continue" || m["request_id"] == nil {
			t.Errorf("%s: %v", id, m)
		}
		var got []string
		for i, r := range results(t, m) {
			got = append(got, r["status"].(string))
			if _, isText := r["error"].(string); r["call_id"] != fmt.Sprint(id, ".", i) || r["status"] != "success" && !isText {
				t.Errorf("%s: result %d is %v", id, i, r)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: the results are %v", id, got)
		}
	}
	if !slices.Equal(order, []int{1, 2, 3}) {
		t.Errorf("the tools ran in the order %v", order)
	}
	s.do("send", object{"client": "dev", "message": object{
		"type": "command", "status": "completed", "session_id": "s", "response_id": "null", "actions": nil,
	}})
	if m := s.answer("null"); m["status"] != "completed" {
		t.Errorf("the status is %v", m["status"])
	}
	if n := s.received("command_results"); n != 7 {
		t.Errorf("%d answers came", n)
	}
}

// TestDeviceReads: while a command runs the device reads and answers other
// messages, and keeps the next command for later; one that comes twice is run
// and answered once (9.1.7).
func TestDeviceReads(t *testing.T) {
	s := startServer(t)
	var runs atomic.Int64
	release := make(chan struct{})
	d := s.device(t, endpoint.DeviceOptions{Tools: []endpoint.Tool{{
		Name: "wait", Run: func(context.Context, messages.Value) (any, error) { runs.Add(1); <-release; return nil, nil },
	}}}, websocket.Options{})
	s.command("first", object{"tool_name": "wait"})
	d.observes(t, endpoint.EventCommand)
	s.command("second", object{"tool_name": "echo"})
	s.command("first", object{"tool_name": "wait"})
	s.do("send", object{"client": "dev", "message": object{"type": "device_info_request", "status": "ok"}})
	s.receives("device_info_response")
	if n := s.received("command_results"); n != 0 {
		t.Errorf("%d answers came already", n)
	}
	close(release)
	s.answer("first")
	s.answer("second")
	s.command("third", object{"tool_name": "echo"})
	s.answer("third")
	if n := s.received("command_results", with("prev_response_id", "first")); n != 1 || runs.Load() != 1 {
		t.Errorf("a command that came twice ran %d times and was answered %d times", runs.Load(), n)
	}
}

// TestDeviceDispatch: a task that came over HTTP is answered with the device's
// own TASK, with the session, and is driven to its end (9.1.8).
func TestDeviceDispatch(t *testing.T) {
	s := startServer(t)
	d := s.device(t, endpoint.DeviceOptions{}, websocket.Options{})
	dispatched := s.call("POST", "/api/dispatch", object{"client_id": "dev", "request": "hello", "task_name": "n"})
	m := s.receives("task", with("request", "hello"), with("task_name", "n"), with("session_id", dispatched["session_id"]))
	if m["metadata"].(object)["platform"] != "linux" || m["request_id"] == nil {
		t.Errorf("the task is %v", m)
	}
	s.receives("command_results", with("session_id", dispatched["session_id"]))
	if e := d.observes(t, endpoint.EventTaskEnded); e.Status != messages.StatusCompleted || e.Err != nil {
		t.Errorf("the task ended with %+v", e)
	}
}

// TestDeviceTaskEnd: task_end ends what still runs for the task; an
// acknowledgement and an answer to a heartbeat are told apart; an error is
// noted and not answered; what is of no known type does no harm (9.1.9).
func TestDeviceTaskEnd(t *testing.T) {
	s := startServer(t)
	d := s.device(t, endpoint.DeviceOptions{Tools: []endpoint.Tool{{
		Name: "wait", Run: func(ctx context.Context, _ messages.Value) (any, error) { <-ctx.Done(); return nil, ctx.Err() },
	}}}, websocket.Options{})
	s.command("c", object{"tool_name": "wait"})
	d.observes(t, endpoint.EventCommand)
	send := func(m object) { s.do("send", object{"client": "dev", "message": m}) }
	send(object{"type": "task_end", "status": "failed", "session_id": "s", "error": "gone"})
	if e := d.observes(t, endpoint.EventTaskEnded); e.Status != messages.StatusFailed || e.Err == nil || e.SessionID != "s" {
		t.Errorf("observed %+v", e)
	}
	if r := results(t, s.answer("c")); r[0]["status"] != "failure" {
		t.Errorf("the results are %v", r)
	}
	send(object{"type": "task_end", "status": "completed", "session_id": "never heard of"})
	d.observes(t, endpoint.EventTaskEnded)
	send(object{"type": "heartbeat", "status": "ok", "session_id": "s"})
	d.observes(t, endpoint.EventTaskAccepted)
	send(object{"type": "heartbeat", "status": "ok"})
	d.observes(t, endpoint.EventHeartbeat)
	send(object{"type": "error", "status": "error", "error": "a complaint"})
	d.observes(t, endpoint.EventRefused)
	for _, text := range []string{`{"type":"novelty","status":"ok"}`, `{"type":"heartbeat","status":"odd"}`, `[]`, `{`} {
		s.do("raw", object{"client": "dev", "text": text})
		d.observes(t, endpoint.EventRefused)
	}
	s.command("still here", object{"tool_name": "echo"})
	s.answer("still here")
	if n := s.received("error"); n != 0 {
		t.Errorf("the device answered with %d errors", n)
	}
}

// TestDeviceHeartbeats: heartbeats go out at their interval, and are answered
// (9.1.11).
func TestDeviceHeartbeats(t *testing.T) {
	s := startServer(t)
	d := s.device(t, endpoint.DeviceOptions{HeartbeatInterval: 50 * time.Millisecond}, websocket.Options{})
	for range 3 {
		s.receives("heartbeat", with("status", "ok"), with("client_type", "device"))
		d.observes(t, endpoint.EventHeartbeat)
	}
	if n := s.count(message("sent", "error")); n != 0 {
		t.Errorf("%d were refused", n)
	}
}

// TestDeviceNulls: all optional fields may be null, a field may be unknown, a
// command may come before the acknowledgement of its task, and a result may be
// any JSON value (9.1.13).
func TestDeviceNulls(t *testing.T) {
	s := startServer(t)
	d := s.device(t, endpoint.DeviceOptions{}, websocket.Options{})
	plan, err := json.Marshal(object{"early": true, "commands": [][]object{{{"tool_name": "echo"}}}, "result": []any{nil, 1, "ä"}})
	if err != nil {
		t.Fatal(err)
	}
	s.call("POST", "/api/dispatch", object{"client_id": "dev", "request": string(plan)})
	s.receives("command_results")
	d.observes(t, endpoint.EventTaskAccepted)
	if e := d.observes(t, endpoint.EventTaskEnded); e.Err != nil {
		t.Errorf("the task ended with %v", e.Err)
	}
	accepted := slices.IndexFunc(d.events.all(), func(e endpoint.Event) bool { return e.Kind == endpoint.EventTaskAccepted })
	commanded := slices.IndexFunc(d.events.all(), func(e endpoint.Event) bool { return e.Kind == endpoint.EventCommand })
	if accepted < commanded {
		t.Error("the command did not come first")
	}
	s.do("raw", object{"client": "dev", "text": `{"type":"command","status":"continue","novelty":{"a":[1]},"session_id":"s","response_id":"odd",` +
		`"user_request":null,"agent_name":null,"process_name":null,"root_name":null,"messages":null,"error":null,"timestamp":null,"result":null,` +
		`"actions":[{"tool_name":"echo","tool_type":"action","parameters":null,"call_id":null,"novelty":1}]}`})
	if r := results(t, s.answer("odd")); len(r) != 1 || r[0]["status"] != "success" {
		t.Errorf("the results are %v", r)
	}
	for name, result := range map[string]string{"null": "null", "number": "1.5", "text": `"x"`, "object": `{"a":{}}`, "large": "123456789012345678901234567890"} {
		s.do("raw", object{"client": "dev", "text": fmt.Sprintf(`{"type":"task_end","status":"completed","session_id":%q,"result":%s}`, name, result)})
		if e := d.observes(t, endpoint.EventTaskEnded); e.SessionID != name || e.Err != nil {
			t.Errorf("observed %+v", e)
		}
	}
}

// TestDeviceTools: list_tools lists the tools in the reference's form (9.1.6).
func TestDeviceTools(t *testing.T) {
	s := startServer(t)
	s.device(t, endpoint.DeviceOptions{}, websocket.Options{})
	s.command("c", object{"tool_name": "list_tools", "tool_type": "data_collection"})
	text, err := json.Marshal(results(t, s.answer("c"))[0]["result"])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"tool_key":"action::echo"`, `"tool_name":"echo"`, `"namespace":"tools"`, `"tool_type":"action"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}
