package endpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/resilience"
)

// offering is a registration that asks for a session, with the token of an
// earlier one unless that is empty.
func offering(id, role, target, token string) object {
	offer := object{"v": 1, "max_s": 120, "max_bytes": 1 << 20}
	if token != "" {
		offer["prev"], offer["rx"] = token, 0
	}
	m := object{
		"type": "register", "status": "ok", "client_id": id, "client_type": role,
		"metadata": object{resilience.ResumeExtension: offer},
	}
	if target != "" {
		m["target_id"] = target
	}
	return m
}

// joined waits for the confirmation of a registration that asked for a session,
// and returns the token and whether the session goes on.
func (p *peer) joined() (token string, resumed bool) {
	p.t.Helper()
	m := p.expect(object{"type": "heartbeat", "status": "ok"})
	result, _ := m["result"].(map[string]any)
	answer, ok := result[resilience.ResumeExtension].(map[string]any)
	if !ok {
		p.t.Fatalf("the confirmation has no session: %v", m)
	}
	return answer["id"].(string), answer["resumed"].(bool)
}

// TestStolenSession: the session of a client that is connected is its own:
// whoever comes under its name without its token, or with the token of another
// name, role or target, gets nothing, and the client notices nothing.
func TestStolenSession(t *testing.T) {
	tests := map[string]struct {
		show func(device, constellation string) object
		want string // part of the refusal
	}{
		"no token":            {func(string, string) object { return offering("dev", "device", "", "") }, "already registered"},
		"plain":               {func(string, string) object { return register("dev") }, "already registered"},
		"wrong token":         {func(string, string) object { return offering("dev", "device", "", "x") }, "already registered"},
		"token of another id": {func(_, con string) object { return offering("dev", "device", "", con) }, "already registered"},
		"another role":        {func(dev, _ string) object { return offering("dev", "constellation", "", dev) }, "already registered"},
		"another target":      {func(_, con string) object { return offering("con", "constellation", "dev2", con) }, "already registered"},
		"no target":           {func(_, con string) object { return offering("con", "constellation", "", con) }, "already registered"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, &ServerOptions{Handler: noTasks})
				device, constellation := w.peer("dev"), w.peer("con")
				device.send(offering("dev", "device", "", ""))
				first, _ := device.joined()
				w.peer("dev2").send(register("dev2"))
				synctest.Wait()
				constellation.send(offering("con", "constellation", "dev", ""))
				second, _ := constellation.joined()

				thief := w.peer("thief")
				thief.send(test.show(first, second))
				m := thief.expect(object{"type": "error"})
				if text := fmt.Sprint(m["error"]); !strings.Contains(text, test.want) {
					t.Errorf("the refusal is %q", text)
				}
				thief.expectClose()
				device.expectNothing(time.Minute)
				constellation.expectNothing(time.Minute)
				if got := w.events.of(EventDetached); len(got) != 0 {
					t.Errorf("observed %v", got)
				}
				for _, c := range w.server.Clients() {
					if c.Detached {
						t.Errorf("%s is detached", c.ID)
					}
				}
			})
		})
	}
}

// TestTokenIsNewEachTime: a token is good for one resume; the one before stays
// good only until the client has shown that it has the new one.
func TestTokenIsNewEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: noTasks})
		p := w.peer("dev")
		p.send(offering("dev", "device", "", ""))
		first, resumed := p.joined()
		if resumed {
			t.Error("a first registration was resumed")
		}
		// The answer is lost with the connection, twice.
		for range 2 {
			w.cable("dev").cut()
			p = w.peer("dev")
			p.send(offering("dev", "device", "", first))
			if _, resumed = p.joined(); !resumed {
				t.Fatal("the token was not good any more")
			}
		}
		p.send(object{"type": "heartbeat", "status": "ok", "client_id": "dev", "timestamp": "2026-01-01T00:00:00Z", "ack": 0})
		p.expect(object{"type": "heartbeat"})
		thief := w.peer("thief")
		thief.send(offering("dev", "device", "", first))
		thief.expect(object{"type": "error"})
		p.send(object{"type": "heartbeat", "status": "ok", "client_id": "dev", "timestamp": "2026-01-01T00:00:00Z", "ack": 0})
		p.expect(object{"type": "heartbeat"})
	})
}

