package protocol

import (
	"context"
	"errors"
	"time"

	"github.com/aip-go/aip/internal/lazyctx"
	"github.com/aip-go/aip/internal/watchdog"
)

// When Run has delivered the reply to the only call that waited, and has read
// nothing but such replies for a while, the caller is likely to call again. Then
// Run waits for a moment, the lull, and the next caller reads its reply itself:
// that spares two changes of goroutines.

const (
	// lullPatience is how long a lull lasts without a call, and how long a caller
	// reads, before Run reads on; the watchdog may add some milliseconds.
	lullPatience = time.Millisecond
	// calm is how many such replies there have to be in a row.
	calm = 16
	// soon is longer than a lull: a deadline beyond that need not end it.
	soon = 20 * time.Millisecond
)

// lull is the part of the table of calls that says who reads in Run's place. It
// is guarded by the table's lock.
type lull struct {
	replies int  // in a row, each to the only call that waited
	begun   bool // Run does not read
	lent    bool // a caller does
}

// delivered notes that a reply was, or something else arrived. The table is
// locked.
func (c *calls[In]) delivered(reply bool) {
	if !reply || len(c.keyed)+len(c.unkeyed) > 0 {
		c.lull.replies = 0
		return
	}
	c.lull.replies++
}

// other notes that something arrived that is no message.
func (c *calls[In]) other() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delivered(false)
}

// wake ends a lull for someone who waits for something else than a reply.
func (c *calls[In]) wake() {
	c.mu.Lock()
	run := c.run
	c.mu.Unlock()
	if run != nil {
		run.recall()
	}
}

// called notes that a call has begun to wait, which reads itself if it is the
// only one. The table is locked.
func (c *calls[In]) called(reads bool) {
	if c.lull.begun && !c.lull.lent && !(reads && len(c.keyed)+len(c.unkeyed) == 1) {
		c.endLull()
	}
}

// beginLull reports whether a lull begins. The caller, Run, then has to wait until
// it has ended.
func (c *calls[In]) beginLull(begin func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lull.replies < calm || !c.running || len(c.keyed)+len(c.unkeyed) > 0 {
		return false
	}
	c.lull.begun = true
	begin()
	return true
}

// endLull has Run read on. The table is locked, and nobody reads.
func (c *calls[In]) endLull() {
	c.lull = lull{}
	c.run.lullOver()
}

// readSelf lets the caller of r read, if there is a lull, until it is over, r
// has come, or ctx has ended.
func (c *calls[In]) readSelf(ctx context.Context, r *Reply[In]) {
	c.mu.Lock()
	if !c.lull.begun || c.lull.lent || r.over {
		c.mu.Unlock()
		return
	}
	c.lull.lent = true
	run := c.run
	c.mu.Unlock()
	stays := false
	defer func() {
		if !stays {
			c.release(r, true) // A middleware has ended the goroutine.
		}
	}()
	run.readFor(ctx, r)
	stays = true
}

// giveBack ends the reading of a caller. The lull goes on if it was calm and
// nobody else waits.
func (c *calls[In]) giveBack(wasCalm bool, goOn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lull.lent = false
	if wasCalm && len(c.keyed)+len(c.unkeyed) == 0 {
		goOn()
		return
	}
	c.endLull()
}

// overdue ends a lull of run, or has stop called, if a caller reads, to make it
// give that up. A run that is over finds that of the next one.
func (c *calls[In]) overdue(run runner[In], stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.run != run || !c.lull.begun:
	case c.lull.lent:
		stop()
	default:
		c.endLull()
	}
}

// substitute is what a run has for lulls, in which a caller reads.
type substitute struct {
	patience *watchdog.Watchdog // over the lull, or the reading of a caller in it
	over     chan struct{}      // holds a signal when a lull has ended
	// ctx is that of the reading. It ends with the run's, and by stop.
	ctx  context.Context
	stop context.CancelFunc
	err  error // what the caller has met, for Run
	// watched is the end of the latest caller's context that need not be let go
	// of after the call: the next one's is the same, as a rule. It belongs to who
	// reads.
	watched <-chan struct{}
	unwatch func() bool
}

// watch has the end of a caller's context end the lull, until leave is called or
// longer. Times that are not over soon are left out, and so is who ends the
// context otherwise: that is done when the caller has been waiting for long.
func (r *run[Out, In]) watch(ctx context.Context) (leave func() bool) {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < soon {
		return context.AfterFunc(ctx, r.recall)
	}
	base := lazyctx.Base(ctx)
	done := base.Done()
	if done == r.instead.watched {
		return stay
	}
	r.forget()
	if done == nil {
		return stay
	}
	lasting, ok := lazyctx.Standard(base)
	if !ok {
		return context.AfterFunc(base, r.recall)
	}
	r.instead.watched, r.instead.unwatch = done, context.AfterFunc(lasting, r.recall)
	return stay
}

// stay is the leave of a watch that goes on.
func stay() bool { return false }

// forget ends the watch over the contexts of earlier callers.
func (r *run[Out, In]) forget() {
	if r.instead.unwatch != nil {
		r.instead.unwatch()
	}
	r.instead.watched, r.instead.unwatch = nil, nil
}

// linger waits for the end of a lull, if one begins.
func (r *run[Out, In]) linger() {
	if r.p.units.receiving.current != nil || r.p.units.awaiting() || !r.p.queue.empty() || !r.p.calls.beginLull(r.prepare) {
		return
	}
	select {
	case <-r.instead.over:
	case <-r.ctx.Done():
		r.recall()
		<-r.instead.over
	}
	r.instead.patience.Stop()
}

// prepare makes what a lull needs, when it begins. The table of calls is locked.
func (r *run[Out, In]) prepare() {
	if r.instead.over == nil {
		r.instead.over = make(chan struct{}, 1)
		r.instead.patience = watchdog.New(lullPatience, r.recall)
	}
	if r.instead.ctx == nil || r.instead.ctx.Err() != nil {
		r.instead.ctx, r.instead.stop = context.WithCancel(r.ctx)
	}
	r.instead.patience.Start()
}

// recall ends a lull: Run is to read.
func (r *run[Out, In]) recall() { r.p.calls.overdue(r, func() { r.instead.stop() }) }

// lullOver wakes Run at the end of a lull.
func (r *run[Out, In]) lullOver() { signal(r.instead.over) }

// endSubstitute ends what lulls have left. There is none.
func (r *run[Out, In]) endSubstitute() {
	if r.instead.over != nil {
		r.instead.patience.Close()
		r.instead.stop()
		r.forget()
	}
}

// readFor reads in Run's place, in the goroutine of the caller who waits for
// reply, until that has come, or caller, its context, has ended, or it takes too
// long, or something comes that is for Run.
func (r *run[Out, In]) readFor(caller context.Context, reply *Reply[In]) {
	wasCalm := false
	defer func() { r.p.calls.giveBack(wasCalm, r.instead.patience.Start) }()
	defer r.watch(caller)()
	for !reply.has() {
		if caller.Err() != nil {
			return
		}
		var in inbound[In]
		r.instead.patience.Start()
		if err := r.p.next(r.instead.ctx, &in); err != nil {
			if r.instead.ctx.Err() == nil || !errors.Is(err, r.instead.ctx.Err()) {
				r.instead.err = err
			}
			return
		}
		if in, ok := r.p.sort(r.handling, in); ok {
			r.p.putBack(in)
			return
		}
	}
	wasCalm = r.instead.ctx.Err() == nil // Else Run was told to read on, or to end.
}

// has reports whether the reply has come or never will.
func (r *Reply[In]) has() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}
