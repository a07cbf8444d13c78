package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// Attacks over real connections: a server behind real HTTP, and clients whose
// messages no SDK would send.

// dialled connects over a real WebSocket.
func dialled(t *testing.T, url, token string) *peer {
	t.Helper()
	tr := websocket.New(&websocket.Options{Token: token})
	if err := tr.Connect(soon(t), url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return &peer{t, tr}
}

// joins registers and returns the client.
func (p *peer) joins(registration object) *peer {
	p.t.Helper()
	p.send(registration)
	p.expect(object{"type": "heartbeat", "status": "ok"})
	return p
}

// heard returns what has come, up to the answer to a heartbeat that is sent now:
// whatever was sent before has been dealt with by then.
func (p *peer) heard() []object {
	p.t.Helper()
	p.send(object{"type": "heartbeat", "status": "ok"})
	var list []object
	for {
		m := p.receive()
		if m["type"] == "heartbeat" && m["session_id"] == nil {
			return list
		}
		list = append(list, m)
	}
}

// isRefusedWith checks that what a client heard begins with an error that
// contains text, and holds nothing but errors and ends that failed.
func isRefusedWith(t *testing.T, heard []object, text string) {
	t.Helper()
	if len(heard) == 0 || !strings.Contains(fmt.Sprint(heard[0]["error"]), text) {
		t.Errorf("got %v, want %q", heard, text)
	}
	for _, m := range heard {
		if m["type"] != "error" && (m["type"] != "task_end" || m["status"] != "failed") {
			t.Errorf("got %v", m)
		}
	}
}

// hears checks that nothing has come.
func hears(t *testing.T, who string, p *peer) {
	t.Helper()
	if list := p.heard(); len(list) != 0 {
		t.Errorf("%s heard %v", who, list)
	}
}

// TestSpoofedIdentityOverWebSockets: no message of any type is taken from a client
// that claims another's id or role, and nothing of it is done (spec 5.2 to 5.4).
func TestSpoofedIdentityOverWebSockets(t *testing.T) {
	var runs atomic.Int32
	server := startServer(t, &ServerOptions{Handler: func(context.Context, *Task) (any, error) {
		runs.Add(1)
		return "done", nil
	}})
	url := overHTTP(t, server)
	victim := dialled(t, url, "").joins(register("victim"))
	device := dialled(t, url, "").joins(register("dev"))
	constellation := dialled(t, url, "").joins(constellationOf("con", "victim"))
	for _, kind := range []string{"task", "command_results", "device_info_request", "device_info_response", "task_end", "register"} {
		for name, test := range map[string]struct {
			by     *peer
			claims object
			want   string
		}{
			"device with another id":          {device, object{"client_id": "victim"}, "client_id does not match"},
			"device as the constellation":     {device, object{"client_id": "con", "client_type": "constellation"}, "does not match"},
			"device with another role":        {device, object{"client_type": "constellation"}, "client_type does not match"},
			"constellation with another id":   {constellation, object{"client_id": "victim", "client_type": "constellation"}, "client_id does not match"},
			"constellation with another role": {constellation, object{"client_type": "device"}, "client_type does not match"},
			"constellation without a role":    {constellation, object{"client_id": "con"}, "client_type does not match"},
		} {
			m := object{
				"type": kind, "status": "continue", "session_id": "s", "request_id": "q", "request": "x", "target_id": "victim",
				"prev_response_id": "r", "action_results": []any{},
			}
			for key, value := range test.claims {
				m[key] = value
			}
			test.by.send(m)
			t.Run(kind+", "+name, func(t *testing.T) { isRefusedWith(t, test.by.heard(), test.want) })
		}
	}
	device.send(object{"type": "heartbeat", "status": "ok", "client_id": "victim"})
	isRefusedWith(t, device.heard(), "client_id does not match")
	hears(t, "the victim", victim)
	if n := runs.Load(); n != 0 {
		t.Errorf("%d tasks ran", n)
	}
	// What is genuine is done.
	constellation.task("victim", "s", "work")
	constellation.accepted("s")
	constellation.expect(object{"type": "task_end", "status": "completed", "result": "done"})
}

// TestForeignTargetsOverWebSockets: a device reaches itself only, and a
// constellation only the device that it has named, and no constellation (spec
// 5.7, 5.12); what is asked of others does not reach them.
func TestForeignTargetsOverWebSockets(t *testing.T) {
	var runs atomic.Int32
	server := startServer(t, &ServerOptions{Handler: func(context.Context, *Task) (any, error) {
		runs.Add(1)
		return nil, nil
	}})
	url := overHTTP(t, server)
	clients := map[string]*peer{
		"dev":   dialled(t, url, "").joins(register("dev")),
		"other": dialled(t, url, "").joins(register("other")),
		"con":   dialled(t, url, "").joins(constellationOf("con", "dev")),
		"free":  dialled(t, url, "").joins(constellationOf("free", "")),
	}
	for _, test := range []struct{ by, role, target string }{
		{"dev", "device", "other"}, {"dev", "device", "con"}, {"dev", "device", "ghost"},
		{"con", "constellation", "other"}, {"con", "constellation", "con"}, {"con", "constellation", "free"},
		{"con", "constellation", "ghost"}, {"con", "constellation", ""},
		{"free", "constellation", "con"}, {"free", "constellation", "free"}, {"free", "constellation", "ghost"}, {"free", "constellation", ""},
	} {
		p := clients[test.by]
		p.send(object{
			"type": "task", "status": "continue", "client_type": test.role, "target_id": test.target, "session_id": "s", "request": "x",
		})
		t.Run(test.by+" to "+test.target, func(t *testing.T) { isRefusedWith(t, p.heard(), "") })
	}
	for name, p := range clients {
		hears(t, name, p)
	}
	if n := runs.Load(); n != 0 {
		t.Errorf("%d tasks ran", n)
	}
}

// TestUnscopedDeviceInfoOverWebSockets: what is known of a device is for the
// constellations that have named it: not for devices, others, or those that have
// named none (spec 5.12, and section 8, D14); with an Authorize, that decides
// about the last.
func TestUnscopedDeviceInfoOverWebSockets(t *testing.T) {
	for _, authorize := range []bool{false, true} {
		t.Run(fmt.Sprintf("Authorize %t", authorize), func(t *testing.T) {
			options := &ServerOptions{Handler: noTasks}
			if authorize {
				options.Authorize = func(_ context.Context, a Access) error {
					if a.Requester.ID == "free" && a.DeviceID != "dev" {
						return errSecretReason
					}
					return nil
				}
			}
			url := overHTTP(t, startServer(t, options))
			for _, id := range []string{"dev", "other"} {
				m := register(id)
				m["metadata"] = object{"system_info": object{"hostname": "host of " + id}}
				dialled(t, url, "").joins(m)
			}
			clients := map[string]*peer{
				"device": dialled(t, url, "").joins(register("third")),
				"con":    dialled(t, url, "").joins(constellationOf("con", "dev")),
				"free":   dialled(t, url, "").joins(constellationOf("free", "")),
			}
			for who, p := range clients {
				role := "constellation"
				if who == "device" {
					role = "device"
				}
				for _, target := range []string{"dev", "other", "ghost", "third", "con", ""} {
					p.send(object{
						"type": "device_info_request", "status": "ok", "client_type": role, "target_id": target, "request_id": "q",
					})
					heard := p.heard()
					allowed := target == "dev" && (who == "con" || who == "free" && authorize)
					if len(heard) != 1 || heard[0]["response_id"] != "q" {
						t.Fatalf("%s was told %v about %q", who, heard, target)
					}
					told := strings.Contains(fmt.Sprint(heard[0]["result"]), "host of "+target)
					if told != allowed || (heard[0]["type"] == "error") == allowed {
						t.Errorf("%s was told %v about %q", who, heard, target)
					}
				}
			}
		})
	}
}

// TestSquattedSessionOverWebSockets: a session belongs to who made it, as long as
// it lasts: nobody else can join it, end it, or be told of it, and the owner
// notices nothing. Results make no session that somebody else would run into
// (spec 5.9, 5.11).
func TestSquattedSessionOverWebSockets(t *testing.T) {
	server := startServer(t, &ServerOptions{Handler: commanding(1)})
	url := overHTTP(t, server)
	device := dialled(t, url, "").joins(register("dev"))
	other := dialled(t, url, "").joins(register("other"))
	owner := dialled(t, url, "").joins(constellationOf("con", "dev"))
	thief := dialled(t, url, "").joins(constellationOf("thief", "dev"))

	// A session that does not exist yet cannot be prepared by results.
	for _, p := range []*peer{other, device} {
		p.send(object{"type": "command_results", "status": "completed", "session_id": "s", "prev_response_id": "r", "action_results": []any{object{"status": "success"}}})
		hears(t, "who sent results of no session", p)
	}
	for range 2 { // The id is free again each time.
		owner.task("dev", "s", "work")
		owner.accepted("s")
		command := device.expect(object{"type": "command", "session_id": "s"})
		for name, p := range map[string]*peer{"another constellation": thief, "another device": other, "the device itself": device} {
			m := object{"type": "task", "status": "continue", "session_id": "s", "request": "steal", "request_id": "q"}
			if p == thief {
				m["client_type"], m["target_id"] = "constellation", "dev"
			}
			p.send(m)
			t.Run(name, func(t *testing.T) { isRefusedWith(t, p.heard(), "owned by another client") })
			m["type"], m["status"] = "task_end", "completed"
			p.send(m)
			t.Run(name+", end", func(t *testing.T) { isRefusedWith(t, p.heard(), "") })
		}
		hears(t, "the owner", owner)
		device.answer(command, "mine")
		if end := owner.expect(object{"type": "task_end", "status": "completed", "session_id": "s"}); fmt.Sprint(end["result"]) != `"mine"` {
			t.Errorf("the end is %v", end)
		}
		device.expect(object{"type": "task_end", "status": "completed", "session_id": "s"})
		hears(t, "the thief", thief)
		hears(t, "the other device", other)
	}
}

// TestForgedResultsOverWebSockets: a command is answered by the device that runs
// it, as that command, once (spec 5.11).
func TestForgedResultsOverWebSockets(t *testing.T) {
	url := overHTTP(t, startServer(t, &ServerOptions{Handler: commanding(1)}))
	device := dialled(t, url, "").joins(register("dev"))
	other := dialled(t, url, "").joins(register("other"))
	owner := dialled(t, url, "").joins(constellationOf("con", "dev"))
	owner.task("dev", "s", "work")
	owner.accepted("s")
	command := device.expect(object{"type": "command"})
	forge := func(p *peer, change object) {
		call := command["actions"].([]any)[0].(map[string]any)
		m := object{
			"type": "command_results", "status": "continue", "session_id": "s", "prev_response_id": command["response_id"],
			"action_results": []any{object{"status": "success", "result": "forged", "call_id": call["call_id"]}},
		}
		for key, value := range change {
			m[key] = value
		}
		p.send(m)
		p.heard()
	}
	forge(other, nil)
	forge(other, object{"client_id": "dev"})
	forge(owner, object{"client_type": "constellation"})
	forge(owner, object{"client_id": "dev", "client_type": "device"})
	forge(device, object{"session_id": "other"})
	forge(device, object{"prev_response_id": "other"})
	forge(device, object{"prev_response_id": nil})
	device.answer(command, "genuine")
	forge(device, nil)
	if end := owner.expect(object{"type": "task_end", "status": "completed"}); strings.Contains(fmt.Sprint(end), "forged") {
		t.Errorf("the end is %v", end)
	}
}

// TestDuplicateRegistrationOverWebSockets: of many who come under one id at the
// same time one is registered, and the others are told so; they do not disturb it,
// and the id is free when it has left (spec 5.6).
func TestDuplicateRegistrationOverWebSockets(t *testing.T) {
	server := startServer(t, &ServerOptions{Handler: noTasks})
	url := overHTTP(t, server)
	for range 2 {
		var (
			all     sync.WaitGroup
			mu      sync.Mutex
			winners []*peer
		)
		for range 16 {
			p := dialled(t, url, "")
			all.Go(func() {
				p.send(register("dev"))
				m, err := p.next()
				if err != nil {
					t.Errorf("receiving: %v", err)
				} else if m["type"] == "heartbeat" {
					mu.Lock()
					winners = append(winners, p)
					mu.Unlock()
				} else if !strings.Contains(fmt.Sprint(m["error"]), "already registered") {
					t.Errorf("got %v", m)
				} else if _, err := p.next(); !isClose(err, transport.StatusNormal) {
					t.Errorf("the connection ended with %v", err)
				}
			})
		}
		all.Wait()
		if len(winners) != 1 || len(server.Clients()) != 1 {
			t.Fatalf("%d clients are confirmed, %d registered", len(winners), len(server.Clients()))
		}
		again := register("dev")
		winners[0].send(again) // A client registers once, too.
		isRefusedWith(t, winners[0].heard(), "")
		winners[0].close()
		until(t, func() bool { return len(server.Clients()) == 0 })
	}
}

func isClose(err error, code transport.StatusCode) bool {
	var end *transport.CloseError
	return errors.As(err, &end) && end.Code == code
}

// until waits for what another goroutine does soon.
func until(t *testing.T, so func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ctx := soon(t); !so(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it does not happen")
		}
	}
}

