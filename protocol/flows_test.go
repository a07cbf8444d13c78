package protocol

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// flowPair returns a running client and server; the client is registered.
func flowPair(t *testing.T, role messages.ClientType) (*Client, *Server) {
	c, s := newPair(t, nil, nil)
	as(c, role)
	running(t, c)
	running(t, s)
	return c, s
}

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
		ctx := context.Background()
		results := make(chan error, 2)
		began := time.Now()
		for _, session := range []string{"a", "b"} {
			go func() {
				_, err := StartTask(ctx, c, taskFor(session))
				results <- err
			}()
		}
		synctest.Wait()
		if n := c.Stats().Calls; n != 2 { // the ack and the end of one task
			t.Errorf("%d replies are waited for", n)
		}
		outcomes := map[transport.Outcome]int{}
		for range 2 {
			err := <-results
			var call *CallError
			if !errors.As(err, &call) || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v", err)
			}
			outcomes[call.Outcome]++
		}
		// The second one gets its turn when its own time is up.
		if outcomes[transport.NotSent] != 1 || outcomes[transport.Sent] != 1 || time.Since(began) != 30*time.Second || c.Stats().Calls != 0 {
			t.Errorf("outcomes %v after %v, %+v", outcomes, time.Since(began), c.Stats())
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

func twoCommands() *messages.ServerMessage {
	return messages.NewCommand(messages.CommandRequest{SessionID: "s", Actions: []messages.Command{
		{ToolName: "a", ToolType: messages.ToolAction, CallID: "1"},
		{ToolName: "b", ToolType: messages.ToolAction, CallID: "2"},
	}})
}

func result(id, text string) messages.Result {
	return messages.Result{Status: messages.ResultSuccess, CallID: id, Result: messages.TrustedValue([]byte(`"` + text + `"`))}
}

func TestFitResults(t *testing.T) {
	a, b := result("1", "a"), result("2", "b")
	noA, noB := result("", "a"), result("", "b")
	for _, test := range []struct {
		name string
		give []messages.Result
		ok   bool
	}{
		{"in order", []messages.Result{a, b}, true},
		{"out of order", []messages.Result{b, a}, true},
		{"without ids", []messages.Result{noA, noB}, true},
		{"one without an id", []messages.Result{a, noB}, true},
		{"too few", []messages.Result{a}, false},
		{"none", nil, false},
		{"too many", []messages.Result{a, b, b}, false},
		{"twice the same", []messages.Result{a, a}, false},
		{"unknown id", []messages.Result{a, result("3", "x")}, false},
		{"a place taken twice", []messages.Result{b, noB}, false},
	} {
		given := slices.Clone(test.give)
		got, err := fitResults(twoCommands().Actions, test.give)
		var mismatch *ResultsError
		switch {
		case test.ok && (err != nil || !reflect.DeepEqual(got, []messages.Result{a, b})):
			t.Errorf("%s: %+v, %v", test.name, got, err)
		case !test.ok && (!errors.As(err, &mismatch) || !slices.Equal(mismatch.Want, []string{"1", "2"}) || len(mismatch.Got) != len(test.give)):
			t.Errorf("%s: %v", test.name, err)
		}
		if !reflect.DeepEqual(given, test.give) {
			t.Errorf("%s: the results given were changed", test.name)
		}
	}
}

func TestCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := flowPair(t, messages.Device)
		ctx := context.Background()
		var errs []error
		c.Handle(messages.ServerCommand, func(ctx context.Context, m *messages.ServerMessage) error {
			answer := NewCommandAnswer(c, m)
			errs = append(errs, answer.Send(ctx, []messages.Result{result("1", "a")}))
			errs = append(errs, answer.Send(ctx, []messages.Result{result("2", "b"), result("1", "a")}))
			errs = append(errs, answer.Send(ctx, []messages.Result{result("1", "a"), result("2", "b")}))
			errs = append(errs, answer.Fail(ctx, "too late"))
			return nil
		})
		results, err := SendCommand(ctx, s, twoCommands())
		must(t, err)
		if !reflect.DeepEqual(results, []messages.Result{result("1", "a"), result("2", "b")}) {
			t.Errorf("results %+v", results)
		}
		synctest.Wait()
		var mismatch *ResultsError
		if len(errs) != 4 || !errors.As(errs[0], &mismatch) || errs[1] != nil || !errors.Is(errs[2], ErrAnswered) || !errors.Is(errs[3], ErrAnswered) {
			t.Errorf("answers: %v", errs)
		}
		if s.Stats().DuplicateReplies != 0 {
			t.Error("it was answered more than once")
		}
	})
}

