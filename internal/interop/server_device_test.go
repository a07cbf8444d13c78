package interop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport/websocket"
)

// The tests of this file are lines of section 9.3: a server of this SDK for the
// reference's device client. Commands and tasks are in
// server_device_task_test.go.

// TestProgramToken: the token in the query lets a program in; without the right
// one it gets a 403 before the upgrade (9.3.1).
func TestProgramToken(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	server.device(t, "dev")
	for name, url := range map[string]string{
		"missing": server.bare, "empty": server.bare + "?token=", "wrong": server.bare + "?token=wrong",
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, "device", append(server.deviceArgs("other"), "--url", url)...)
			if failed := p.happens("failed"); failed.Status != 403 {
				t.Errorf("the handshake got %d: %s", failed.Status, failed.Reason)
			}
		})
	}
}

// TestProgramPings: both sides ping, and answer, while a command runs; the
// connection outlives ping timeouts shorter than the command (9.3.1, 9.3.7).
func TestProgramPings(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{
		Handler: doing(command("sleep", object{"seconds": 2})),
	}, websocket.Options{PingInterval: 200 * time.Millisecond, PingTimeout: 1500 * time.Millisecond})
	p := server.device(t, "dev", "--ping-interval", "0.2", "--ping-timeout", "1.5")
	pings, pongs := p.count(is("ping")), p.count(is("pong"))
	ownTask(p, "sleep")
	p.receives("task_end", with("status", "completed"))
	if pings, pongs = p.count(is("ping"))-pings, p.count(is("pong"))-pongs; pings < 3 || pongs < 3 {
		t.Errorf("during the command %d pings came and %d were answered", pings, pongs)
	}
}

// TestProgramLargeResults: results of 20 MiB, and a result of 20 MiB, pass in
// both directions, compressed and not (9.3.1).
func TestProgramLargeResults(t *testing.T) {
	const size = 20 << 20
	handler := func(ctx context.Context, task *endpoint.Task) (any, error) {
		results, err := task.Do(ctx, command("big", object{"size": size}))
		if err != nil {
			return nil, err
		}
		var text string
		if err := results[0].Result.Decode(&text); err != nil || len(text) != size || strings.Trim(text, "x") != "" {
			return nil, fmt.Errorf("%d characters came: %w", len(text), err)
		}
		return text, nil
	}
	for _, compression := range []bool{false, true} {
		t.Run(fmt.Sprintf("compression %t", compression), func(t *testing.T) {
			server := serve(t, endpoint.ServerOptions{Handler: handler}, websocket.Options{Compression: compression})
			p := server.device(t, "dev")
			ownTask(p, "big")
			sent := p.await(t, "results", func(h *happening) bool { return h.Event == "sent" && h.Size > size })
			end := p.await(t, "task_end", func(h *happening) bool { return h.Event == "received" && h.Size > size })
			if sent.Size > size+1000 || end.Size > size+1000 {
				t.Errorf("%d bytes sent, %d received", sent.Size, end.Size)
			}
		})
	}
}

// TestProgramCompression: the program offers compression; a server without it
// declines, one with it accepts, and a program need not offer it (9.3.1).
func TestProgramCompression(t *testing.T) {
	for _, compression := range []bool{false, true} {
		server := serve(t, endpoint.ServerOptions{}, websocket.Options{Compression: compression})
		for _, offered := range []bool{false, true} {
			t.Run(fmt.Sprintf("accepted %t, offered %t", compression, offered), func(t *testing.T) {
				args := []string{"--no-compression"}
				if offered {
					args = nil
				}
				p := server.device(t, fmt.Sprint("dev", offered), args...)
				open := p.happens("open")
				if got := strings.HasPrefix(open.Offered, "permessage-deflate"); got != offered {
					t.Errorf("offered %q", open.Offered)
				}
				if got := slices.Equal(open.Extensions, []string{"permessage-deflate"}); got != (compression && offered) {
					t.Errorf("agreed on %q", open.Extensions)
				}
				ownTask(p, "Grüße")
				end := p.receives("task_end", with("status", "completed"))
				if r := results(t, end); r[0]["result"] != "Grüße" {
					t.Errorf("the results are %v", r)
				}
			})
		}
	}
}

// TestProgramFrames: a message may come in fragments; one that comes as binary
// is refused, and the connection goes on (9.3.1).
func TestProgramFrames(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{Compression: true})
	p := server.device(t, "dev")
	p.receives("heartbeat") // the confirmation
	heartbeat := []string{`{"type":"heart`, `beat","sta`, `tus":"ok"}`}
	p.do("fragments", object{"texts": heartbeat})
	p.receives("heartbeat", with("status", "ok"))
	p.do("binary", object{"text": strings.Join(heartbeat, "")})
	p.receives("error")
	p.do("fragments", object{"texts": heartbeat})
	p.receives("heartbeat", with("status", "ok"))
}

// TestProgramRegistration: the one and first answer to a registration is its
// confirmation (9.3.2).
func TestProgramRegistration(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	p := start(t, "device", server.deviceArgs("dev")...)
	first := p.await(t, "an answer", is("received")).Message
	if first["type"] != "heartbeat" || first["status"] != "ok" || first["session_id"] != nil || first["error"] != nil {
		t.Errorf("the answer is %v", first)
	}
	p.happens("registered")
	clients := server.Clients()
	if len(clients) != 1 || clients[0].ID != "dev" || clients[0].Role != messages.Device || clients[0].Platform != "linux" {
		t.Errorf("the server knows %+v", clients)
	}
}