// TestHalfOpenTakeoverOverWebSockets: a connection that is reset, without a word,
// leaves a session to which its owner comes back: with its own credentials, and
// nobody with others.
func TestHalfOpenTakeoverOverWebSockets(t *testing.T) {
	detached := make(chan struct{}, 1)
	server := startServer(t, &ServerOptions{
		Handler: noTasks, Authenticate: tokens(t, map[string]Principal{"of-owner": *anyone("owner"), "of-thief": *anyone("thief")}),
		Observer: func(e Event) {
			if e.Kind == EventDetached {
				detached <- struct{}{}
			}
		},
	})
	url := overHTTP(t, server)
	thieves := func(token string) {
		t.Helper()
		for _, m := range []object{register("dev"), constellationOf("dev", ""), offering("dev", "device", "", token)} {
			p := dialled(t, url, "of-thief")
			p.send(m)
			p.expectRefusal()
		}
	}
	old := dialled(t, url, "of-owner")
	old.send(offering("dev", "device", "", ""))
	token, _ := old.joined()
	thieves(token)
	old.tr.(transport.Aborter).Abort(errCut)
	<-detached
	thieves(token)
	back := dialled(t, url, "of-owner")
	back.send(offering("dev", "device", "", token))
	if _, resumed := back.joined(); !resumed {
		t.Error("the session is lost")
	}
	thieves(token)
}

