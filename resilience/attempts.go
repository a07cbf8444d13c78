package resilience

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

// DefaultStableAfter is the default of [AttemptsOptions.StableAfter].
const DefaultStableAfter = 30 * time.Second

// AttemptsOptions configures [Attempts]. Nil and zero values mean the defaults.
type AttemptsOptions struct {
	// StableAfter is how long a link must have held after an attempt succeeded
	// for the strategy to begin anew. A link that is lost earlier goes on with
	// the delays, and the retries, where it was: otherwise a server that takes
	// registrations and drops them would be asked without end and at the
	// shortest delay. Default 30 s; negative begins anew after each success.
	StableAfter time.Duration
	// Budget is shared with other links. Nil for none.
	Budget *Budget
	// Observe is told of everything that happens, in order, by the goroutine
	// that makes the attempts, which waits for it and holds no lock. Nil for
	// nobody.
	Observe func(AttemptEvent)
	// Logger gets a line for each event. Nil is silent.
	Logger *zap.Logger
}

// Attempts makes the attempts of one link and counts them. Each link needs its
// own, for as long as it exists; the strategy and the budget may be shared.
//
// All methods may be called concurrently, but only one Do runs at a time.
type Attempts struct {
	strategy Strategy
	o        AttemptsOptions
	now      chan struct{} // holds the wish to end the wait; one

	mu      sync.Mutex
	running bool
	delays  int       // asked for since the link was last stable
	since   time.Time // when the last attempt succeeded; zero: it did not
}

// NewAttempts returns the attempts of one link. A nil strategy means a
// [Backoff] with its defaults.
func NewAttempts(strategy Strategy, opts *AttemptsOptions) *Attempts {
	var o AttemptsOptions
	if opts != nil {
		o = *opts
	}
	if strategy == nil {
		strategy = newBackoff(BackoffOptions{})
	}
	setDefault(&o.StableAfter, DefaultStableAfter)
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return &Attempts{strategy: strategy, o: o, now: make(chan struct{}, 1)}
}

// Retry calls try until it succeeds, the strategy allows no more attempts, or
// ctx ends. The first call comes at once. It is [Attempts.Do] for a link that
// is made once.
func Retry(ctx context.Context, strategy Strategy, try func(ctx context.Context) error, opts *AttemptsOptions) error {
	return NewAttempts(strategy, opts).Do(ctx, nil, try)
}

// Do calls try until it succeeds, and then returns nil. try must not return nil
// before the link is registered, must return when its context ends, and should
// bound itself (see [Timeouts]).
//
// A nil cause means that nothing has failed yet: the first attempt comes at
// once. Otherwise cause is what ended the link, and the first attempt waits as
// the strategy says.
//
// The error is a [*RetryError], which matches [ErrGaveUp] or the context's
// error, or [ErrBusy] if a Do is running already. A Do after one without
// success begins the strategy anew.
func (a *Attempts) Do(ctx context.Context, cause error, try func(ctx context.Context) error) error {
	if !a.begin() {
		return ErrBusy
	}
	succeeded := false
	defer func() { a.end(succeeded) }()

	made := 0
	for {
		stop := a.wait(ctx, made+1, cause)
		if stop == nil {
			made++
			a.tell(AttemptEvent{Kind: AttemptStarted, Attempt: made})
			cause = try(ctx)
			if cause == nil {
				succeeded = true
				if a.o.Budget != nil {
					a.o.Budget.Success()
				}
				a.tell(AttemptEvent{Kind: AttemptSucceeded, Attempt: made})
				return nil
			}
			a.tell(AttemptEvent{Kind: AttemptFailed, Attempt: made, Err: cause})
			continue
		}
		err := &RetryError{Attempts: made, Err: stop, Cause: cause}
		a.tell(AttemptEvent{Kind: AttemptsEnded, Attempt: made, Err: err})
		return err
	}
}

// once makes one attempt, without the strategy.
func (a *Attempts) once(ctx context.Context, try func(ctx context.Context) error) error {
	if !a.begin() {
		return ErrBusy
	}
	a.tell(AttemptEvent{Kind: AttemptStarted, Attempt: 1})
	err := try(ctx)
	kind := AttemptSucceeded
	if err != nil {
		kind = AttemptFailed
	}
	a.tell(AttemptEvent{Kind: kind, Attempt: 1, Err: err})
	a.end(err == nil)
	return err
}

// ReconnectNow ends the wait before the next attempt, for example when the
// network is known to be back. If an attempt is running, the wait after it is
// left out. It does nothing when no Do runs. It does not begin the strategy
// anew, and a budget still has its say.
func (a *Attempts) ReconnectNow() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.running {
		return
	}
	select {
	case a.now <- struct{}{}:
	default: // the wish is there already
	}
}

// begin reports whether no Do was running, and starts one.
func (a *Attempts) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running {
		return false
	}
	a.running = true
	if a.stable() {
		a.delays = 0
	}
	a.since = time.Time{}
	return true
}

// stable reports whether the link held for long enough.
func (a *Attempts) stable() bool {
	return !a.since.IsZero() && (a.o.StableAfter < 0 || time.Since(a.since) >= a.o.StableAfter)
}

// settled reports whether no Do is running and the count is back at its
// beginning, or would be at the next Do: a new Attempts would do the same.
func (a *Attempts) settled() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.running && (a.delays == 0 || a.stable())
}

func (a *Attempts) end(succeeded bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = false
	if succeeded {
		a.since = time.Now()
	} else {
		a.delays = 0
	}
	select {
	case <-a.now:
	default:
	}
}

// wait waits for the attempt with the given number, if the strategy allows it,
// and for the budget. It returns why there is to be no attempt.
func (a *Attempts) wait(ctx context.Context, number int, cause error) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if cause != nil {
		a.mu.Lock()
		count := a.delays
		a.delays++
		a.mu.Unlock()
		delay, ok := a.strategy.NextDelay(count, cause)
		if !ok {
			return ErrGaveUp
		}
		delay = max(delay, 0)
		a.tell(AttemptEvent{Kind: AttemptWaiting, Attempt: number, Delay: delay, Err: cause})
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-a.now:
		case <-ctx.Done():
			return ended(ctx)
		}
	}
	if a.o.Budget != nil {
		return a.o.Budget.Wait(ctx)
	}
	return nil
}

// tell logs the event and tells the observer.
func (a *Attempts) tell(e AttemptEvent) {
	fields := []zap.Field{zap.Stringer("kind", e.Kind), zap.Int("attempt", e.Attempt)}
	if e.Kind == AttemptWaiting {
		fields = append(fields, zap.Duration("delay", e.Delay))
	}
	if e.Err != nil {
		fields = append(fields, zap.Error(e.Err))
	}
	a.o.Logger.Info("attempt to connect", fields...)
	if a.o.Observe != nil {
		a.o.Observe(e)
	}
}
