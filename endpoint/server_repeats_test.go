package endpoint

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// counting is a handler that returns how many tasks there were before.
func counting() TaskHandler {
	n := 0
	return func(context.Context, *Task) (any, error) { n++; return n, nil }
}

// request is a TASK of a constellation with a request_id.
func request(session, id string) object {
	return object{
		"type": "task", "status": "continue", "client_type": "constellation", "target_id": "dev",
		"session_id": session, "request_id": id, "request": "work",
	}
}

// ended waits for the ack and the end of a task and returns the result.
func (p *peer) ended(session string) any {
	p.t.Helper()
	p.accepted(session)
	return p.expect(object{"type": "task_end", "status": "completed", "session_id": session})["result"]
}

// TestRepeatedTask: a TASK that comes again with the same ids and content is
// answered with the task that it asked for, while that runs and for two minutes
// after its end, on any connection of the client. Anything else is a new task.
func TestRepeatedTask(t *testing.T) {
	changed := func(key string, value any) object {
		m := request("s", "q")
		m[key] = value
		return m
	}
	tests := map[string]struct {
		second object
		wait   time.Duration
		same   bool
	}{
		"at once":        {request("s", "q"), 0, true},
		"later":          {request("s", "q"), 2*time.Minute - 1, true},
		"too late":       {request("s", "q"), 2 * time.Minute, false},
		"other request":  {request("s", "r"), 0, false},
		"other session":  {request("z", "q"), 0, false},
		"other words":    {changed("request", "play"), 0, false},
		"other name":     {changed("task_name", "n"), 0, false},
		"other metadata": {changed("metadata", object{"a": 1}), 0, false},
		"no request id":  {changed("request_id", nil), 0, false},
		"empty id":       {request("s", ""), 0, false},
	}
	for name, test := range tests {
		for _, reconnect := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", name, reconnect), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := &recorder{}
					server, device, p := trio(t, &ServerOptions{Handler: counting(), Observer: r.observe})
					p.send(request("s", "q"))
					p.accepted("s")
					first := p.expect(object{"type": "task_end", "status": "completed"})
					if reconnect {
						p.close()
						synctest.Wait()
						p = server.constellation("con", "dev")
					}
					<-time.After(test.wait)
					p.send(test.second)
					p.accepted(test.second["session_id"].(string))
					second := p.expect(object{"type": "task_end", "status": "completed"})
					if same := reflect.DeepEqual(first, second); same != test.same || !same && second["result"] != 2.0 {
						t.Errorf("first %v, then %v", first, second)
					}
					synctest.Wait()
					ends := 2
					if test.same {
						ends = 1
					}
					if got := len(r.of(EventTaskEnded)); got != ends || device.waiting() != ends {
						t.Errorf("%d tasks ended, the device was told of %d", got, device.waiting())
					}
					p.expectNothing(time.Hour)
				})
			})
		}
	}
}

// TestTaskRepeatedWhileItRuns: it is acknowledged again, and ends once; also if
// the client left the session's id to the server.
func TestTaskRepeatedWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: recordedHandler})
		p := server.device("dev")
		for _, session := range []any{"s", nil} {
			m := object{"type": "task", "status": "continue", "request": "work", "request_id": "q", "session_id": session}
			p.send(m)
			id := p.expect(object{"type": "heartbeat"})["session_id"]
			command := p.expect(object{"type": "command", "session_id": id})
			p.send(m)
			p.expect(object{"type": "heartbeat", "session_id": id})
			p.answer(command, "one")
			p.answerCommand("two")
			end := p.expect(object{"type": "task_end", "status": "completed", "session_id": id})
			p.send(m)
			p.expect(object{"type": "heartbeat", "session_id": id})
			if again := p.receive(); !reflect.DeepEqual(again, end) {
				t.Errorf("the end was %v, then %v", end, again)
			}
		}
	})
}

// TestRepeatByAnother: what a client asked for is not told to others.
func TestRepeatByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _, p := trio(t, &ServerOptions{Handler: counting()})
		p.send(request("s", "q"))
		if got := p.ended("s"); got != 1.0 {
			t.Errorf("the result is %v", got)
		}
		other := server.constellation("other", "dev")
		synctest.Wait() // until the session's id is free
		other.send(request("s", "q"))
		if got := other.ended("s"); got != 2.0 {
			t.Errorf("another client was told %v", got)
		}
		// Nor to the same name in another role.
		p.close()
		synctest.Wait()
		device := server.device("con")
		m := request("s", "q")
		delete(m, "client_type")
		m["target_id"] = "con"
		device.send(m)
		if got := device.ended("s"); got != 3.0 {
			t.Errorf("another role was told %v", got)
		}
	})
}

