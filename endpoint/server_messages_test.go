package endpoint

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

// TestRefusedMessages: what a registered client may not send is answered with
// an error that names what it is about, and the connection stays open.
func TestRefusedMessages(t *testing.T) {
	constellation := func(m object) object { m["client_type"] = "constellation"; return m }
	tests := map[string]struct {
		device bool // sent by the device, else by the constellation
		m      any  // an object, or text
		id     any  // the error's response_id, if it is known
		taskEnd,
		session any
	}{
		"wrong id":                    {device: true, m: object{"type": "heartbeat", "status": "ok", "client_id": "evil"}},
		"wrong id in a task":          {device: true, m: object{"type": "task", "status": "continue", "client_id": "evil", "request_id": "q", "session_id": "s"}, id: "q", session: "s", taskEnd: true},
		"device claims other role":    {device: true, m: constellation(object{"type": "task", "status": "continue", "target_id": "dev", "request": "x"})},
		"constellation claims device": {m: object{"type": "task", "status": "continue", "target_id": "dev", "request": "x", "session_id": "s"}, session: "s", taskEnd: true},
		"device targets a peer":       {device: true, m: object{"type": "task", "status": "continue", "target_id": "other", "request": "x", "request_id": "q"}, id: "q"},
		"task without target":         {m: constellation(object{"type": "task", "status": "continue", "request": "x", "session_id": "s"}), session: "s", taskEnd: true},
		"task for another device":     {m: constellation(object{"type": "task", "status": "continue", "request": "x", "session_id": "s", "target_id": "other"}), session: "s", taskEnd: true},
		"task for who is not there":   {m: constellation(object{"type": "task", "status": "continue", "request": "x", "target_id": "ghost"})},
		"device asks for info":        {device: true, m: object{"type": "device_info_request", "status": "ok", "target_id": "dev", "request_id": "R"}, id: "R"},
		"info about another device":   {m: constellation(object{"type": "device_info_request", "status": "ok", "target_id": "other", "request_id": "R"}), id: "R"},
		"info about nobody":           {m: constellation(object{"type": "device_info_request", "status": "ok", "request_id": "R"}), id: "R"},
		"second registration":         {device: true, m: register("dev")},
		"task_end":                    {device: true, m: object{"type": "task_end", "status": "completed", "session_id": "s"}, session: "s"},
		"unknown type":                {device: true, m: object{"type": "nope", "status": "ok", "request_id": "q"}, id: "q"},
		"server's type":               {device: true, m: object{"type": "command", "status": "continue"}},
		"no status":                   {device: true, m: object{"type": "heartbeat"}},
		"invalid task":                {device: true, m: object{"type": "task", "session_id": "s"}, session: "s", taskEnd: true},
		"wrong kind of field":         {device: true, m: object{"type": "heartbeat", "status": "ok", "client_id": 5}},
		"not JSON":                    {device: true, m: "{not json"},
		"two objects":                 {device: true, m: `{"type":"heartbeat","status":"ok"}{}`},
		"no object":                   {device: true, m: `"text"`},
		"empty":                       {device: true, m: ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := startServer(t, &ServerOptions{Handler: noTasks})
				p := server.device("dev")
				server.device("other")
				if !test.device {
					p = server.constellation("con", "dev")
				}
				if m, ok := test.m.(object); ok {
					p.send(m)
				} else {
					p.sendText(test.m.(string))
				}
				e := p.expect(object{"type": "error", "status": "error", "session_id": test.session})
				if e["error"] == nil || e["response_id"] == nil || test.id != nil && e["response_id"] != test.id {
					t.Errorf("the error is %v", e)
				}
				if test.taskEnd != nil {
					p.expect(object{"type": "task_end", "status": "failed", "session_id": test.session, "error": e["error"]})
				}
				stillOpen(p)
			})
		})
	}
}

// stillOpen checks that the connection works and that nothing else came.
func stillOpen(p *peer) {
	p.t.Helper()
	p.send(object{"type": "heartbeat", "status": "ok"})
	p.expect(object{"type": "heartbeat", "status": "ok", "session_id": nil})
}

// TestUnansweredMessages: these are taken note of, and no more.
func TestUnansweredMessages(t *testing.T) {
	tests := map[string]any{
		"error":                        object{"type": "error", "status": "error", "error": "boom"},
		"error with a wrong id":        object{"type": "error", "status": "error", "client_id": "evil"},
		"invalid error":                object{"type": "error", "session_id": 5},
		"info about itself":            object{"type": "device_info_response", "status": "ok", "metadata": object{"a": 1}},
		"results of no session":        object{"type": "command_results", "status": "ok", "session_id": "s", "prev_response_id": "r", "action_results": []any{}},
		"results of no command at all": object{"type": "command_results", "status": "ok"},
	}
	for name, m := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := startServer(t, &ServerOptions{Handler: noTasks}).device("dev")
				p.send(m.(object))
				p.expectNothing(time.Minute)
				stillOpen(p)
			})
		})
	}
}

