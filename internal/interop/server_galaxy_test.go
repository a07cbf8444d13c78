package interop

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport/websocket"
)

// The tests of this file are the lines of section 9.4: a server of this SDK for
// the reference's Galaxy client, with the reference's devices beside it.

// galaxyTask has a constellation give its device a task. Its session is
// "name@id".
func galaxyTask(p *program, id, request string) {
	p.t.Helper()
	p.do("task", object{"task_id": id, "request": request})
}

// outcome waits for the end of a task and returns it.
func outcome(p *program, session, want string) *happening {
	p.t.Helper()
	h := p.await(p.t, "end of "+session, func(h *happening) bool { return h.Event == "task" && h.SessionID == session })
	if h.Outcome != want {
		p.t.Errorf("the task %s ended as %q (%s), not as %q", session, h.Outcome, h.Reason, want)
	}
	return h
}

// until is a task that holds its device until the test says so, or it is
// cancelled.
func until(release <-chan struct{}) endpoint.TaskHandler {
	return func(ctx context.Context, _ *endpoint.Task) (any, error) {
		select {
		case <-release:
			return "done", nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// TestGalaxyRegistration: the confirmation is the first message, and the
// constellation is known by its id, role and target (9.4.1).
func TestGalaxyRegistration(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	server.device(t, "dev")
	p := server.constellation(t, "g", "dev")
	first := p.await(t, "an answer", is("received")).Message
	if first["type"] != "heartbeat" || first["status"] != "ok" || first["session_id"] != nil {
		t.Errorf("the answer is %v", first)
	}
	clients := server.Clients()
	if len(clients) != 2 || clients[1].ID != "g@dev" || clients[1].Role != messages.Constellation || clients[1].Target != "dev" {
		t.Errorf("the server knows %+v", clients)
	}
}

// TestGalaxyRegistrationRefused: a constellation whose device is not online, is
// no device, or that is there already gets an error, then a close with 1000
// (9.4.1).
func TestGalaxyRegistrationRefused(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	server.device(t, "dev")
	server.constellation(t, "g", "dev")
	for name, device := range map[string]string{"h": "offline", "i": "g@dev", "g": "dev"} {
		t.Run(device, func(t *testing.T) {
			p := start(t, "constellation", server.constellationArgs(name, device)...)
			refused := p.happens("refused")
			if end := p.happens("closed"); end.Code != 1000 || refused.Reason == "" {
				t.Errorf("refused with %q, closed with %d", refused.Reason, end.Code)
			}
			if n := p.count(is("received")); n != 1 {
				t.Errorf("%d messages came before the close", n)
			}
		})
	}
}

// TestGalaxyHeartbeats: heartbeats with the wrong role are answered all the
// same (9.4.2).
func TestGalaxyHeartbeats(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	server.device(t, "dev")
	p := server.constellation(t, "g", "dev", "--heartbeat", "0.1")
	p.receives("heartbeat") // the confirmation
	for range 3 {
		p.sends("heartbeat", with("client_type", "device"), with("client_id", "g@dev"))
		p.receives("heartbeat", with("status", "ok"), with("session_id", nil))
		server.observes(t, endpoint.EventHeartbeat, "g@dev")
	}
	if n := p.received("error"); n != 0 {
		t.Errorf("%d errors came", n)
	}
}

// TestGalaxyRoles: every other message with a foreign role or id is refused,
// and does nothing (9.4.2).
func TestGalaxyRoles(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	device := server.device(t, "dev")
	p := server.constellation(t, "g", "dev")
	for _, text := range []string{
		`{"type":"task","status":"continue","client_type":"device","client_id":"g@dev","target_id":"dev","request":"x"}`,
		`{"type":"task","status":"continue","client_type":"constellation","client_id":"dev","target_id":"dev","request":"x"}`,
		`{"type":"device_info_request","status":"ok","client_id":"g@dev","target_id":"dev"}`,
		`{"type":"register","status":"ok","client_type":"constellation","client_id":"g@dev"}`,
		`{"type":"task_end","status":"ok","client_type":"constellation","client_id":"g@dev"}`,
	} {
		p.do("raw", object{"text": text})
		p.receives("error", with("status", "error"))
	}
	if n := device.received("command"); n != 0 {
		t.Errorf("%d commands reached the device", n)
	}
}

// TestGalaxyInfo: the question that follows the registration at once is
// answered by its request_id with what the device said (9.4.2, 9.4.3).
func TestGalaxyInfo(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	server.device(t, "dev")
	server.device(t, "mute", "--bare")
	p := server.constellation(t, "g", "dev")
	asked := p.sends("device_info_request")
	answer := p.receives("device_info_response", with("response_id", asked["request_id"]), with("status", "ok"))
	if info := answer["result"].(object); info["hostname"] != "host of dev" || info["cpu_count"] != 2. {
		t.Errorf("the info is %v", info)
	}
	if info := p.happens("info"); !info.OK {
		t.Errorf("the program makes %+v of it", info)
	}
	// Nothing is known of a device that said nothing.
	q := server.constellation(t, "h", "mute")
	if info := q.happens("info"); info.OK || !strings.Contains(string(info.Result), `"error"`) {
		t.Errorf("the program makes %+v of it", info)
	}
	// Another device's is not for this constellation.
	p.do("raw", object{"text": `{"type":"device_info_request","status":"ok","client_type":"constellation","target_id":"mute","request_id":"r"}`})
	p.receives("error")
}

// TestGalaxyTask: acknowledgement, command, results, and one task_end with the
// session; the device never gets a task, but the same task_end. The task's name
// is made safe (9.4.4).
func TestGalaxyTask(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	device := server.device(t, "dev")
	p := server.constellation(t, "g", "dev")
	galaxyTask(p, "t1", "hello")
	sent := p.sends("task", with("session_id", "g@t1"))
	if sent["request_id"] != nil || sent["task_name"] != "galaxy/g/t1" {
		t.Errorf("the program sent %v", sent)
	}
	p.receives("heartbeat", with("status", "ok"), with("session_id", "g@t1"))
	device.receives("command", with("session_id", "g@t1"), with("task_name", "galaxy_g_t1"))
	end := p.receives("task_end", with("session_id", "g@t1"), with("status", "completed"), with("error", nil))
	if r := results(t, end); len(r) != 1 || r[0]["result"] != "hello" || r[0]["status"] != "success" {
		t.Errorf("the result is %v", end["result"])
	}
	outcome(p, "g@t1", "completed")
	same := device.receives("task_end", with("session_id", "g@t1"))
	if same["response_id"] != end["response_id"] || device.received("task") != 0 {
		t.Errorf("the device got %v", same)
	}
	galaxyTask(p, "t2", "again")
	outcome(p, "g@t2", "completed")
	if n := p.received("task_end", with("session_id", "g@t1")); n != 1 {
		t.Errorf("%d ends for one session", n)
	}
}

// TestGalaxyResults: a result may be any JSON value (9.4.4).
func TestGalaxyResults(t *testing.T) {
	results := map[string]any{
		"null": []any(nil), "text": "ä", "number": 1.5, "false": false, "array": []any{1., nil}, "object": object{"a": object{}},
	}
	server := serve(t, endpoint.ServerOptions{Handler: func(_ context.Context, task *endpoint.Task) (any, error) {
		return results[task.Request], nil
	}}, websocket.Options{})
	server.device(t, "dev")
	p := server.constellation(t, "g", "dev")
	for name, want := range results {
		galaxyTask(p, name, name)
		end := p.receives("task_end", with("session_id", "g@"+name), with("status", "completed"))
		if list, ok := want.([]any); ok && list == nil {
			want = nil
		}
		if fmt.Sprint(end["result"]) != fmt.Sprint(want) {
			t.Errorf("%s became %v", name, end["result"])
		}
		outcome(p, "g@"+name, "completed")
	}
}

// TestGalaxyLargeResult: a result of 20 MiB reaches the constellation (9.4.4,
// 9.4.7).
func TestGalaxyLargeResult(t *testing.T) {
	const size = 20 << 20
	server := serve(t, endpoint.ServerOptions{Handler: func(context.Context, *endpoint.Task) (any, error) {
		return strings.Repeat("x", size), nil
	}}, websocket.Options{})
	server.device(t, "dev")
	p := server.constellation(t, "g", "dev")
	galaxyTask(p, "t", "big")
	if end := outcome(p, "g@t", "completed"); end.ResultSize != size {
		t.Errorf("%d characters came", end.ResultSize)
	}
}

// TestGalaxyRefusals: a refused task brings an error and, as the constellation
// waits for nothing else, a failed task_end, at once (9.4.4); so does the id of
// another one's task, whose owner notices nothing (9.4.8).
func TestGalaxyRefusals(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	server := serve(t, endpoint.ServerOptions{Handler: until(release)}, websocket.Options{})
	server.device(t, "dev")
	p, other := server.constellation(t, "g", "dev", "--no-target"), server.constellation(t, "h", "dev", "--no-target")
	p.receives("error") // It named no device, so it is told about none.
	galaxyTask(p, "held", "x")
	p.receives("heartbeat", with("session_id", "g@held"))
	for name, order := range map[string]object{
		"unknown target": {"target_id": "nobody", "session_id": "h@1"},
		"no device":      {"target_id": "g@dev", "session_id": "h@2"},
		"no target":      {"target_id": nil, "session_id": "h@3"},
		"foreign":        {"target_id": "dev", "session_id": "g@held"},
	} {
		t.Run(name, func(t *testing.T) {
			order["task_id"], order["request"] = "x", "x"
			other.do("task", order)
			other.receives("error")
			if h := outcome(other, order["session_id"].(string), "failed"); h.Reason == "" || h.Seconds > 5 {
				t.Errorf("it ended with %q after %v s", h.Reason, h.Seconds)
			}
		})
	}
	if n := p.received("task_end") + p.received("error") - 1; n != 0 {
		t.Errorf("the owner of the session got %d messages about it", n)
	}
}

// TestGalaxyDeviceLoss: when the device is killed in the middle of a command,
// the constellation learns at once that the task has failed (9.4.5).
func TestGalaxyDeviceLoss(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{Handler: doing(command("sleep", object{"seconds": 60}))}, websocket.Options{})
	device := server.device(t, "dev")
	p := server.constellation(t, "g", "dev")
	galaxyTask(p, "t", "x")
	device.receives("command")
	began := time.Now()
	device.kill()
	end := outcome(p, "g@t", "failed")
	if took := time.Since(began); took > 5*time.Second || end.Reason == "" {
		t.Errorf("it ended with %q after %v", end.Reason, took)
	}
	if n := p.received("task_end"); n != 1 {
		t.Errorf("%d ends came", n)
	}
}

// TestGalaxyLoss: when the constellation is killed, its tasks are cancelled and
// the device gets a failed task_end (9.4.5).
func TestGalaxyLoss(t *testing.T) {
	causes := make(chan error, 1)
	server := serve(t, endpoint.ServerOptions{Handler: func(ctx context.Context, _ *endpoint.Task) (any, error) {
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return nil, context.Cause(ctx)
	}}, websocket.Options{})
	device := server.device(t, "dev")
	p := server.constellation(t, "g", "dev")
	galaxyTask(p, "t", "x")
	p.receives("heartbeat", with("session_id", "g@t"))
	p.kill()
	device.receives("task_end", with("session_id", "g@t"), with("status", "failed"))
	if err := <-causes; !errors.Is(err, endpoint.ErrRequesterLost) {
		t.Errorf("the task was cancelled with %v", err)
	}
}

// TestGalaxyComesBack: a constellation that lost its connection registers again
// under the same id after its delay, and its tasks run again (9.4.6).
func TestGalaxyComesBack(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	server.device(t, "dev")
	p := server.constellation(t, "g", "dev", "--max-retries", "5", "--reconnect-delay", "0.2")
	p.do("close", object{"code": 1001})
	p.happens("closed")
	p.happens("registered")
	galaxyTask(p, "t", "hello")
	outcome(p, "g@t", "completed")
	p.kill()
	server.events.await(t, "the loss", func(e endpoint.Event) bool {
		return e.Kind == endpoint.EventDisconnected && e.ClientID == "g@dev" && e.Err != nil
	})
	server.constellation(t, "g", "dev")
}

// TestGalaxyPings: it offers compression, and both sides ping and answer during
// a long task (9.4.7).
func TestGalaxyPings(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{Handler: doing(command("sleep", object{"seconds": 1}))},
		websocket.Options{PingInterval: 200 * time.Millisecond, Compression: true})
	server.device(t, "dev")
	p := server.constellation(t, "g", "dev", "--ping-interval", "0.2")
	open := p.happens("open")
	if !strings.HasPrefix(open.Offered, "permessage-deflate") || len(open.Extensions) != 1 {
		t.Errorf("offered %q, agreed on %q", open.Offered, open.Extensions)
	}
	pings, pongs := p.count(is("ping")), p.count(is("pong"))
	galaxyTask(p, "t", "x")
	outcome(p, "g@t", "completed")
	if pings, pongs = p.count(is("ping"))-pings, p.count(is("pong"))-pongs; pings < 2 || pongs < 2 {
		t.Errorf("during the task %d pings came and %d were answered", pings, pongs)
	}
}

// TestGalaxySameSession: a task that runs and is asked for again is acknowledged
// again, and ends once; afterwards the id is free (9.4.8). For the id of another
// one's task see TestGalaxyRefusals.
func TestGalaxySameSession(t *testing.T) {
	release := make(chan struct{})
	server := serve(t, endpoint.ServerOptions{Handler: until(release)}, websocket.Options{})
	server.device(t, "dev")
	p := server.constellation(t, "g", "dev")
	for range 2 {
		galaxyTask(p, "t", "x")
		p.receives("heartbeat", with("session_id", "g@t"))
	}
	close(release)
	p.receives("task_end", with("session_id", "g@t"), with("status", "completed"))
	galaxyTask(p, "t", "x")
	p.receives("task_end", with("session_id", "g@t"), with("status", "completed"))
	if n := p.received("task_end"); n != 2 {
		t.Errorf("%d ends came", n)
	}
}

// TestGalaxyManyDevices: one constellation with a connection for each of its
// devices; each task goes to its own (9.4.1, 9.4.4).
func TestGalaxyManyDevices(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	devices := map[string]*program{"a": server.device(t, "a"), "b": server.device(t, "b")}
	p := start(t, "constellation", server.constellationArgs("g", "a", "--device", "b")...)
	for range devices {
		p.happens("registered")
	}
	for id := range devices {
		p.do("task", object{"device": id, "task_id": "for " + id, "request": "hello"})
	}
	for id, device := range devices {
		outcome(p, "g@for "+id, "completed")
		device.receives("command", with("session_id", "g@for "+id))
		if n := device.received("command"); n != 1 {
			t.Errorf("%d commands reached the device %s", n, id)
		}
	}
}