// TestTwoDevicesOfOneID: a second device under the same id is refused for as
// long as the first one is there, through its cuts, and they do not take the
// session from each other in turns.
func TestTwoDevicesOfOneID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: commanding(1)})
		work := &worker{takes: 6 * time.Minute}
		w.device(DeviceOptions{Tools: []Tool{work.tool()}, CommandTimeout: -1})
		second := w.device(DeviceOptions{Tools: []Tool{counter("work")}, Dial: w.dial("second"), Reconnect: &ReconnectOptions{}})
		c, _ := w.constellation(ConstellationOptions{})
		task := run(c, TaskRequest{Request: "work"})
		for range 5 {
			<-time.After(time.Minute)
			w.cable("dev").cutClient() // The server does not miss it.
		}
		if _, err := task.wait(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if got := second.events.of(EventRegistered); len(got) != 0 {
			t.Errorf("the second device was registered %d times", len(got))
		}
		if runs, cut := work.count(); runs != 1 || cut != 0 {
			t.Errorf("the tool ran %d times and was cut off %d times", runs, cut)
		}
		if got := len(w.of(EventRegistered, "dev")); got != 6 {
			t.Errorf("the device was registered %d times", got)
		}
		select {
		case err := <-second.ended:
			t.Errorf("the second device gave up: %v", err)
		default:
		}
	})
}

// TestRestartedDevice: a device whose process was restarted does not know its
// token. It takes the place of its detached session at once, whose tasks fail at
// once; while the session is attached it is refused.
func TestRestartedDevice(t *testing.T) {
	for name, resume := range map[string]bool{"asking for a session": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				causes := make(chan error, 1)
				w := newWorld(t, &ServerOptions{Handler: observed(commanding(1), causes)})
				old := w.peer("dev")
				old.send(offering("dev", "device", "", ""))
				old.joined()
				c, _ := w.constellation(ConstellationOptions{})
				task := run(c, TaskRequest{Request: "work"})
				old.expect(object{"type": "command", "seq": 1.})
				registration := register("dev")
				if resume {
					registration = offering("dev", "device", "", "")
				}
				early := w.peer("dev")
				early.send(registration)
				early.expect(object{"type": "error"})
				early.expectClose()

				cut(old)
				synctest.Wait()
				if info := w.server.Clients()[1]; info.ID != "dev" || !info.Detached {
					t.Errorf("the device is not detached: %v", info)
				}
				start := time.Now()
				fresh := w.peer("dev")
				fresh.send(registration)
				if resume {
					if _, resumed := fresh.joined(); resumed {
						t.Error("it was resumed")
					}
				} else if m := fresh.expect(object{"type": "heartbeat", "status": "ok"}); m["result"] != nil {
					t.Errorf("a client that did not ask got %v", m)
				}
				if _, err := task.wait(); !errors.Is(err, ErrTaskFailed) {
					t.Errorf("Run returned %v", err)
				}
				if err := <-causes; !errors.Is(err, ErrDeviceLost) {
					t.Errorf("the handler's command failed with %v", err)
				}
				if time.Since(start) != 0 {
					t.Errorf("it took %v", time.Since(start))
				}
				synctest.Wait()
				if a, b := len(w.of(EventRegistered, "dev")), len(w.of(EventDisconnected, "dev")); a != 2 || b != 1 {
					t.Errorf("%d registered, %d disconnected", a, b)
				}
				next := run(c, TaskRequest{Request: "work"})
				command := fresh.expect(object{"type": "command"})
				fresh.send(object{
					"type": "command_results", "status": "continue", "session_id": command["session_id"], "seq": 1, "ack": 1,
					"prev_response_id": command["response_id"], "action_results": []any{object{"status": "success", "result": "done"}},
				})
				if _, err := next.wait(); err != nil {
					t.Errorf("a new task failed: %v", err)
				}
				w.checkOneEnd(2)
			})
		})
	}
}

// numbers returns the text frames that have something of the extension in them.
func numbers(t *testing.T, frames []string) []string {
	t.Helper()
	var found []string
	for _, text := range frames {
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		if m["seq"] != nil || m["ack"] != nil || strings.Contains(text, resilience.ResumeExtension) {
			found = append(found, text)
		}
	}
	return found
}
