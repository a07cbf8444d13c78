package endpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// TestOwnTask: a device may give a task to itself; it is told of the end once.
func TestOwnTask(t *testing.T) {
	for _, target := range []any{nil, "", "dev"} {
		synctest.Test(t, func(t *testing.T) {
			_, device, constellation := trio(t, &ServerOptions{Handler: recordedHandler})
			device.send(object{"type": "task", "status": "continue", "request": "work", "request_id": "q", "target_id": target})
			ack := device.expect(object{"type": "heartbeat", "status": "ok"})
			if ack["session_id"] == nil {
				t.Fatalf("the ack is %v", ack)
			}
			for range 2 {
				command := device.answerCommand("done")
				if command["session_id"] != ack["session_id"] {
					t.Errorf("the command is of session %v", command["session_id"])
				}
			}
			device.expect(object{"type": "task_end", "status": "completed", "session_id": ack["session_id"]})
			device.expectNothing(time.Hour)
			constellation.expectNothing(time.Hour)
		})
	}
}

// TestSameTaskAgain: a task that runs already is acknowledged again and not run
// twice (spec 8, D15); when it has ended, its id is free.
func TestSameTaskAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		proceed := make(chan struct{})
		_, device, constellation := trio(t, &ServerOptions{Handler: func(context.Context, *Task) (any, error) {
			runs++
			<-proceed
			return runs, nil
		}})
		for range 3 {
			constellation.task("dev", "s", "work")
			constellation.accepted("s")
		}
		proceed <- struct{}{}
		constellation.expect(object{"type": "task_end", "status": "completed", "result": 1.0})
		device.expect(object{"type": "task_end"})
		constellation.task("dev", "s", "work")
		constellation.accepted("s")
		proceed <- struct{}{}
		constellation.expect(object{"type": "task_end", "status": "completed", "result": 2.0})
		device.expect(object{"type": "task_end"})
		constellation.expectNothing(time.Hour)
	})
}

// TestForeignSession: a session belongs to who made it (spec 5.9). The owner
// notices nothing of the attempt.
func TestForeignSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, device, owner := trio(t, &ServerOptions{Handler: recordedHandler})
		thief := server.constellation("thief", "dev")
		owner.task("dev", "s", "work")
		owner.accepted("s")
		thief.task("dev", "s", "steal")
		thief.expect(object{"type": "error", "session_id": "s"})
		thief.expect(object{"type": "task_end", "status": "failed", "session_id": "s"})
		command := device.expect(object{"type": "command", "session_id": "s"})
		device.send(object{"type": "task", "status": "continue", "request": "steal", "session_id": "s"})
		device.expect(object{"type": "error", "session_id": "s"})
		device.expect(object{"type": "task_end", "status": "failed", "session_id": "s"})
		device.answer(command, "mine")
		device.answerCommand("mine")
		owner.expect(object{"type": "task_end", "status": "completed", "session_id": "s"})
		thief.expectNothing(time.Hour)
	})
}

// TestSameSessionOtherDevice: one client cannot use an id on two devices at
// once. The refusal does not end the task that runs.
func TestSameSessionOtherDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, device, _ := trio(t, &ServerOptions{Handler: recordedHandler})
		server.device("other")
		free := server.constellation("free", "")
		free.task("dev", "s", "work")
		free.accepted("s")
		free.task("other", "s", "work")
		free.expect(object{"type": "error", "session_id": "s"})
		device.answerCommand("done")
		device.answerCommand("done")
		free.expect(object{"type": "task_end", "status": "completed", "session_id": "s"})
		free.expectNothing(time.Hour)
	})
}

func TestMaxTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, constellation := trio(t, &ServerOptions{Handler: untilCancelled, MaxTasks: 2})
		for _, session := range []string{"a", "b"} {
			constellation.task("dev", session, "work")
			constellation.accepted(session)
		}
		constellation.task("dev", "c", "work")
		constellation.expect(object{"type": "error", "session_id": "c"})
		constellation.expect(object{"type": "task_end", "status": "failed", "session_id": "c"})
	})
}

// TestOneCommandAtATime: a device without a session gets the next command when
// it has answered the one before, whichever tasks they are of (spec 9.3.5).
func TestOneCommandAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, device, constellation := trio(t, &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
			_, err := task.Do(ctx, call("x"))
			return nil, err
		}})
		const tasks = 5
		for i := range tasks {
			session := fmt.Sprint("s", i)
			constellation.task("dev", session, "work")
			constellation.accepted(session)
		}
		for range tasks {
			synctest.Wait()
			var command object
			for device.waiting() > 0 { // commands, and the ends of earlier tasks
				m := device.receive()
				if m["type"] == "command" && command != nil {
					t.Fatal("the next command came before the answer to the first")
				} else if m["type"] == "command" {
					command = m
				}
			}
			if command == nil {
				t.Fatal("no command came")
			}
			device.answer(command, "done")
			constellation.expect(object{"type": "task_end", "status": "completed"})
		}
	})
}