// TestProgramDuplicate: the second program of one id gets an error, then a
// close with 1000; the first one is untouched (9.3.2).
func TestProgramDuplicate(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	first := server.device(t, "dev")
	second := start(t, "device", server.deviceArgs("dev")...)
	second.happens("refused")
	if end := second.happens("closed"); end.Code != 1000 {
		t.Errorf("closed with %d %s", end.Code, end.Reason)
	}
	if n := second.count(is("received")); n != 1 {
		t.Errorf("%d messages came before the close", n)
	}
	ownTask(first, "still here")
	first.receives("task_end", with("status", "completed"))
}

// TestProgramCloseCodes: what the program sees when a connection ends: 1008
// after a first message that is no registration, 1001 from a server that
// closes, and the server sees the 1000 of a program (9.3.2).
func TestProgramCloseCodes(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	leaving, staying := server.device(t, "leaving"), server.device(t, "staying")
	leaving.do("close", object{"code": 1000})
	if e := server.observes(t, endpoint.EventDisconnected, "leaving"); e.Err != nil {
		t.Errorf("the end of a program that closed is %v", e.Err)
	}
	stranger := start(t, "stranger", "--url", server.url, "--text", `{"type":"heartbeat","status":"ok","client_id":"x"}`)
	if end := stranger.happens("closed"); end.Code != 1008 {
		t.Errorf("the stranger saw %d %s", end.Code, end.Reason)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if end := staying.happens("closed"); end.Code != 1001 {
		t.Errorf("the program saw %d %s", end.Code, end.Reason)
	}
}

// TestProgramValidFrames: every frame that a server sends during registration,
// heartbeats, a task with failures, and refusals is a ServerMessage of the
// program's model without an unknown field, and text (9.3.3). The programs of
// all tests check that; this one has them all come.
func TestProgramValidFrames(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{
		Handler: doing(command("fail", object{"text": "no"}), command("give", object{"value": []any{nil, 1.5, "ä"}})),
	}, websocket.Options{})
	p := server.device(t, "dev", "--heartbeat", "0.1")
	ownTask(p, "x")
	p.receives("task_end")
	p.receives("heartbeat")
	p.do("raw", object{"text": `{"type":"task","status":"continue","client_id":"somebody else"}`})
	p.receives("error")
	p.do("raw", object{"text": "{"})
	p.receives("error")
	p.do("raw", object{"text": `{"type":"device_info_request","status":"ok"}`})
	p.receives("error")
	p.stop()
	for _, kind := range []string{"heartbeat", "command", "task_end", "error"} {
		if p.received(kind) == 0 {
			t.Errorf("no %s came", kind)
		}
	}
	if n := p.count(is("unknown")) + p.count(is("invalid")); n != 0 {
		t.Errorf("%d frames are not of the model", n)
	}
}

// TestProgramHeartbeats: heartbeats are answered one by one (9.3.7).
func TestProgramHeartbeats(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	p := server.device(t, "dev", "--heartbeat", "0.1")
	p.receives("heartbeat") // the confirmation
	for range 3 {
		p.sends("heartbeat", with("client_type", "device"), with("metadata", nil))
		p.receives("heartbeat", with("status", "ok"), with("session_id", nil))
		server.observes(t, endpoint.EventHeartbeat, "dev")
	}
}

// TestProgramQuiet: a program without heartbeats stays, as long as its pongs
// come; silence between them is no loss (9.3.7).
func TestProgramQuiet(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{PingInterval: 100 * time.Millisecond, PingTimeout: 5 * time.Second})
	p := server.device(t, "dev")
	for range 10 {
		p.happens("ping")
	}
	if clients := server.Clients(); len(clients) != 1 {
		t.Errorf("the server knows %+v", clients)
	}
}

// TestProgramInfo: what a device says of itself comes with its registration,
// and one that says nothing is taken, too; its tasks end with task_end, failed
// ones as well (9.3.8).
func TestProgramInfo(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{
		Handler: func(context.Context, *endpoint.Task) (any, error) { return nil, errors.New("no luck") },
	}, websocket.Options{})
	p := server.device(t, "dev")
	server.device(t, "mute", "--bare")
	clients := server.Clients()
	if info := clients[0].SystemInfo.String(); !strings.Contains(info, `"hostname":"host of dev"`) || !clients[1].SystemInfo.IsZero() {
		t.Errorf("the server knows %+v", clients)
	}
	ownTask(p, "x")
	if end := p.receives("task_end", with("status", "failed")); end["error"] != "no luck" {
		t.Errorf("the end is %v", end)
	}
}

// TestProgramComesBack: a program that was killed can register at once; its
// task ends as failed (9.3.9).
func TestProgramComesBack(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{Handler: doing(command("sleep", object{"seconds": 20}))}, websocket.Options{})
	p := server.device(t, "dev")
	ownTask(p, "x")
	p.receives("command")
	p.kill()
	if e := server.observes(t, endpoint.EventTaskEnded, "dev"); !errors.Is(e.Err, endpoint.ErrDeviceLost) {
		t.Errorf("the task ended with %v", e.Err)
	}
	server.observes(t, endpoint.EventDisconnected, "dev")
	server.device(t, "dev")
}

// TestProgramHalfOpen: a program that stands still is given up by its pings,
// and a new one of the same id, which tries as the reference does, gets in
// (9.3.9).
func TestProgramHalfOpen(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{PingInterval: 200 * time.Millisecond, PingTimeout: 500 * time.Millisecond})
	old := server.device(t, "dev")
	old.signal(syscall.SIGSTOP)
	t.Cleanup(old.kill)
	server.device(t, "dev", "--max-retries", "5", "--backoff", "0.1")
}
