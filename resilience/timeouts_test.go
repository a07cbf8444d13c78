package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

const opOwn resilience.Operation = "own"

func TestTimeoutOfEachOperation(t *testing.T) {
	given := map[resilience.Operation]time.Duration{resilience.OpCommand: time.Hour, resilience.OpHeartbeat: -1, resilience.OpDisconnect: 0, "mine": time.Second}
	configured := resilience.NewTimeouts(&resilience.TimeoutOptions{Default: time.Minute, Operations: given})
	clear(given) // it has a copy
	for _, test := range []struct {
		op         resilience.Operation
		byDefault  time.Duration
		configured time.Duration
	}{
		{resilience.OpRegistration, 30 * time.Second, 30 * time.Second},
		{resilience.OpDispatch, 60 * time.Second, 60 * time.Second},
		{resilience.OpCommand, 300 * time.Second, time.Hour},
		{resilience.OpHeartbeat, 10 * time.Second, -1},
		{resilience.OpDisconnect, 15 * time.Second, 15 * time.Second},
		{resilience.OpDeviceInfo, 30 * time.Second, 30 * time.Second},
		{opOwn, 120 * time.Second, time.Minute},
		{"mine", 120 * time.Second, time.Second},
	} {
		if got := new(resilience.Timeouts).For(test.op); got != test.byDefault {
			t.Errorf("zero value: %s for %q, want %s", got, test.op, test.byDefault)
		}
		if got := resilience.NewTimeouts(nil).For(test.op); got != test.byDefault {
			t.Errorf("by default: %s for %q, want %s", got, test.op, test.byDefault)
		}
		if got := configured.For(test.op); got != test.configured {
			t.Errorf("configured: %s for %q, want %s", got, test.op, test.configured)
		}
	}
}

// untilEnd is an operation that takes for ever.
func untilEnd(ctx context.Context) error {
	<-ctx.Done()
	return &transport.Error{Op: "send", Outcome: transport.MaybeSent, Err: ctx.Err()}
}

func TestTimeoutErrorNamesTheOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := new(resilience.Timeouts).Do(t.Context(), resilience.OpDispatch, untilEnd)
		if took := time.Since(start); took != 60*time.Second {
			t.Errorf("took %s", took)
		}
		var timeout *resilience.TimeoutError
		if !errors.As(err, &timeout) || timeout.Operation != resilience.OpDispatch || timeout.After != 60*time.Second {
			t.Fatalf("%#v", err)
		}
		if !errors.Is(err, context.DeadlineExceeded) || transport.OutcomeOf(err) != transport.MaybeSent || !transport.Retryable(err) {
			t.Error("what the operation returned was lost")
		}
		var netError net.Error
		if !timeout.Timeout() || errors.As(err, &netError) && !netError.Timeout() {
			t.Error("it is no timeout")
		}
		if want := "resilience: dispatch took longer than 1m0s: transport: send: context deadline exceeded (maybe sent)"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	})
}

func TestOperationKnowsItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := resilience.WithTimeout(t.Context(), opOwn, time.Second, func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		if want := "resilience: own took longer than 1s"; err == nil || err.Error() != want || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %q", err, want)
		}
		// However the operation says it.
		err = resilience.WithTimeout(t.Context(), opOwn, time.Second, func(ctx context.Context) error {
			<-ctx.Done()
			return net.ErrClosed
		})
		if !errors.As(err, new(*resilience.TimeoutError)) || !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestEndOfTheCallersContextIsNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			name string
			end  func() (context.Context, context.CancelFunc)
			want error
		}{
			{"cancelled", func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				return ctx, cancel
			}, context.Canceled},
			{"deadline", func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(t.Context(), time.Second)
			}, context.DeadlineExceeded},
		} {
			for _, timeout := range []time.Duration{2 * time.Second, -1} {
				ctx, cancel := test.end()
				err := resilience.WithTimeout(ctx, opOwn, timeout, untilEnd)
				cancel()
				if errors.As(err, new(*resilience.TimeoutError)) || !errors.Is(err, test.want) {
					t.Errorf("%s, timeout %s: %v", test.name, timeout, err)
				}
			}
		}
	})
}

func TestResultsInTimePassAsTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, want := range []error{nil, errLost, context.DeadlineExceeded} {
			err := resilience.WithTimeout(t.Context(), opOwn, time.Second, func(context.Context) error { return want })
			if err != want {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		late := resilience.WithTimeout(t.Context(), opOwn, time.Second, func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		})
		if late != nil {
			t.Errorf("a late success: %v", late)
		}
	})
}

func TestNegativeTimeoutNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := resilience.WithTimeout(t.Context(), opOwn, -1, func(ctx context.Context) error {
			if _, bounded := ctx.Deadline(); bounded {
				return errors.New("there is a deadline")
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if err := resilience.WithTimeout(t.Context(), opOwn, 0, untilEnd); !errors.As(err, new(*resilience.TimeoutError)) {
			t.Errorf("no time at all: %v", err)
		}
	})
}

func TestDoOrNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timeouts := resilience.NewTimeouts(&resilience.TimeoutOptions{Default: time.Second})
		inner := func(ctx context.Context) error {
			return resilience.WithTimeout(ctx, "inner", time.Millisecond, untilEnd)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for _, test := range []struct {
			name string
			ctx  context.Context
			run  func(context.Context) error
			ok   bool
			err  string
		}{
			{"success", t.Context(), func(context.Context) error { return nil }, true, "<nil>"},
			{"failure", t.Context(), func(context.Context) error { return errLost }, false, "lost"},
			{"timeout", t.Context(), untilEnd, false, "<nil>"},
			{"timeout of something else", t.Context(), inner, false, "resilience: inner took longer than 1ms: transport: send: context deadline exceeded (maybe sent)"},
			{"cancelled", ended, untilEnd, false, "transport: send: context canceled (maybe sent)"},
		} {
			if ok, err := timeouts.DoOrNone(test.ctx, opOwn, test.run); ok != test.ok || fmt.Sprint(err) != test.err {
				t.Errorf("%s: %t, %v", test.name, ok, err)
			}
		}
	})
}