// TestResultTooLarge: a result that no message can carry fails the task, so
// that its requester does not wait for ever.
func TestResultTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: func(context.Context, *Task) (any, error) {
			return strings.Repeat("x", 5000), nil
		}})
		client, inner := transport.NewPair(&transport.MemoryOptions{MaxMessageSize: 2000})
		defer client.Close()
		go func() { _ = server.Serve(context.Background(), inner) }()
		device := &peer{t, client}
		device.send(register("d"))
		device.expect(object{"type": "heartbeat"})
		device.send(object{"type": "task", "status": "continue", "request": "x", "session_id": "s"})
		device.accepted("s")
		device.expect(object{"type": "task_end", "status": "failed", "session_id": "s", "error": errResultSize.Error()})
	})
}

// TestSlowConsumer: a client that does not read loses its connection after the
// send timeout, and nobody else has to wait for it.
func TestSlowConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, device, constellation := trio(t, &ServerOptions{Handler: untilCancelled, SendTimeout: 5 * time.Second})
		client, inner := transport.NewPair(&transport.MemoryOptions{QueueMessages: 1})
		defer client.Close()
		result := make(chan error, 1)
		go func() { result <- server.Serve(context.Background(), inner) }()
		slow := &peer{t, client}
		slow.send(object{"type": "register", "status": "ok", "client_type": "constellation", "client_id": "slow"})
		start := time.Now()
		for range 3 {
			slow.send(object{"type": "heartbeat", "status": "ok", "client_type": "constellation"})
		}
		stillOpen(device)
		stillOpen(constellation)
		if err := <-result; !errors.Is(err, ErrSlowConsumer) {
			t.Errorf("Serve returned %v", err)
		}
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}

// TestManyResults: what the commands bring is kept only as long as it can be
// sent. A handler that makes a result of its own needs none of it.
func TestManyResults(t *testing.T) {
	for name, own := range map[string]any{"own result": "done", "none": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kept := make(chan int, 1)
				server := startServer(t, &ServerOptions{MaxMessageSize: 10_000, Handler: func(ctx context.Context, task *Task) (any, error) {
					for range 20 {
						if _, err := task.Do(ctx, messages.Command{ToolName: "look", ToolType: messages.ToolAction}); err != nil {
							return nil, err
						}
					}
					kept <- len(task.session.rounds)
					return own, nil
				}})
				dev := server.device("dev")
				dev.send(object{"type": "task", "status": "continue", "session_id": "s", "request": "r"})
				dev.expect(object{"type": "heartbeat", "session_id": "s"})
				for range 20 {
					dev.answerCommand(strings.Repeat("x", 1000))
				}
				if own != nil {
					dev.expect(object{"type": "task_end", "status": "completed", "result": own})
				} else {
					dev.expect(object{"type": "task_end", "status": "failed", "error": errResultSize.Error()})
				}
				if n := <-kept; n > 10 {
					t.Errorf("the results of %d commands are kept", n)
				}
			})
		})
	}
}

// TestReasonWithLargeResults: a task that fails after results that no message
// can carry still ends with its reason.
func TestReasonWithLargeResults(t *testing.T) {
	for name, reason := range map[string]string{"short": "the reason", "long": strings.Repeat("r", 5000)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := startServer(t, &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
					for range 3 {
						if _, err := task.Do(ctx, messages.Command{ToolName: "look", ToolType: messages.ToolAction}); err != nil {
							return nil, err
						}
					}
					return nil, errors.New(reason)
				}})
				client, inner := transport.NewPair(&transport.MemoryOptions{MaxMessageSize: 2000})
				defer client.Close()
				go func() { _ = server.Serve(context.Background(), inner) }()
				dev := &peer{t, client}
				dev.send(register("d"))
				dev.expect(object{"type": "heartbeat"})
				dev.send(object{"type": "task", "status": "continue", "request": "x", "session_id": "s"})
				dev.accepted("s")
				for range 3 {
					dev.answerCommand(strings.Repeat("x", 1000))
				}
				want := reason
				if len(reason) > 2000 {
					want = errResultSize.Error()
				}
				dev.expect(object{"type": "task_end", "status": "failed", "error": want})
			})
		})
	}
}