// TestRegistrationFloodOverWebSockets: who registers too often is sent away, from
// whichever of its connections, and others register meanwhile.
func TestRegistrationFloodOverWebSockets(t *testing.T) {
	const allowed = 5
	r := &recorder{}
	server := startServer(t, &ServerOptions{
		Handler: noTasks, Observer: r.observe, Limits: &Limits{RegistrationsPerMinute: allowed},
		Authenticate: tokens(t, map[string]Principal{"of-flooder": *anyone("flooder"), "of-other": *anyone("other")}),
	})
	url := overHTTP(t, server)
	sentAway := 0
	for i := range 4 * allowed {
		p := dialled(t, url, "of-flooder")
		p.send(register(fmt.Sprint("d", i)))
		if _, err := p.next(); isClose(err, transport.StatusTryAgainLater) {
			sentAway++
		} else if err != nil {
			t.Errorf("the connection ended with %v", err)
		}
		_ = p.tr.Close()
	}
	// The bucket has filled by not even one in that time.
	if sentAway < 3*allowed-1 {
		t.Errorf("%d were sent away", sentAway)
	}
	stillOpen(dialled(t, url, "of-other").joins(register("other")))
	if n := len(r.of(EventRegistered)); n > allowed+2 {
		t.Errorf("%d were registered", n)
	}
}

// reset closes a TCP connection without a word.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