// TestBinaryMessages: a binary message where text is due is refused, and the
// connection stays open (spec 8, D3).
func TestBinaryMessages(t *testing.T) {
	binary := func(s string) transport.Frame { return transport.Frame{Kind: transport.Binary, Data: []byte(s)} }
	tests := map[string][]transport.Frame{
		"JSON":        {binary(`{"type":"heartbeat","status":"ok"}`)},
		"rubbish":     {binary("\xff\x00")},
		"announced":   {text(`{"type":"binary_data","size":2}`), binary("ab")},
		"file's text": {text(`{"type":"file_transfer_start","filename":"f","size":0,"chunk_size":1,"total_chunks":0}`)},
	}
	for name, frames := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := startServer(t, &ServerOptions{Handler: noTasks}).device("dev")
				p.sendFrames(frames...)
				p.expect(object{"type": "error", "status": "error"})
				stillOpen(p)
			})
		})
	}
}

// TestHeartbeatsOfAnyRole: they are answered, whatever role they claim (spec
// 9.4.2).
func TestHeartbeatsOfAnyRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks})
		for _, p := range []*peer{server.device("dev"), server.constellation("con", "dev")} {
			for _, role := range []string{``, `"client_type":"device",`, `"client_type":"constellation",`} {
				p.sendText(`{` + role + `"type":"heartbeat","status":"ok","metadata":{"device_id":"dev"}}`)
				m := p.expect(object{"type": "heartbeat", "status": "ok", "session_id": nil, "error": nil})
				if m["response_id"] == nil {
					t.Errorf("the answer has no id: %v", m)
				}
			}
		}
	})
}

// TestDeviceInfo: the server answers from the registration.
func TestDeviceInfo(t *testing.T) {
	ask := func(p *peer, target string) map[string]any {
		p.send(object{"type": "device_info_request", "status": "ok", "client_type": "constellation", "target_id": target, "request_id": "R1"})
		m := p.expect(object{"type": "device_info_response", "status": "ok", "response_id": "R1"})
		return m["result"].(map[string]any)
	}
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks})
		server.device("dev")
		silent := server.connect()
		silent.send(register("silent"))
		silent.expect(object{"type": "heartbeat"})
		if got := ask(server.constellation("c1", "dev"), "dev"); got["hostname"] != "host of dev" {
			t.Errorf("got %v", got)
		}
		if got := ask(server.constellation("c2", "silent"), "silent"); got["error"] == nil {
			t.Errorf("got %v", got)
		}
	})
	// One that has named no device asks about those that Authorize allows.
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks, Authorize: func(context.Context, Access) error { return nil }})
		server.device("dev")
		free := server.constellation("c3", "")
		if got := ask(free, "dev"); got["hostname"] != "host of dev" {
			t.Errorf("got %v", got)
		}
		for _, nobody := range []string{"ghost", "c3"} {
			if got := ask(free, nobody); got["error"] == nil {
				t.Errorf("got %v", got)
			}
		}
	})
}

// TestErrorsHoldNothingReceived: what a client sent is not sent back in the
// text of an error (spec 8, D36).
func TestErrorsHoldNothingReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []Event
		p := startServer(t, &ServerOptions{Handler: noTasks, Observer: func(e Event) { seen = append(seen, e) }}).device("dev")
		p.sendText(`{"type":"topsecret","status":"ok"}`)
		e := p.expect(object{"type": "error"})
		synctest.Wait()
		last := seen[len(seen)-1]
		if last.Kind != EventRefused || last.ClientID != "dev" || last.Err == nil {
			t.Errorf("observed %+v", last)
		}
		for _, text := range []string{e["error"].(string), last.Err.Error()} {
			if strings.Contains(text, "topsecret") {
				t.Errorf("%q", text)
			}
		}
	})
}

// TestServeReturns: what Serve returns tells how the connection ended.
func TestServeReturns(t *testing.T) {
	cut := errors.New("cut")
	tests := map[string]struct {
		end  func(*peer)
		want error
	}{
		"closed": {func(p *peer) { p.close() }, nil},
		"gone":   {func(p *peer) { _ = p.tr.(transport.CodeCloser).CloseWith(transport.StatusGoingAway, "") }, nil},
		"lost":   {func(p *peer) { p.tr.(transport.Aborter).Abort(cut) }, io.ErrUnexpectedEOF},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := startServer(t, &ServerOptions{Handler: noTasks})
				p, result := server.connectResult()
				p.send(register("d"))
				p.expect(object{"type": "heartbeat"})
				test.end(p)
				if err := <-result; !errors.Is(err, test.want) {
					t.Errorf("Serve returned %v, want %v", err, test.want)
				}
			})
		})
	}
}
