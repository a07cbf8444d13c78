package endpoint

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// recordedHandler does what the session of the recording did: two commands of
// one action each, or a pause.
func recordedHandler(ctx context.Context, task *Task) (any, error) {
	if task.Request == "sleep 0.2" {
		select {
		case <-time.After(200 * time.Millisecond):
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for _, text := range []string{"echo 0", "echo 1"} {
		parameters, err := messages.NewValue(map[string]string{"command": text})
		if err != nil {
			return nil, err
		}
		if _, err := task.Do(ctx, messages.Command{
			ToolName: "execute_command", ToolType: messages.ToolAction, Parameters: parameters,
		}); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// difference is what our server deliberately does otherwise than the
// recording's.
type difference struct {
	drop    bool   // it does not send the recorded message
	instead object // it sends this instead
	also    object // it sends this after the recorded message
	why     string
}

// deliberate returns the difference in the recorded message m.
func deliberate(f frame, m object) difference {
	failed := func(session string) object {
		return object{"type": "task_end", "status": "failed", "session_id": session}
	}
	const alwaysEnded = "a refused task that has a session also ends (spec 9.4.4)"
	switch text := m["error"]; {
	case text == "client_type does not match the registered connection":
		// All those recorded are refused heartbeats.
		return difference{
			instead: object{"type": "heartbeat", "status": "ok"},
			why:     "heartbeats are answered whatever role they claim (spec 9.4.2)",
		}
	case text == "Target device 'ghost' is not connected" && f.Conn == 4,
		text == "Constellation tasks may only target device clients":
		return difference{also: failed("s0"), why: alwaysEnded}
	case text == "session_id 'sA' is owned by another client":
		return difference{also: failed("sA"), why: alwaysEnded}
	case text == "boom":
		return difference{drop: true, why: "errors are not answered (spec 8, D39)"}
	case m["type"] == "task":
		return difference{drop: true, why: "there is no HTTP dispatch in this test"}
	default:
		return difference{}
	}
}

// TestCapturedClients plays the clients' side of the recordings against the
// server, at the recorded times, and compares what the server sends.
func TestCapturedClients(t *testing.T) {
	for name, differences := range map[string]int{"task_flow.jsonl": 3, "refusals_and_losses.jsonl": 6} {
		t.Run(name, func(t *testing.T) {
			frames := readCapture(t, name)
			synctest.Test(t, func(t *testing.T) {
				if n := playClients(t, frames); n != differences {
					t.Errorf("met %d deliberate differences, want %d", n, differences)
				}
			})
		})
	}
}

// playClients returns how many deliberate differences it met.
func playClients(t *testing.T, frames []frame) (differences int) {
	server := startServer(t, &ServerOptions{Handler: recordedHandler})
	start, conns, known := time.Now(), map[int]*peer{}, ids{}
	closed := map[int]bool{}
	// What a device lost in a task means for the requester: the recording's
	// server forgot it (spec 8, D8).
	lost := object{
		"type": "task_end", "status": "failed", "session_id": "sA",
		"error": "Task was cancelled because target device disconnected",
	}
	for _, f := range frames {
		p := conns[f.Conn]
		switch {
		case f.Open:
			conns[f.Conn] = server.connect()
		case f.From == "client" && f.Text != "":
			<-time.After(time.Until(start.Add(f.at())))
			p.sendText(translateText(t, known, f.Text))
		case f.From == "client" && f.Close != nil && !closed[f.Conn]:
			closed[f.Conn] = true
			if f.Close.Code == 1006 {
				p.tr.(*transport.Memory).Abort(context.Canceled)
			} else {
				if f.Conn == 4 {
					p.expect(lost)
				}
				p.close()
			}
			synctest.Wait()
		case f.From == "server" && f.Close != nil && !closed[f.Conn]:
			closed[f.Conn] = true
			if code := p.expectClose(); int(code) != f.Close.Code {
				t.Errorf("line %d: closed with %v, recorded is %d", f.line, code, f.Close.Code)
			}
		case f.From == "server" && f.Text != "":
			want := parse(t, f.Text)
			d := deliberate(f, want)
			if d.why != "" {
				differences++
			}
			switch {
			case d.drop:
				continue
			case d.instead != nil:
				p.expect(d.instead)
				continue
			}
			compareServer(t, f.line, known, want, p.receive())
			if d.also != nil {
				p.expect(d.also)
			}
		}
	}
	synctest.Wait()
	if left := server.Clients(); len(left) != 0 {
		t.Errorf("these clients are left: %v", left)
	}
	return differences
}

func translateText(t *testing.T, known ids, text string) string {
	m := object{}
	if unmarshal(text, &m) != nil {
		return text // it is meant to be broken
	}
	return marshal(t, known.translate(m))
}

// compareServer compares a message of our server with a recorded one. Ids that
// a server makes up are learnt, texts of errors are the server's own.
func compareServer(t *testing.T, line int, known ids, want, got object) {
	t.Helper()
	known.learn(want["response_id"], got["response_id"])
	if want["type"] == "heartbeat" {
		known.learn(want["session_id"], got["session_id"])
	}
	wantIDs, gotIDs := callIDs(want), callIDs(got)
	for i := range min(len(wantIDs), len(gotIDs)) {
		known.learn(wantIDs[i], gotIDs[i])
	}
	if want["type"] == "command" {
		// The recording's server makes a name up where there was none, and
		// says "" where ours says nothing.
		if len(want["task_name"].(string)) == 36 {
			known.learn(want["task_name"], got["task_name"])
		}
		delete(want, "process_name")
		delete(want, "root_name")
	}
	if want["type"] == "error" {
		if got["error"] == "" {
			t.Errorf("line %d: the error says nothing", line)
		}
		// Ours also carries what it is about (spec 8, D6).
		delete(want, "error")
		delete(got, "error")
		delete(got, "session_id")
	}
	if translated := known.translate(want); !reflect.DeepEqual(translated, got) {
		t.Errorf("line %d:\n got %v\nwant %v", line, got, translated)
	}
}