func TestCommandFails(t *testing.T) {
	c, s := flowPair(t, messages.Device)
	ctx := context.Background()
	c.Handle(messages.ServerCommand, func(ctx context.Context, m *messages.ServerMessage) error {
		return NewCommandAnswer(c, m).Fail(ctx, "unknown tool")
	})
	results, err := SendCommand(ctx, s, twoCommands())
	must(t, err)
	for i, r := range results {
		if r.Status != messages.ResultFailure || r.Error != "unknown tool" || r.CallID != []string{"1", "2"}[i] {
			t.Errorf("result %+v", r)
		}
	}
	if _, err := SendCommand(ctx, s, messages.NewCommand(messages.CommandRequest{})); !errors.Is(err, messages.ErrInvalid) {
		t.Errorf("without actions: %v", err)
	}
}

func TestCommandMismatch(t *testing.T) {
	c, s := flowPair(t, messages.Device)
	c.Handle(messages.ServerCommand, func(ctx context.Context, m *messages.ServerMessage) error {
		return c.Send(ctx, messages.NewCommandResults("dev", m, []messages.Result{result("1", "a")}))
	})
	_, err := SendCommand(context.Background(), s, twoCommands())
	var mismatch *ResultsError
	var call *CallError
	if !errors.As(err, &mismatch) || !errors.As(err, &call) || len(mismatch.Results) != 1 || call.Outcome != transport.Sent {
		t.Errorf("got %v", err)
	}
}

func TestCommandTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := flowPair(t, messages.Device)
		commands := make(chan *messages.ServerMessage, 1)
		c.Handle(messages.ServerCommand, func(_ context.Context, m *messages.ServerMessage) error {
			commands <- m
			return nil
		})
		var late []string
		s.OnLate(func(_ context.Context, m *messages.ClientMessage) { late = append(late, m.PrevResponseID) })
		began := time.Now()
		command := twoCommands()
		_, err := SendCommand(context.Background(), s, command)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != CommandTimeout {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		must(t, NewCommandAnswer(c, <-commands).Fail(context.Background(), "too slow"))
		synctest.Wait()
		if s.Stats().LateReplies != 1 || !slices.Equal(late, []string{command.ResponseID}) {
			t.Errorf("late %v, %+v", late, s.Stats())
		}
	})
}

// TestCommandAnsweredOnce: however many try, one answers; and if that one
// certainly sent nothing, another may.
func TestCommandAnsweredOnce(t *testing.T) {
	c, s := newPair(t, nil, nil)
	as(c, messages.Device)
	running(t, s)
	ctx := context.Background()
	answer := NewCommandAnswer(c, twoCommands())
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := answer.Fail(cancelled, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	var mu sync.Mutex
	sent := 0
	var senders sync.WaitGroup
	for range 16 {
		senders.Go(func() {
			if err := answer.Fail(ctx, "x"); err == nil {
				mu.Lock()
				defer mu.Unlock()
				sent++
			} else if !errors.Is(err, ErrAnswered) {
				t.Error(err)
			}
		})
	}
	senders.Wait()
	if sent != 1 {
		t.Errorf("%d answers", sent)
	}
	c2, _ := newPair(t, nil, nil)
	if err := NewCommandAnswer(c2, twoCommands()).Fail(ctx, "x"); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("not registered: %v", err)
	}
}

func TestBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := flowPair(t, messages.Constellation)
		s.Handle(messages.ClientHeartbeat, func(ctx context.Context, m *messages.ClientMessage) error {
			if m.ClientType != messages.Constellation {
				t.Errorf("heartbeat %+v", m)
			}
			time.Sleep(3 * time.Second)
			return AnswerHeartbeat(ctx, s)
		})
		results := make(chan error, 1)
		go func() {
			rtt, err := Beat(context.Background(), c)
			if rtt != 3*time.Second {
				t.Errorf("took %v", rtt)
			}
			results <- err
		}()
		synctest.Wait()
		if _, err := Beat(context.Background(), c); !errors.Is(err, ErrDuplicateCall) {
			t.Errorf("a second one: %v", err)
		}
		must(t, <-results)
		// A task's ack is not the reply to a heartbeat.
		must(t, s.SendAck(context.Background(), "s"))
		synctest.Wait()
		if c.Stats().Unhandled != 1 {
			t.Errorf("%+v", c.Stats())
		}
	})
}

func TestDeviceInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := flowPair(t, messages.Constellation)
		ctx := context.Background()
		answer := func(result string) {
			s.handlers.Store(nil)
			s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
				return AnswerDeviceInfo(ctx, s, m, messages.TrustedValue([]byte(result)))
			})
		}
		for _, result := range []string{`{"platform":"linux"}`, `{"Error":"not the key"}`, `[1]`, `"error"`} {
			answer(result)
			if info, err := RequestDeviceInfo(ctx, c, "d"); err != nil || info.String() != result {
				t.Errorf("%s: %s, %v", result, info, err)
			}
		}
		for result, text := range map[string]string{
			`{"error":"gone"}`:           "gone",
			`{"a":1,"error":{"code":7}}`: `{"code":7}`,
			`{"error":null}`:             "",
			"":                           "Device d not found or no system info available",
		} {
			answer(result)
			var missing *DeviceInfoError
			_, err := RequestDeviceInfo(ctx, c, "d")
			if !errors.As(err, &missing) || missing.Message != text || missing.DeviceID != "d" {
				t.Errorf("%s: %v", result, err)
			}
		}
		s.handlers.Store(nil)
		s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
			reply := messages.NewDeviceInfoResponse(m.RequestID, messages.Value{})
			reply.Status, reply.Error = messages.StatusError, "no"
			return s.Send(ctx, reply)
		})
		var missing *DeviceInfoError
		if _, err := RequestDeviceInfo(ctx, c, "d"); !errors.As(err, &missing) || missing.Message != "no" {
			t.Errorf("status error: %v", err)
		}
		// The reference refuses without an id.
		s.handlers.Store(nil)
		s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, _ *messages.ClientMessage) error {
			return s.SendError(ctx, "not yours", nil)
		})
		var remote *RemoteError
		if _, err := RequestDeviceInfo(ctx, c, "d"); !errors.As(err, &remote) || remote.Message != "not yours" {
			t.Errorf("refused: %v", err)
		}
	})
}

func TestPushDeviceInfo(t *testing.T) {
	c, s := newPair(t, nil, nil)
	as(c, messages.Device)
	ctx := context.Background()
	must(t, PushDeviceInfo(ctx, c, value(t, map[string]int{"a": 1})))
	m, err := s.Receive(ctx)
	if err != nil || m.Type != messages.ClientDeviceInfoResponse || m.Metadata.String() != `{"a":1}` {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestErrorsAreNotAnsweredWithErrors(t *testing.T) {
	c, s := newPair(t, nil, nil)
	ctx := context.Background()
	if err := c.SendError(ctx, "x", messages.NewServerError("boom")); !errors.Is(err, ErrErrorReply) {
		t.Errorf("client: %v", err)
	}
	if err := s.SendError(ctx, "x", messages.NewClientError(messages.Device, "d", "boom")); !errors.Is(err, ErrErrorReply) {
		t.Errorf("server: %v", err)
	}
	raw(t, c.Transport(), `{"type":"error","status":5}`)
	_, err := s.Receive(ctx)
	var invalid *MessageError
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	if err := s.AnswerInvalid(ctx, invalid); !errors.Is(err, ErrErrorReply) {
		t.Errorf("an invalid error: %v", err)
	}
	if n := c.Transport().(*transport.Memory).Backlog().ReceiveMessages + s.Transport().(*transport.Memory).Backlog().ReceiveMessages; n != 0 {
		t.Errorf("%d messages were sent", n)
	}
}

// TestTwoPeersThatAnswerErrors: two sides that answer everything invalid do
// not keep each other busy.
func TestTwoPeersThatAnswerErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		as(c, messages.Device)
		errorsSeen := 0
		c.OnInvalid(func(ctx context.Context, e *MessageError) { _ = c.AnswerInvalid(ctx, e) })
		s.OnInvalid(func(ctx context.Context, e *MessageError) { _ = s.AnswerInvalid(ctx, e) })
		c.Handle(messages.ServerError, func(ctx context.Context, m *messages.ServerMessage) error {
			errorsSeen++
			return c.SendError(ctx, "what?", m)
		})
		s.Handle(messages.ClientError, func(ctx context.Context, m *messages.ClientMessage) error {
			errorsSeen++
			return s.SendError(ctx, "what?", m)
		})
		running(t, c)
		running(t, s)
		raw(t, c.Transport(), "nonsense")
		raw(t, s.Transport(), "nonsense")
		synctest.Wait()
		if errorsSeen != 2 {
			t.Errorf("%d errors were exchanged", errorsSeen)
		}
	})
}

// TestErrorsSayWhatTheyAreAbout: D6 of the reference.
func TestErrorsSayWhatTheyAreAbout(t *testing.T) {
	c, s := newPair(t, nil, nil)
	ctx := context.Background()
	request := messages.NewDeviceTask("d", "", "x", "linux")
	request.SessionID = "s"
	must(t, s.SendError(ctx, "no", request))
	m, err := c.Receive(ctx)
	if err != nil || m.SessionID != "s" || m.ResponseID != request.RequestID || m.Status != messages.StatusError {
		t.Errorf("got %+v, %v", m, err)
	}
	raw(t, c.Transport(), `{"type":"task","session_id":"s","request_id":"r","request":"secret"}`)
	_, err = s.Receive(ctx)
	var invalid *MessageError
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	must(t, s.AnswerInvalid(ctx, invalid))
	m, err = c.Receive(ctx)
	if err != nil || m.SessionID != "s" || m.ResponseID != "r" || m.Error != "invalid_message" {
		t.Errorf("got %+v, %v", m, err)
	}
	must(t, c.SendError(ctx, "no", twoCommands()))
	back, err := s.Receive(ctx)
	if err != nil || back.SessionID != "s" || back.PrevResponseID == "" || back.Error != "no" {
		t.Errorf("got %+v, %v", back, err)
	}
}
