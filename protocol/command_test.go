package protocol

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

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

// TestStartCommand: commands are sent in the order in which they are started,
// before any of them is answered, and only the context of Wait bounds the wait.
func TestStartCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := flowPair(t, messages.Device)
		commands := make(chan *messages.ServerMessage, 3)
		c.Handle(messages.ServerCommand, func(_ context.Context, m *messages.ServerMessage) error {
			commands <- m
			return nil
		})
		starting, cancel := context.WithCancel(context.Background())
		var calls []*CommandCall
		for i := range 3 {
			command := twoCommands()
			command.ResponseID = fmt.Sprint(i)
			call, err := StartCommand(starting, s, command)
			must(t, err)
			calls = append(calls, call)
		}
		cancel()
		<-time.After(2 * CommandTimeout)
		for i := range 3 {
			m := <-commands
			if m.ResponseID != fmt.Sprint(i) {
				t.Errorf("command %d is %s", i, m.ResponseID)
			}
			if i != 1 {
				must(t, NewCommandAnswer(c, m).Send(context.Background(), []messages.Result{result("1", "a"), result("2", m.ResponseID)}))
			}
		}
		for _, i := range []int{2, 0} {
			results, err := calls[i].Wait(context.Background())
			must(t, err)
			if len(results) != 2 || results[1].Result.String() != fmt.Sprintf("%q", fmt.Sprint(i)) {
				t.Errorf("the results of command %d are %v", i, results)
			}
		}
		limited, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		var failed *CallError
		if _, err := calls[1].Wait(limited); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failed) || failed.Outcome != transport.Sent {
			t.Errorf("Wait returned %v", err)
		}
		if n := s.calls.waiting(); n != 0 {
			t.Errorf("%d calls are left", n)
		}
		if _, err := StartCommand(context.Background(), s, messages.NewCommand(messages.CommandRequest{})); !errors.Is(err, messages.ErrInvalid) {
			t.Errorf("StartCommand returned %v", err)
		}
	})
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

// session answer nothing.
func TestResultsOfAnotherSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := flowPair(t, messages.Device)
		var stray []string
		s.OnUnhandled(func(_ context.Context, m *messages.ClientMessage) { stray = append(stray, m.SessionID) })
		c.Handle(messages.ServerCommand, func(ctx context.Context, m *messages.ServerMessage) error {
			for _, session := range []string{"another", "", m.SessionID} {
				results := messages.NewCommandResults("dev", m, []messages.Result{result("1", session), result("2", session)})
				results.SessionID = session
				if err := c.Send(ctx, results); err != nil {
					return err
				}
			}
			return nil
		})
		command := twoCommands()
		command.SessionID = "session"
		results, err := SendCommand(context.Background(), s, command)
		if err != nil || results[0].Result.String() != `"session"` {
			t.Errorf("got %v, %v", results, err)
		}
		synctest.Wait()
		if fmt.Sprint(stray) != "[another ]" {
			t.Errorf("stray results of the sessions %q", stray)
		}
	})
}
