package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aip-go/aip/resilience"
)

// exact is the reference's default: 1, 2, 4, 8, 16 s.
func exact(t testing.TB) *resilience.Backoff {
	return newBackoff(t, resilience.BackoffOptions{NoJitter: true})
}

// failing fails a number of times, and notes when it was called.
type failing struct {
	times int
	err   error
	start time.Time
	calls []time.Duration
}

func newFailing(times int) *failing {
	return &failing{times: times, err: errLost, start: time.Now()}
}

func (f *failing) try(context.Context) error {
	f.calls = append(f.calls, time.Since(f.start))
	if len(f.calls) <= f.times {
		return f.err
	}
	return nil
}

func TestRetryTriesAtOnceAndThenWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailing(3)
		if err := resilience.Retry(t.Context(), exact(t), f.try, nil); err != nil {
			t.Fatal(err)
		}
		if want := seconds(0, 1, 3, 7); !slices.Equal(f.calls, want) {
			t.Errorf("calls at %v, want %v", f.calls, want)
		}
	})
}

func TestRetryGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailing(100)
		err := resilience.Retry(t.Context(), exact(t), f.try, nil)
		if want := seconds(0, 1, 3, 7, 15, 31); !slices.Equal(f.calls, want) {
			t.Errorf("calls at %v, want %v", f.calls, want)
		}
		if time.Since(f.start) != 31*time.Second {
			t.Error("waits after the last attempt")
		}
		var retry *resilience.RetryError
		if !errors.As(err, &retry) || retry.Attempts != 6 || !errors.Is(err, resilience.ErrGaveUp) || !errors.Is(err, errLost) || !retry.Retryable() {
			t.Errorf("%#v", err)
		}
		if want := "resilience: gave up after 6 attempts; last failure: lost"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	})
}

func TestRetryStopsAtAPermanentFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailing(100)
		f.err = handshake(http.StatusForbidden, "")
		err := resilience.Retry(t.Context(), nil, f.try, nil)
		if len(f.calls) != 1 || !errors.Is(err, resilience.ErrGaveUp) || !errors.Is(err, f.err) {
			t.Errorf("%d calls, %v", len(f.calls), err)
		}
		if !strings.HasPrefix(err.Error(), "resilience: gave up after 1 attempt; ") {
			t.Errorf("%q", err)
		}
	})
}

func TestAttemptsWaitFirstAfterALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailing(1)
		if err := resilience.NewAttempts(exact(t), nil).Do(t.Context(), errLost, f.try); err != nil {
			t.Fatal(err)
		}
		if want := seconds(1, 3); !slices.Equal(f.calls, want) {
			t.Errorf("calls at %v, want %v", f.calls, want)
		}
	})
}

func TestNoAttemptAfterAPermanentLoss(t *testing.T) {
	f := newFailing(0)
	err := resilience.NewAttempts(nil, nil).Do(t.Context(), closed(1008), f.try)
	var retry *resilience.RetryError
	if !errors.As(err, &retry) || retry.Attempts != 0 || retry.Retryable() || len(f.calls) != 0 {
		t.Errorf("%d calls, %v", len(f.calls), err)
	}
}

// A link that flaps goes on with the delays where it was, one that held begins
// anew.
func TestDelaysBeginAnewAfterAStablePeriod(t *testing.T) {
	for _, test := range []struct {
		stableAfter, held time.Duration
		want              []time.Duration
	}{
		{0, resilience.DefaultStableAfter - 1, seconds(1, 2, 4, 8, 16)},
		{0, resilience.DefaultStableAfter, seconds(1, 1, 1, 1, 1, 1, 1)},
		{time.Minute, 59 * time.Second, seconds(1, 2, 4, 8, 16)},
		{time.Minute, time.Minute, seconds(1, 1, 1, 1, 1, 1, 1)},
		{-1, 0, seconds(1, 1, 1, 1, 1, 1, 1)},
	} {
		t.Run(fmt.Sprintf("%s of %s", test.held, test.stableAfter), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []time.Duration
				a := resilience.NewAttempts(exact(t), &resilience.AttemptsOptions{
					StableAfter: test.stableAfter,
					Observe: func(e resilience.AttemptEvent) {
						if e.Kind == resilience.AttemptWaiting {
							got = append(got, e.Delay)
						}
					},
				})
				var err error
				for range 7 {
					if err = a.Do(t.Context(), errLost, newFailing(0).try); err != nil {
						break
					}
					time.Sleep(test.held)
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("delays %v, want %v", got, test.want)
				}
				if gaveUp := len(test.want) == 5; gaveUp != errors.Is(err, resilience.ErrGaveUp) {
					t.Errorf("the end is %v", err)
				}
			})
		})
	}
}

func TestAttemptsBeginAnewAfterAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := resilience.NewAttempts(exact(t), nil)
		for range 2 {
			f := newFailing(100)
			if err := a.Do(t.Context(), errLost, f.try); !errors.Is(err, resilience.ErrGaveUp) {
				t.Fatal(err)
			}
			if want := seconds(1, 3, 7, 15, 31); !slices.Equal(f.calls, want) {
				t.Errorf("calls at %v, want %v", f.calls, want)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := a.Do(ctx, errLost, newFailing(100).try); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		f := newFailing(0)
		if err := a.Do(t.Context(), errLost, f.try); err != nil || f.calls[0] != time.Second {
			t.Errorf("calls at %v, %v", f.calls, err)
		}
	})
}

func TestObserverIsToldOfEverythingInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		core, logs := observer.New(zap.InfoLevel)
		var a *resilience.Attempts
		a = resilience.NewAttempts(exact(t), &resilience.AttemptsOptions{
			Logger: zap.New(core),
			Observe: func(e resilience.AttemptEvent) {
				got = append(got, fmt.Sprintf("%s %d %s %v", e.Kind, e.Attempt, e.Delay, e.Err))
				// No lock is held: what takes the locks returns.
				if err := a.Do(context.Background(), nil, nil); err != resilience.ErrBusy {
					t.Errorf("a Do within a Do: %v", err)
				}
			},
		})
		if err := a.Do(t.Context(), errLost, newFailing(1).try); err != nil {
			t.Fatal(err)
		}
		err := a.Do(t.Context(), decided(false), nil)
		want := []string{
			"waiting 1 1s lost",
			"started 1 0s <nil>",
			"failed 1 0s lost",
			"waiting 2 2s lost",
			"started 2 0s <nil>",
			"succeeded 2 0s <nil>",
			"ended 0 0s " + err.Error(),
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if logs.Len() != len(want) {
			t.Errorf("%d lines logged for %d events", logs.Len(), len(want))
		}
		if got := resilience.AttemptKind(9).String(); got != "kind(9)" {
			t.Errorf("%q", got)
		}
	})
}

func TestReconnectNowEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := resilience.NewAttempts(exact(t), nil)
		a.ReconnectNow() // nothing runs: no effect on what comes
		f := newFailing(4)
		ended := make(chan error)
		go func() { ended <- a.Do(t.Context(), errLost, f.try) }()
		time.Sleep(1500 * time.Millisecond) // within the second wait, of 2 s
		a.ReconnectNow()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		// The first comes after 1 s, the second at once, and the others after
		// their full delays of 4, 8 and 16 s.
		want := []time.Duration{1000, 1500, 5500, 13500, 29500}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(f.calls, want) {
			t.Errorf("calls at %v, want %v", f.calls, want)
		}
	})
}

func TestReconnectNowDuringAnAttemptLeavesOutOneWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := resilience.NewAttempts(exact(t), nil)
		f := newFailing(2)
		err := a.Do(t.Context(), nil, func(ctx context.Context) error {
			if len(f.calls) == 0 {
				a.ReconnectNow()
			}
			return f.try(ctx)
		})
		if want := seconds(0, 0, 2); err != nil || !slices.Equal(f.calls, want) {
			t.Errorf("calls at %v, want %v; %v", f.calls, want, err)
		}
		// A wish during the last attempt is gone with it.
		f = newFailing(0)
		if err := a.Do(t.Context(), nil, func(ctx context.Context) error { a.ReconnectNow(); return f.try(ctx) }); err != nil {
			t.Fatal(err)
		}
		f = newFailing(0)
		if err := a.Do(t.Context(), errLost, f.try); err != nil || f.calls[0] == 0 {
			t.Errorf("calls at %v, %v", f.calls, err)
		}
	})
}

func TestContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closing := errors.New("closing")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(1500*time.Millisecond, func() { cancel(closing) })
		f := newFailing(100)
		err := resilience.Retry(ctx, exact(t), f.try, nil)
		if time.Since(f.start) != 1500*time.Millisecond {
			t.Errorf("returned after %s", time.Since(f.start))
		}
		if !errors.Is(err, context.Canceled) || !errors.Is(err, closing) || !errors.Is(err, errLost) || errors.Is(err, resilience.ErrGaveUp) {
			t.Error(err)
		}
		if want := "resilience: stopped after 2 attempts: context canceled: closing; last failure: lost"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	})
}

func TestContextEndsTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := resilience.Retry(ctx, nil, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}, nil)
		if errors.Is(err, resilience.ErrGaveUp) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		f := newFailing(0)
		err = resilience.Retry(ctx, nil, f.try, nil)
		if want := "resilience: stopped after 0 attempts: context deadline exceeded"; len(f.calls) != 0 || err == nil || err.Error() != want {
			t.Errorf("%d calls with a context that had ended; %v", len(f.calls), err)
		}
	})
}

// sequence is a user's own strategy.
type sequence []time.Duration

func (s sequence) NextDelay(attempt int, _ error) (time.Duration, bool) {
	if attempt >= len(s) {
		return 0, false
	}
	return s[attempt], true
}

func TestStrategyCanBeReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFailing(100)
		err := resilience.Retry(t.Context(), sequence{3 * time.Second, -time.Hour, time.Second}, f.try, nil)
		if want := seconds(0, 3, 3, 4); !slices.Equal(f.calls, want) || !errors.Is(err, resilience.ErrGaveUp) {
			t.Errorf("calls at %v, want %v; %v", f.calls, want, err)
		}
	})
}

func TestAttemptsAreMadeOneDoAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := resilience.NewAttempts(sequence{time.Hour}, nil)
		var wait sync.WaitGroup
		results := make(chan error, 8)
		for range cap(results) {
			wait.Go(func() { results <- a.Do(t.Context(), errLost, newFailing(0).try) })
		}
		wait.Wait()
		close(results)
		done := 0
		for err := range results {
			if err == nil {
				done++
			} else if err != resilience.ErrBusy {
				t.Error(err)
			}
		}
		if done != 1 {
			t.Errorf("%d of 8 ran", done)
		}
	})
}

// A panic of an attempt does not leave the link busy for ever.
func TestPanicOfAnAttemptPasses(t *testing.T) {
	a := resilience.NewAttempts(nil, nil)
	func() {
		defer func() {
			if recover() != "broken" {
				t.Error("the panic was swallowed")
			}
		}()
		_ = a.Do(t.Context(), nil, func(context.Context) error { panic("broken") })
	}()
	if err := a.Do(t.Context(), nil, newFailing(0).try); err != nil {
		t.Error(err)
	}
}
