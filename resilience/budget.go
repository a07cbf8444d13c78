package resilience

import (
	"container/list"
	"context"
	"math"
	"sync"
	"time"
)

// Defaults of [BudgetOptions].
const (
	DefaultBudgetTokens = 100
	DefaultBudgetRatio  = 0.1
	DefaultBudgetRefill = 10
)

// BudgetOptions configures a [Budget]. Nil and zero values mean the defaults.
type BudgetOptions struct {
	// Tokens is how many tokens the bucket holds; it begins full. Attempts
	// wait while it is at most half full, so that half of Tokens is how many
	// can fail in a row without a wait. Default 100; at least 1.
	Tokens float64
	// Ratio is the part of a token that each success adds. Default 0.1;
	// negative for nothing.
	Ratio float64
	// Refill is how many tokens come back per second, and so how many attempts
	// per second there are while all of them fail. Default 10.
	Refill float64
}

// Budget bounds the attempts of many links together, so that a server in
// trouble does not get the retries of all of them on top. It is gRPC's retry
// throttling (gRFC A6, "Throttling Retry Attempts and Hedged RPCs"): a bucket
// of tokens, from which a failure takes one, to which a success adds Ratio, and
// which allows an attempt only while it is more than half full.
//
// Two things differ, because gRPC throttles the retries of calls, whose first
// attempts go on, while a link's attempts are all there is:
//
//   - An attempt over the budget is not given up, it waits. Waiting attempts
//     begin in the order in which they came. Refill sees to it that one of them
//     finds out when the server is back.
//   - An attempt takes its token when it begins, and a success returns it,
//     with Ratio on top. So no crowd of waiting attempts passes at once, and
//     each success lets the next one begin.
//
// A Budget may be used by any number of goroutines at once.
type Budget struct {
	capacity, ratio, refill float64

	mu      sync.Mutex
	tokens  float64
	at      time.Time   // when tokens was true
	waiting list.List   // of chan struct{}, closed when the attempt may begin
	timer   *time.Timer // runs pump while attempts wait; nil before the first did
}

// NewBudget returns a full budget, or an error that matches
// [ErrInvalidOptions].
func NewBudget(opts *BudgetOptions) (*Budget, error) {
	var o BudgetOptions
	if opts != nil {
		o = *opts
	}
	setDefault(&o.Tokens, DefaultBudgetTokens)
	setDefault(&o.Ratio, DefaultBudgetRatio)
	setDefault(&o.Refill, DefaultBudgetRefill)
	switch {
	case !(o.Tokens >= 1 && o.Tokens <= math.MaxFloat64):
		return nil, invalid("Tokens is %g, want at least 1", o.Tokens)
	case !(math.Abs(o.Ratio) <= math.MaxFloat64):
		return nil, invalid("Ratio is %g, want a number", o.Ratio)
	case !(o.Refill > 0 && o.Refill <= math.MaxFloat64):
		return nil, invalid("Refill is %g, want more than 0", o.Refill)
	}
	return &Budget{
		capacity: o.Tokens, ratio: max(o.Ratio, 0), refill: o.Refill,
		tokens: o.Tokens, at: time.Now(),
	}, nil
}

// Wait waits until an attempt may begin, and takes its token. It returns the
// context's error and takes nothing when ctx ends first. Call Success if the
// attempt succeeds; a failure needs no call.
func (b *Budget) Wait(ctx context.Context) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	begin := make(chan struct{})
	b.mu.Lock()
	place := b.waiting.PushBack(begin)
	b.pump()
	b.mu.Unlock()
	select {
	case <-begin:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-begin:
		b.tokens = min(b.tokens+1, b.capacity)
	default:
		b.waiting.Remove(place)
	}
	b.pump()
	return ended(ctx)
}

// Success reports that an attempt succeeded.
func (b *Budget) Success() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.tokens+1+b.ratio, b.capacity)
	b.pump()
}

// Tokens returns how many tokens there are, and how many attempts wait.
func (b *Budget) Tokens() (tokens float64, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill()
	return b.tokens, b.waiting.Len()
}

// fill adds the tokens that came back since the last time.
func (b *Budget) fill() {
	now := time.Now()
	b.tokens = min(b.tokens+now.Sub(b.at).Seconds()*b.refill, b.capacity)
	b.at = now
}

// pump lets attempts begin while there are tokens for them, and comes back when
// there will be one for the next.
func (b *Budget) pump() {
	b.fill()
	for b.tokens > b.capacity/2 && b.waiting.Len() > 0 {
		b.tokens--
		close(b.waiting.Remove(b.waiting.Front()).(chan struct{}))
	}
	if b.waiting.Len() == 0 {
		if b.timer != nil {
			b.timer.Stop()
		}
		return
	}
	missing := (b.capacity/2 - b.tokens) / b.refill
	wait := time.Millisecond + time.Duration(min(missing, 3600)*float64(time.Second))
	if b.timer == nil {
		b.timer = time.AfterFunc(wait, b.refilled)
		return
	}
	b.timer.Reset(wait)
}

// refilled runs when there should be a token for the attempt that waits longest.
func (b *Budget) refilled() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pump()
}
