package endpoint

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// call is a command's action for tests.
func call(tool string) messages.Command {
	return messages.Command{ToolName: tool, ToolType: messages.ToolAction}
}

// untilCancelled waits for the end of the context and returns its cause.
func untilCancelled(ctx context.Context, _ *Task) (any, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// recorder keeps events.
type recorder struct {
	mu     sync.Mutex
	events []Event
}

func (r *recorder) observe(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// of returns the events of a kind.
func (r *recorder) of(kind EventKind) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Event
	for _, e := range r.events {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// trio is a server with a device and a constellation for it.
func trio(t *testing.T, options *ServerOptions) (server *testServer, device, constellation *peer) {
	server = startServer(t, options)
	device = server.device("dev")
	return server, device, server.constellation("con", "dev")
}

// accepted waits for the ack of a task.
func (p *peer) accepted(session string) {
	p.t.Helper()
	p.expect(object{"type": "heartbeat", "status": "ok", "session_id": session})
}

// TestTaskEnds: what a handler returns is how the task ends, once, for the
// requester and for the device.
func TestTaskEnds(t *testing.T) {
	tests := map[string]struct {
		handler TaskHandler
		status  string
		err     string // part of the error
		result  string // JSON; "" for any
	}{
		"result":       {func(context.Context, *Task) (any, error) { return map[string]int{"n": 1}, nil }, "completed", "", `{"n":1}`},
		"false result": {func(context.Context, *Task) (any, error) { return false, nil }, "completed", "", `false`},
		"no result":    {func(context.Context, *Task) (any, error) { return nil, nil }, "completed", "", `[]`},
		"error":        {func(context.Context, *Task) (any, error) { return 1, errors.New("no luck") }, "failed", "no luck", `[]`},
		"empty error":  {func(context.Context, *Task) (any, error) { return nil, errors.New("") }, "failed", "without a reason", `[]`},
		"panic":        {func(context.Context, *Task) (any, error) { panic("secret") }, "failed", "unexpectedly", `[]`},
		"unencodable":  {func(context.Context, *Task) (any, error) { return func() {}, nil }, "failed", "cannot be sent", `[]`},
		"bad UTF-8":    {func(context.Context, *Task) (any, error) { return "\xff", nil }, "completed", "", "\"\ufffd\""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{}
				_, device, constellation := trio(t, &ServerOptions{Handler: test.handler, Observer: r.observe})
				constellation.task("dev", "s", "work")
				constellation.accepted("s")
				end := constellation.expect(object{"type": "task_end", "status": test.status, "session_id": "s"})
				if text, _ := end["error"].(string); !strings.Contains(text, test.err) || (text == "") != (test.err == "") || strings.Contains(text, "secret") {
					t.Errorf("the error is %q", text)
				}
				if got := marshal(t, end["result"]); got != test.result {
					t.Errorf("the result is %s", got)
				}
				if same := device.receive(); !reflect.DeepEqual(same, end) {
					t.Errorf("the device got %v\nthe requester %v", same, end)
				}
				constellation.expectNothing(time.Hour)
				device.expectNothing(time.Hour)
				if ends := r.of(EventTaskEnded); len(ends) != 1 || string(ends[0].Status) != test.status || (ends[0].Err == nil) != (test.err == "") {
					t.Errorf("observed %+v", ends)
				}
			})
		})
	}
}

// TestTask: what a handler is given.
func TestTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got Task
		_, _, constellation := trio(t, &ServerOptions{Handler: func(_ context.Context, task *Task) (any, error) {
			got = *task
			return nil, nil
		}})
		constellation.send(object{
			"type": "task", "status": "continue", "client_type": "constellation", "target_id": "dev",
			"session_id": "s", "request": "work", "task_name": "../../etc/passwd", "metadata": object{"a": 1},
		})
		constellation.accepted("s")
		constellation.expect(object{"type": "task_end"})
		if got.SessionID != "s" || got.Name != "_.._etc_passwd" || got.Request != "work" || got.Metadata.String() != `{"a":1}` ||
			got.Requester.ID != "con" || got.Device.ID != "dev" || got.Device.Platform != "linux" || got.AgentName != "LinuxAgent" {
			t.Errorf("the handler got %+v", got)
		}
	})
}

// TestAgent: the set of tools is chosen by the device's platform.
func TestAgent(t *testing.T) {
	for platform, want := range map[string]string{
		"linux": "LinuxAgent", "mobile": "MobileAgent", "windows": "HostAgent", "": "HostAgent", "plan9": "LinuxAgent",
	} {
		synctest.Test(t, func(t *testing.T) {
			server := startServer(t, &ServerOptions{Handler: recordedHandler})
			p := server.connect()
			p.send(object{"type": "register", "status": "ok", "client_id": "d", "metadata": object{"platform": platform}})
			p.expect(object{"type": "heartbeat"})
			p.send(object{"type": "task", "status": "continue", "request": "x", "session_id": "s"})
			p.accepted("s")
			p.expect(object{"type": "command", "agent_name": want})
		})
	}
}

