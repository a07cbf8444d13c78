package interop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport/websocket"
)

// The tests of this file are lines of section 9.3: commands and tasks of a
// server of this SDK for the reference's device client.

// TestProgramCommand: a COMMAND has what the program needs to run it (9.3.4).
func TestProgramCommand(t *testing.T) {
	for platform, agent := range map[string]string{"linux": "LinuxAgent", "windows": "HostAgent", "mobile": "MobileAgent"} {
		t.Run(platform, func(t *testing.T) {
			server := serve(t, endpoint.ServerOptions{Handler: doing(
				command("execute_command", object{"command": "echo 1"}),
				messages.Command{ToolName: "list_tools", ToolType: messages.ToolDataCollection},
				messages.Command{ToolType: messages.ToolAction},
			)}, websocket.Options{})
			p := server.device(t, "dev", "--platform", platform)
			ownTask(p, "x")
			m := p.receives("command", with("status", "continue"), with("agent_name", agent))
			for _, field := range []string{"session_id", "response_id", "timestamp", "task_name"} {
				if text, _ := m[field].(string); text == "" {
					t.Errorf("%s is %v", field, m[field])
				}
			}
			ids := map[any]bool{}
			for _, action := range m["actions"].([]any) {
				ids[action.(object)["call_id"]] = true
			}
			if len(ids) != 3 || ids[nil] || ids[""] {
				t.Errorf("the call ids are %v", ids)
			}
			r := results(t, p.receives("task_end", with("status", "completed")))
			tools, _ := r[1]["result"].([]any)
			if len(r) != 3 || r[0]["result"] != "1" || len(tools) == 0 || r[2]["result"] != "No action taken." {
				t.Errorf("the results are %v", r)
			}
		})
	}
}

// TestProgramSilence: a program that does not have a tool stays silent; the
// command ends by its timeout (9.3.4).
func TestProgramSilence(t *testing.T) {
	failures := make(chan error, 1)
	server := serve(t, endpoint.ServerOptions{
		CommandTimeout: 300 * time.Millisecond,
		Handler: func(ctx context.Context, task *endpoint.Task) (any, error) {
			_, err := task.Do(ctx, command("unheard of", nil))
			failures <- err
			return nil, err
		},
	}, websocket.Options{})
	p := server.device(t, "dev")
	ownTask(p, "x")
	p.happens("silent")
	p.receives("task_end", with("status", "failed"))
	if err := <-failures; !errors.Is(err, endpoint.ErrCommandTimeout) {
		t.Errorf("Do returned %v", err)
	}
}

// TestProgramOneCommandAtATime: of two tasks that command one device at the same
// time, the second's COMMAND is sent after the first's results; they come with
// the status and the ids of the COMMAND, and with skipped ones (9.3.5).
func TestProgramOneCommandAtATime(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{Handler: doing(
		command("sleep", object{"seconds": 0.1}), command("fail", object{"text": "no"}), command("sleep", object{"seconds": 9}),
	)}, websocket.Options{})
	p := server.device(t, "dev")
	for range 2 {
		ownTask(p, "x")
	}
	for range 2 {
		m := p.receives("command")
		answer := p.sends("command_results")
		for field, of := range map[string]string{"status": "status", "session_id": "session_id", "prev_response_id": "response_id"} {
			if answer[field] != m[of] {
				t.Errorf("%s is %v, not %v", field, answer[field], m[of])
			}
		}
		var got []string
		for _, r := range results(t, answer) {
			got = append(got, r["status"].(string))
		}
		if !slices.Equal(got, []string{"success", "failure", "skipped"}) {
			t.Errorf("the results are %v", got)
		}
		p.receives("task_end", with("status", "completed"), with("session_id", m["session_id"]))
	}
	outstanding := 0
	for _, h := range p.all() {
		switch {
		case message("received", "command")(h):
			if outstanding++; outstanding > 1 {
				t.Error("a COMMAND came before the results of the one before")
			}
		case message("sent", "command_results")(h):
			outstanding--
		}
	}
}

// TestProgramOwnTask: a program's own TASK, without a session and with a
// request_id, is acknowledged with a session, driven, and ended once (9.3.6).
func TestProgramOwnTask(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	p := server.device(t, "dev")
	ownTask(p, "hello")
	task := p.sends("task", with("session_id", nil))
	if task["request_id"] == nil {
		t.Errorf("the program sent %v", task)
	}
	ack := p.receives("heartbeat", func(m object) bool { return m["session_id"] != nil })
	p.receives("command", with("session_id", ack["session_id"]), with("task_name", "own"))
	end := p.receives("task_end", with("session_id", ack["session_id"]), with("status", "completed"))
	if r := results(t, end); r[0]["result"] != "hello" || end["error"] != nil {
		t.Errorf("the end is %v", end)
	}
	ownTask(p, "again")
	p.receives("task_end", with("status", "completed"))
	if n := p.received("task_end", with("session_id", ack["session_id"])); n != 1 {
		t.Errorf("%d ends for one session", n)
	}
}

// TestProgramDispatch: a task that comes over HTTP is handed to the program,
// whose own TASK, without a session, is recognised by its name and driven; the
// caller finds the result (9.3.6).
func TestProgramDispatch(t *testing.T) {
	server := serve(t, endpoint.ServerOptions{}, websocket.Options{})
	p := server.device(t, "dev")
	if online := call(t, server.api+"/clients", "GET", key, nil); fmt.Sprint(online["online_clients"]) != "[dev]" {
		t.Errorf("online are %v", online)
	}
	dispatched := call(t, server.api+"/dispatch", "POST", key, object{"client_id": "dev", "request": "hello", "task_name": "n"})
	if dispatched["status"] != "dispatched" || dispatched["task_name"] != "n" || dispatched["client_id"] != "dev" {
		t.Errorf("the answer is %v", dispatched)
	}
	p.receives("task", with("user_request", "hello"), with("task_name", "n"))
	p.sends("task", with("request", "hello"), with("task_name", "n"), with("session_id", nil))
	session := with("session_id", dispatched["session_id"])
	p.receives("heartbeat", with("status", "ok"), session)
	p.receives("command", session, with("task_name", "n"))
	end := p.receives("task_end", with("status", "completed"), session)
	if r := results(t, end); r[0]["result"] != "hello" {
		t.Errorf("the result is %v", r)
	}
	var done object
	for ctx := within(t); done["status"] != "done" && ctx.Err() == nil; { // callers ask again and again
		done = call(t, server.api+"/task_result/n", "GET", key, nil)
	}
	if done["status"] != "done" || fmt.Sprint(done["result"]) != fmt.Sprint(end["result"]) {
		t.Errorf("the result is %v, not %v", done, end["result"])
	}
}
