package protocol

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

func taskFor(session string) *messages.ClientMessage {
	return messages.NewConstellationTask(messages.TaskRequest{
		ClientID: "dev", TargetID: "d", SessionID: session, Request: "do it",
	})
}

func TestTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := flowPair(t, messages.Constellation)
		ctx := context.Background()
		s.Handle(messages.ClientTask, func(ctx context.Context, m *messages.ClientMessage) error {
			return s.SendAck(ctx, m.SessionID)
		})
		task, err := StartTask(ctx, c, taskFor("s1"))
		must(t, err)
		if task.SessionID() != "s1" {
			t.Errorf("session %q", task.SessionID())
		}
		short, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		if _, err := task.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v", err)
		}
		select {
		case <-task.Done():
			t.Error("done before its end")
		default:
		}
		must(t, CompleteTask(ctx, s, "s1", value(t, []int{1})))
		<-task.Done()
		end, err := task.Wait(ctx)
		if err != nil || end.Result.String() != "[1]" {
			t.Errorf("Wait: %v, %v", end, err)
		}

		task, err = StartTask(ctx, c, taskFor("s2"))
		must(t, err)
		must(t, FailTask(ctx, s, "s2", "no luck", messages.Value{}))
		end, err = task.Wait(ctx)
		var failed *TaskError
		if !errors.As(err, &failed) || failed.SessionID != "s2" || failed.End != end || !strings.Contains(err.Error(), "no luck") {
			t.Errorf("Wait: %v, %v", end, err)
		}
		// Completed, but with an error: not a success.
		task, err = StartTask(ctx, c, taskFor("s3"))
		must(t, err)
		strange := messages.NewTaskCompleted("s3", messages.Value{})
		strange.Error = "half"
		must(t, s.Send(ctx, strange))
		if _, err := task.Wait(ctx); !errors.As(err, &failed) {
			t.Errorf("Wait: %v", err)
		}

		var late []string
		c.OnLate(func(_ context.Context, m *messages.ServerMessage) { late = append(late, m.SessionID) })
		task, err = StartTask(ctx, c, taskFor("s4"))
		must(t, err)
		task.Release()
		must(t, CompleteTask(ctx, s, "s4", messages.Value{}))
		synctest.Wait()
		if !slices.Equal(late, []string{"s4"}) || c.Stats().Calls != 0 {
			t.Errorf("late %v, %+v", late, c.Stats())
		}
	})
}

func TestTaskWithoutSession(t *testing.T) {
	c, s := flowPair(t, messages.Device)
	ctx := context.Background()
	s.Handle(messages.ClientTask, func(ctx context.Context, m *messages.ClientMessage) error {
		if err := s.SendAck(ctx, m.SessionID); err != nil {
			return err
		}
		return CompleteTask(ctx, s, m.SessionID, messages.Value{})
	})
	request := messages.NewDeviceTask("dev", "", "do it", "linux")
	end, err := RunTask(ctx, c, request)
	if err != nil || end.SessionID == "" || request.SessionID != "" {
		t.Errorf("got %v, %v; the request's session is %q", end, err, request.SessionID)
	}
}

// TestTaskRefused: every form of a refusal ends the wait at once.
func TestTaskRefused(t *testing.T) {
	for name, refuse := range map[string]func(context.Context, *Server, *messages.ClientMessage) error{
		"as the reference does": func(ctx context.Context, s *Server, _ *messages.ClientMessage) error {
			return s.SendError(ctx, "no", nil)
		},
		"with the session": func(ctx context.Context, s *Server, m *messages.ClientMessage) error {
			return s.SendError(ctx, "no", m)
		},
		"with both": func(ctx context.Context, s *Server, m *messages.ClientMessage) error {
			return RefuseTask(ctx, s, m, "no")
		},
		"with task_end": func(ctx context.Context, s *Server, m *messages.ClientMessage) error {
			return FailTask(ctx, s, m.SessionID, "no", messages.Value{})
		},
		"with a bad ack": func(ctx context.Context, s *Server, m *messages.ClientMessage) error {
			ack := messages.NewTaskAck(m.SessionID)
			ack.Status, ack.Error = messages.StatusFailed, "no"
			return s.Send(ctx, ack)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := flowPair(t, messages.Constellation)
				s.Handle(messages.ClientTask, func(ctx context.Context, m *messages.ClientMessage) error { return refuse(ctx, s, m) })
				began := time.Now()
				_, err := RunTask(context.Background(), c, taskFor("s"))
				var remote *RemoteError
				var ended *TaskError
				var call *CallError
				if !errors.As(err, &call) || !errors.As(err, &remote) && !errors.As(err, &ended) || !strings.Contains(err.Error(), "no") || time.Since(began) != 0 {
					t.Errorf("got %v after %v", err, time.Since(began))
				}
				synctest.Wait()
				if stats := c.Stats(); stats.Calls != 0 || stats.Unhandled != 0 {
					t.Errorf("%+v", stats)
				}
			})
		})
	}
}

func TestTaskUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := flowPair(t, messages.Constellation)
		began := time.Now()
		first := make(chan error, 1)
		go func() {
			_, err := StartTask(context.Background(), c, taskFor("a"))
			first <- err
		}()
		synctest.Wait()
		fails := func(err error, outcome transport.Outcome, after time.Duration) {
			t.Helper()
			var call *CallError
			if !errors.As(err, &call) || !errors.Is(err, context.DeadlineExceeded) || call.Outcome != outcome || time.Since(began) != after {
				t.Errorf("got %v after %v", err, time.Since(began))
			}
		}
		// The next one has to wait for the first one's acceptance.
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err := StartTask(ctx, c, taskFor("b"))
		fails(err, transport.NotSent, 10*time.Second)
		if n := c.Stats().Calls; n != 2 { // the ack and the end of the first
			t.Errorf("%d replies are waited for", n)
		}
		fails(<-first, transport.Sent, 30*time.Second)
		if n := c.Stats().Calls; n != 0 {
			t.Errorf("%d replies are waited for", n)
		}
	})
}

func TestTaskInvalid(t *testing.T) {
	c, _ := flowPair(t, messages.Constellation)
	_, err := StartTask(context.Background(), c, &messages.ClientMessage{Type: messages.ClientTask, Status: messages.StatusContinue})
	var call *CallError
	if !errors.Is(err, messages.ErrInvalid) || !errors.As(err, &call) || call.Outcome != transport.NotSent {
		t.Errorf("got %v", err)
	}
	_, err = AnswerTaskDispatch(context.Background(), c, messages.NewHeartbeatReply(), "linux")
	if !errors.Is(err, messages.ErrInvalid) {
		t.Errorf("not a dispatch: %v", err)
	}
}

func TestTaskDispatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := flowPair(t, messages.Device)
		ctx := context.Background()
		var ended *messages.ServerMessage
		c.Handle(messages.ServerTask, func(ctx context.Context, m *messages.ServerMessage) error {
			task, err := AnswerTaskDispatch(ctx, c, m, "linux")
			if err != nil {
				return err
			}
			ended, err = task.Wait(ctx)
			return err
		})
		task, err := DispatchTask(ctx, s, messages.NewTaskDispatch("", "job", "do it"))
		must(t, err)
		if task.TaskName != "job" || task.Request != "do it" || task.SessionID == "" {
			t.Errorf("task %+v", task)
		}
		must(t, s.SendAck(ctx, task.SessionID))
		must(t, CompleteTask(ctx, s, task.SessionID, value(t, "done")))
		synctest.Wait()
		if ended == nil || ended.Result.String() != `"done"` {
			t.Errorf("ended with %+v", ended)
		}
	})
}