// TestFailureIsRepeated: a task that failed by itself, or by the loss of its
// device, stays failed; one that was cut off because its requester had gone
// runs again when that comes back.
func TestFailureIsRepeated(t *testing.T) {
	tests := map[string]struct {
		end   func(device, constellation *peer, command object)
		again bool
	}{
		"failed":         {func(device, _ *peer, command object) { device.answer(command, "bad") }, false},
		"device lost":    {func(device, _ *peer, _ object) { device.close() }, false},
		"requester lost": {func(_, constellation *peer, _ object) { constellation.close() }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs := 0
				server, device, p := trio(t, &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
					if runs++; runs > 1 {
						return "again", nil
					}
					if _, err := task.Do(ctx, call("x")); err != nil {
						return nil, err
					}
					return nil, errors.New("no luck")
				}})
				p.send(request("s", "q"))
				p.accepted("s")
				test.end(device, p, device.expect(object{"type": "command"}))
				synctest.Wait()
				if !test.again {
					p.expect(object{"type": "task_end", "status": "failed"})
				}
				if name == "device lost" {
					server.device("dev")
				}
				if test.again {
					server.mu.Lock()
					if n := len(server.memory.tasks); n != 0 {
						t.Errorf("%d tasks are remembered", n)
					}
					server.mu.Unlock()
					p = server.constellation("con", "dev")
				}
				p.send(request("s", "q"))
				p.accepted("s")
				status, want := "failed", 1
				if test.again {
					status, want = "completed", 2
				}
				p.expect(object{"type": "task_end", "status": status})
				if runs != want {
					t.Errorf("it ran %d times", runs)
				}
			})
		})
	}
}

// TestDeviceTaskIsAbandoned: a device that asked for its own task and went is
// its requester, too.
func TestDeviceTaskIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
			_, err := task.Do(ctx, call("x"))
			return "done", err
		}})
		var commands []object
		for i := range 2 {
			p := server.device("dev")
			p.send(object{"type": "task", "status": "continue", "request": "work", "request_id": "q", "session_id": "s"})
			p.accepted("s")
			commands = append(commands, p.expect(object{"type": "command"}))
			if i == 0 {
				p.close()
				synctest.Wait()
				continue
			}
			p.answer(commands[1], "ok")
			p.expect(object{"type": "task_end", "status": "completed"})
		}
		for _, key := range []string{"response_id", "actions"} {
			if !reflect.DeepEqual(commands[0][key], commands[1][key]) {
				t.Errorf("the command was %v, then %v", commands[0], commands[1])
			}
		}
	})
}

// TestRepeatDuringTheEnd: a client that comes back before the end of its cut off
// task has gone out waits for that, and then has the task run again: the device
// cannot take the end of the first run for that of the second.
func TestRepeatDuringTheEnd(t *testing.T) {
	answers := map[string]func(*peer, object){
		"with results": func(p *peer, command object) { p.answer(command, "late") },
		"with an error": func(p *peer, command object) {
			p.send(object{"type": "error", "status": "error", "error": "late", "prev_response_id": command["response_id"]})
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { repeatDuringTheEnd(t, answer) })
		})
	}
}

func repeatDuringTheEnd(t *testing.T, answer func(*peer, object)) {
	server := startServer(t, &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
		_, err := task.Do(ctx, call("x"))
		return "done", err
	}})
	far, near := transport.NewPair(&transport.MemoryOptions{QueueMessages: 1})
	defer far.Close()
	go func() { _ = server.Serve(context.Background(), near) }()
	device := &peer{t, far}
	device.send(register("dev"))
	device.expect(object{"type": "heartbeat"})

	p := server.constellation("con", "dev")
	p.send(request("s", "q"))
	p.accepted("s")
	synctest.Wait()
	p.close() // while the device has not read its command
	synctest.Wait()
	p = server.constellation("con", "dev")
	p.send(request("s", "q"))
	p.expectNothing(time.Second)
	first := device.expect(object{"type": "command"})
	device.expect(object{"type": "task_end", "status": "failed", "session_id": "s"})
	p.accepted("s")
	// The command has the same id: it is not sent before the device has
	// answered the first.
	device.expectNothing(time.Second)
	start := time.Now()
	answer(device, first)
	second := device.expect(object{"type": "command", "response_id": first["response_id"]})
	if took := time.Since(start); took != 0 {
		t.Errorf("it was sent again after %v", took)
	}
	device.answer(second, "ok")
	p.expect(object{"type": "task_end", "status": "completed", "result": "done"})
}