// TestDo: commands reach the device, and results the handler, in order.
func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var results []messages.Result
		_, device, constellation := trio(t, &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
			task.AgentName, task.ProcessName, task.RootName = "A", "P", "R"
			var err error
			results, err = task.Do(ctx, call("one"), call("two"), call("three"))
			return nil, err
		}})
		constellation.task("dev", "s", "work")
		constellation.accepted("s")
		command := device.expect(object{
			"type": "command", "status": "continue", "session_id": "s", "agent_name": "A", "process_name": "P", "root_name": "R",
		})
		ids := callIDs(command)
		device.send(object{
			"type": "command_results", "status": "continue", "session_id": "s", "prev_response_id": command["response_id"],
			"action_results": []any{
				object{"status": "success", "result": int64(12345678901234567), "call_id": ids[0]},
				object{"status": "failure", "error": "no", "call_id": ids[1], "namespace": "n"},
				object{"status": "skipped"},
			},
		})
		end := constellation.expect(object{"type": "task_end", "status": "completed"})
		if len(results) != 3 || results[0].Result.String() != "12345678901234567" || results[1].Error != "no" ||
			results[1].Status != messages.ResultFailure || results[2].CallID != ids[2] {
			t.Errorf("the handler got %+v", results)
		}
		rounds := end["result"].([]any)
		if round := rounds[0].(map[string]any); len(rounds) != 1 || round["request"] != "work" || len(round["result"].([]any)) != 3 {
			t.Errorf("the result is %v", rounds)
		}
	})
}

// TestDoFails: what goes wrong with a command is a CommandError that says so,
// and the connection stays open.
func TestDoFails(t *testing.T) {
	answer := func(results any) func(*peer, object) {
		return func(p *peer, command object) {
			p.send(object{
				"type": "command_results", "status": "continue", "session_id": command["session_id"],
				"prev_response_id": command["response_id"], "action_results": results,
			})
		}
	}
	var (
		mismatch *protocol.ResultsError
		remote   *protocol.RemoteError
	)
	success := object{"status": "success"}
	tests := map[string]struct {
		reply func(*peer, object)
		is    error
		as    any
	}{
		"nothing":        {func(*peer, object) {}, ErrCommandTimeout, nil},
		"no list":        {answer(nil), nil, &mismatch},
		"no results":     {answer([]any{}), nil, &mismatch},
		"too few":        {answer([]any{success}), nil, &mismatch},
		"too many":       {answer([]any{success, success, success}), nil, &mismatch},
		"of other calls": {answer([]any{success, object{"status": "success", "call_id": "x"}}), nil, &mismatch},
		"of one call twice": {func(p *peer, c object) {
			id := callIDs(c)[0]
			r := object{"status": "success", "call_id": id}
			answer([]any{r, r})(p, c)
		}, nil, &mismatch},
		"an error": {func(p *peer, c object) {
			p.send(object{"type": "error", "status": "error", "error": "boom", "prev_response_id": c["response_id"]})
		}, nil, &remote},
		"an error with the session": {func(p *peer, c object) {
			p.send(object{"type": "error", "status": "error", "error": "boom", "session_id": "s"})
		}, nil, &remote},
		"results of another command": {func(p *peer, c object) { c["response_id"] = "other"; answer([]any{success, success})(p, c) }, ErrCommandTimeout, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var failed error
				_, device, constellation := trio(t, &ServerOptions{
					CommandTimeout: 3 * time.Second,
					Handler: func(ctx context.Context, task *Task) (any, error) {
						_, failed = task.Do(ctx, call("one"), call("two"))
						return nil, failed
					},
				})
				constellation.task("dev", "s", "work")
				constellation.accepted("s")
				test.reply(device, device.expect(object{"type": "command"}))
				constellation.expect(object{"type": "task_end", "status": "failed"})
				device.expect(object{"type": "task_end", "status": "failed"})
				var command *CommandError
				if !errors.As(failed, &command) || command.DeviceID != "dev" || command.SessionID != "s" || command.ResponseID == "" {
					t.Errorf("Do returned %v", failed)
				}
				if test.is != nil && !errors.Is(failed, test.is) || test.as != nil && !errors.As(failed, test.as) {
					t.Errorf("Do returned %v", failed)
				}
				stillOpen(device)
			})
		})
	}
}

// TestDoNothing: a command without actions is refused before it is sent.
func TestDoNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed error
		_, device, constellation := trio(t, &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
			_, failed = task.Do(ctx)
			return nil, nil
		}})
		constellation.task("dev", "s", "work")
		constellation.accepted("s")
		constellation.expect(object{"type": "task_end", "status": "completed"})
		device.expect(object{"type": "task_end"})
		if !errors.Is(failed, messages.ErrInvalid) {
			t.Errorf("Do returned %v", failed)
		}
	})
}

