package resilience_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/resilience"
)

func newBudget(t testing.TB, o resilience.BudgetOptions) *resilience.Budget {
	t.Helper()
	b, err := resilience.NewBudget(&o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pass lets attempts begin until one would have to wait, and returns how many.
func pass(t *testing.T, b *resilience.Budget) int {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Nanosecond, cancel)
	for n := 0; ; n++ {
		if err := b.Wait(ctx); err != nil {
			return n
		}
	}
}

// The numbers are those of gRFC A6: each failure costs a token, each success
// brings the ratio, and half of the tokens is where it ends.
func TestBudgetAllowsWhileMoreThanHalfFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, resilience.BudgetOptions{Tokens: 10, Ratio: 0.5, Refill: 1e-9})
		if n := pass(t, b); n != 5 {
			t.Errorf("%d attempts failed before the first had to wait, want 5", n)
		}
		b.Success() // a token and a half
		b.Success()
		if tokens, waiting := b.Tokens(); math.Abs(tokens-8) > 1e-6 || waiting != 0 {
			t.Errorf("%g tokens, %d waiting", tokens, waiting)
		}
		if n := pass(t, b); n != 3 {
			t.Errorf("%d attempts after two successes, want 3", n)
		}
		for range 20 {
			b.Success()
		}
		if tokens, _ := b.Tokens(); tokens != 10 {
			t.Errorf("%g tokens in a bucket for 10", tokens)
		}
	})
}

func TestBudgetBoundsTheRateWhileAllFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, resilience.BudgetOptions{})
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		var wait sync.WaitGroup
		var attempts atomic.Int64
		for range 1000 {
			wait.Go(func() {
				for b.Wait(ctx) == nil {
					attempts.Add(1)
					time.Sleep(time.Millisecond)
				}
			})
		}
		wait.Wait()
		// 50 at once, then 10 per second.
		if n := attempts.Load(); n < 1040 || n > 1055 {
			t.Errorf("%d attempts in %s, want 1050", n, time.Since(start))
		}
		if _, waiting := b.Tokens(); waiting != 0 {
			t.Errorf("%d wait after all have gone", waiting)
		}
	})
}

func TestSuccessesLetTheWaitingPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, resilience.BudgetOptions{Tokens: 10, Ratio: 0.1, Refill: 0.1})
		pass(t, b)
		start := time.Now()
		var mu sync.Mutex
		var order []int
		var wait sync.WaitGroup
		for i := range 100 {
			wait.Go(func() {
				if err := b.Wait(t.Context()); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Millisecond) // the attempt
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				b.Success()
			})
			synctest.Wait() // so that they queue in this order
		}
		wait.Wait()
		// The first waits 10 s or less for a token, and all others follow it.
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("100 attempts took %s", took)
		}
		if order[0] != 0 {
			t.Errorf("the first in the queue was not the first to begin: %v", order)
		}
	})
}

func TestBudgetWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, resilience.BudgetOptions{Tokens: 3, Refill: 0.01})
		pass(t, b)
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		first := make(chan error)
		go func() { first <- b.Wait(ctx) }()
		synctest.Wait()
		second := make(chan error)
		go func() { second <- b.Wait(t.Context()) }()
		synctest.Wait()
		if _, waiting := b.Tokens(); waiting != 2 {
			t.Fatalf("%d wait, want 2", waiting)
		}
		cancel(gone)
		if err := <-first; !errors.Is(err, context.Canceled) || !errors.Is(err, gone) {
			t.Error(err)
		}
		b.Success()
		if err := <-second; err != nil {
			t.Error(err)
		}
		if err := b.Wait(ctx); !errors.Is(err, gone) {
			t.Errorf("with a context that had ended: %v", err)
		}
	})
}

// However waits end, each token is returned or used.
func TestBudgetLosesNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, resilience.BudgetOptions{Tokens: 20, Ratio: -1, Refill: 1e-9})
		var wait sync.WaitGroup
		for range 64 {
			wait.Go(func() {
				for i := range 200 {
					ctx, cancel := context.WithCancel(t.Context())
					if i%2 == 0 {
						go cancel()
					}
					if b.Wait(ctx) == nil {
						b.Success()
					}
					cancel()
				}
			})
		}
		wait.Wait()
		if tokens, waiting := b.Tokens(); math.Abs(tokens-20) > 1e-3 || waiting != 0 {
			t.Errorf("%g tokens, want 20; %d waiting", tokens, waiting)
		}
	})
}

func TestLinksShareABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, resilience.BudgetOptions{Tokens: 20, Refill: 1})
		start := time.Now()
		up := start.Add(60 * time.Second)
		var wait sync.WaitGroup
		var attempts atomic.Int64
		for range 100 {
			a := resilience.NewAttempts(sequence(make([]time.Duration, 10000)), &resilience.AttemptsOptions{Budget: b})
			wait.Go(func() {
				err := a.Do(t.Context(), errLost, func(context.Context) error {
					attempts.Add(1)
					time.Sleep(time.Millisecond)
					if time.Now().Before(up) {
						return errLost
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		// 10 at once and one per second while the server is down; then each
		// link needs one more, and soon has it.
		if n := attempts.Load(); n < 160 || n > 175 {
			t.Errorf("%d attempts of 100 links, want 170", n)
		}
		if took := time.Since(start); took > 62*time.Second {
			t.Errorf("all links were back after %s", took)
		}
	})
}

func TestContextEndsTheWaitForTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(t, resilience.BudgetOptions{Tokens: 3, Refill: 1e-9})
		pass(t, b)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f := newFailing(0)
		err := resilience.Retry(ctx, nil, f.try, &resilience.AttemptsOptions{Budget: b})
		if !errors.Is(err, context.DeadlineExceeded) || len(f.calls) != 0 {
			t.Errorf("%d calls, %v", len(f.calls), err)
		}
	})
}

func TestBudgetRefusesInvalidOptions(t *testing.T) {
	for _, o := range []resilience.BudgetOptions{
		{Tokens: -1}, {Tokens: 0.5}, {Tokens: math.NaN()}, {Tokens: math.Inf(1)},
		{Ratio: math.NaN()}, {Ratio: math.Inf(1)},
		{Refill: -1}, {Refill: math.NaN()}, {Refill: math.Inf(1)},
	} {
		if _, err := resilience.NewBudget(&o); !errors.Is(err, resilience.ErrInvalidOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