// TestEndTooLargeToKeep: the task is not run again, and the client is told why.
func TestEndTooLargeToKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		_, _, p := trio(t, &ServerOptions{Handler: func(context.Context, *Task) (any, error) {
			runs++
			return strings.Repeat("x", maxRememberedSize+runs-3), nil
		}})
		for i, kept := range []bool{true, false} {
			session := fmt.Sprint("s", i)
			p.send(request(session, "q"))
			p.ended(session)
			p.send(request(session, "q"))
			if kept {
				p.ended(session)
				continue
			}
			p.expect(object{"type": "error", "session_id": session, "error": endNotKept, "response_id": "q"})
			p.expect(object{"type": "task_end", "status": "failed", "session_id": session, "error": endNotKept})
		}
		if runs != 2 {
			t.Errorf("%d tasks ran", runs)
		}
	})
}

// TestRepeatWhileDraining: it is no new work.
func TestRepeatWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _, p := trio(t, &ServerOptions{Handler: counting(), DrainSpread: time.Hour})
		p.send(request("s", "q"))
		p.ended("s")
		go func() { _ = server.Shutdown(context.Background()) }()
		synctest.Wait()
		p.send(request("s", "q"))
		if got := p.ended("s"); got != 1.0 {
			t.Errorf("the result is %v", got)
		}
		p.send(request("s", "new"))
		p.expect(object{"type": "error", "error": shuttingDown})
	})
}

// TestTaskMemoryBounds: what is remembered is bounded for a client, for all of
// them, and in bytes.
func TestTaskMemoryBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := newTaskMemory()
		add := func(client, id string, size int) *rememberedTask {
			m := &messages.ClientMessage{SessionID: "s", RequestID: id}
			sess := &session{id: "s"}
			memory.begin(unconnected(client), m, sess)
			memory.finish(sess, messages.NewTaskFailed("s", strings.Repeat("x", size), messages.Value{}))
			return sess.memory
		}
		check := func(tasks int) {
			t.Helper()
			sum, owned := int64(0), 0
			for at := memory.ended.Front(); at != nil; at = at.Next() {
				sum += remembered(at).size
			}
			for _, own := range memory.clients {
				owned += len(own)
			}
			if len(memory.tasks) != tasks || memory.ended.Len() != tasks || owned != tasks || sum != memory.size || sum > maxRememberedSum {
				t.Fatalf("%d tasks, %d ended, %d by client, want %d; %d of %d bytes", len(memory.tasks), memory.ended.Len(), owned, tasks, sum, memory.size)
			}
		}
		for i := range 3 * maxRemembered {
			add("one", fmt.Sprint(i), 10)
		}
		check(maxRemembered)
		add("one", fmt.Sprint(3*maxRemembered-1), 10) // again, with the same ids
		check(maxRemembered)
		for i := range maxRememberedAll {
			add(fmt.Sprint("c", i), "q", 1)
		}
		check(maxRememberedAll)
		<-time.After(rememberedTime)
		if memory.find(unconnected("one"), &messages.ClientMessage{SessionID: "s", RequestID: "1"}) != nil {
			t.Error("a task is remembered for too long")
		}
		check(0)
		for i := range maxRememberedSum/maxRememberedSize + 10 {
			if kept := add(fmt.Sprint(i), "q", maxRememberedSize).end != nil; kept != (i < maxRememberedSum/maxRememberedSize) {
				t.Errorf("end %d is kept: %t", i, kept)
			}
		}
		check(maxRememberedSum/maxRememberedSize + 10)
	})
}

// unconnected returns a client that has no connection.
func unconnected(id string) *client {
	return &client{info: ClientInfo{ID: id, Role: messages.Constellation}}
}