// TestLateResults: results of a command that was given up are dropped.
func TestLateResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		_, device, constellation := trio(t, &ServerOptions{
			CommandTimeout: time.Second, Observer: r.observe,
			Handler: func(ctx context.Context, task *Task) (any, error) {
				_, first := task.Do(ctx, call("slow"))
				results, err := task.Do(ctx, call("quick"))
				return fmt.Sprint(errors.Is(first, ErrCommandTimeout), results[0].Result), err
			},
		})
		constellation.task("dev", "s", "work")
		constellation.accepted("s")
		slow := device.expect(object{"type": "command"})
		quick := device.expect(object{"type": "command"})
		device.answer(slow, "late")
		device.answer(quick, "in time")
		device.answer(quick, "again")
		constellation.expect(object{"type": "task_end", "status": "completed", "result": `true "in time"`})
		device.expect(object{"type": "task_end"})
		stillOpen(device)
		if dropped := r.of(EventResultsDropped); len(dropped) != 2 {
			t.Errorf("dropped %+v", dropped)
		}
	})
}

// TestForeignResults: only the device that runs a task can answer its commands
// (spec 5.11).
func TestForeignResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		server, device, constellation := trio(t, &ServerOptions{Handler: recordedHandler, Observer: r.observe})
		other := server.device("other")
		constellation.task("dev", "s", "work")
		constellation.accepted("s")
		command := device.expect(object{"type": "command"})
		other.answer(command, "forged")
		synctest.Wait()
		device.answer(command, "true")
		device.answerCommand("true")
		end := constellation.expect(object{"type": "task_end", "status": "completed"})
		if strings.Contains(marshal(t, end), "forged") {
			t.Errorf("the task ended with %v", end)
		}
		if dropped := r.of(EventResultsDropped); len(dropped) != 1 || dropped[0].ClientID != "other" {
			t.Errorf("dropped %+v", dropped)
		}
	})
}

// TestDeviceLoss: the requester is told at once, whatever the handler does.
func TestDeviceLoss(t *testing.T) {
	stuck := make(chan struct{})
	handlers := map[string]TaskHandler{
		"waiting for results": func(ctx context.Context, task *Task) (any, error) {
			_, err := task.Do(ctx, call("x"))
			if !errors.Is(err, ErrDeviceLost) {
				return nil, fmt.Errorf("Do returned %w", err)
			}
			return nil, err
		},
		"ignoring its context": func(_ context.Context, task *Task) (any, error) {
			<-stuck
			_, err := task.Do(context.Background(), call("x"))
			if !errors.Is(err, ErrDeviceLost) {
				t.Errorf("Do returned %v", err)
			}
			return "too late", nil
		},
		"watching its context": untilCancelled,
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stuck = make(chan struct{})
				_, device, constellation := trio(t, &ServerOptions{Handler: handler})
				constellation.task("dev", "s", "work")
				constellation.accepted("s")
				synctest.Wait()
				start := time.Now()
				device.tr.(transport.Aborter).Abort(errors.New("cut"))
				constellation.expect(object{
					"type": "task_end", "status": "failed", "session_id": "s",
					"error": "Task was cancelled because target device disconnected",
				})
				if took := time.Since(start); took != 0 {
					t.Errorf("the requester was told %v later", took)
				}
				close(stuck)
				constellation.expectNothing(time.Hour)
				stillOpen(constellation)
			})
		})
	}
}

// TestRequesterLoss: the task is cancelled, and the device is told (spec
// 9.4.5).
func TestRequesterLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		cause := make(chan error, 1)
		server, device, constellation := trio(t, &ServerOptions{Observer: r.observe, Handler: func(ctx context.Context, task *Task) (any, error) {
			_, err := task.Do(ctx, call("x"))
			cause <- err
			return nil, err
		}})
		constellation.task("dev", "s", "work")
		constellation.accepted("s")
		command := device.expect(object{"type": "command"})
		constellation.close()
		device.expect(object{"type": "task_end", "status": "failed", "session_id": "s"})
		if err := <-cause; !errors.Is(err, ErrRequesterLost) {
			t.Errorf("Do returned %v", err)
		}
		device.answer(command, "late")
		stillOpen(device)
		if dropped := r.of(EventResultsDropped); len(dropped) != 1 {
			t.Errorf("dropped %+v", dropped)
		}
		// The id, of the client and of the session, can be used again.
		again := server.constellation("con", "dev")
		again.task("dev", "s", "work")
		again.accepted("s")
		device.answerCommand("now")
		<-cause
		again.expect(object{"type": "task_end", "status": "completed"})
	})
}
