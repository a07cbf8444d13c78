package protocol

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// calls is the table of the replies that are waited for, and knows whether Run
// is there to find them. All methods may be called concurrently.
type calls[In Message] struct {
	limit int    // negative: none
	poke  func() // called when a call begins to wait

	mu        sync.Mutex
	running   bool
	run       runner[In] // nil before the first
	lull      lull
	started   chan struct{} // closed while running
	ended     error         // what ended the connection; nil before
	keyed     map[matchKey]*Reply[In]
	unkeyed   []*Reply[In]
	done      tombstones
	late      uint64
	duplicate uint64
}

func newCalls[In Message](limit int, poke func()) *calls[In] {
	return &calls[In]{
		limit:   limit,
		poke:    poke,
		started: make(chan struct{}),
		keyed:   map[matchKey]*Reply[In]{},
	}
}

// expect adds a reply to wait for. If needRun, Run has to be running, and whoever
// waits may read the reply itself.
func (c *calls[In]) expect(match Match[In], nested, needRun bool) (*Reply[In], error) {
	r := &Reply[In]{calls: c, match: match, nested: nested, done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended != nil:
		return nil, c.ended
	case needRun && !c.running:
		return nil, ErrNotRunning
	case c.limit >= 0 && len(c.keyed)+len(c.unkeyed) >= c.limit:
		return nil, ErrTooManyCalls
	case match.accepts != nil:
		c.unkeyed = append(c.unkeyed, r)
	case c.keyed[match.key] != nil:
		return nil, ErrDuplicateCall
	default:
		c.keyed[match.key] = r
	}
	c.poke()
	c.called(needRun)
	return r, nil
}

// end takes r, which is in the table, out of it and ends its wait. The table is
// locked.
func (c *calls[In]) end(r *Reply[In], m *In, err error) {
	if r.match.accepts == nil {
		delete(c.keyed, r.match.key)
	} else if i := slices.Index(c.unkeyed, r); i >= 0 {
		c.unkeyed = slices.Delete(c.unkeyed, i, i+1)
	}
	r.over, r.message, r.err = true, m, err
	close(r.done)
}

// finish is end for a call whose reply may come again, or still. The table is
// locked.
func (c *calls[In]) finish(r *Reply[In], m *In, err error) {
	if r.match.keep {
		c.done.add(r.match.key, m != nil)
	}
	c.end(r, m, err)
}

// release ends the wait of r, and reports whether it still waited. Its reply may
// still come then, unless the message was not sent.
func (c *calls[In]) release(r *Reply[In], sent bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.over {
		return false
	}
	released := fmt.Errorf("protocol: reply was released: %w", context.Canceled)
	if sent {
		c.finish(r, nil, released)
		return true
	}
	c.done.forget(r.match.key) // An earlier call had the same key, maybe.
	c.end(r, nil, released)
	return true
}

// runner is what the table knows of Run.
type runner[In Message] interface {
	// handOver has somebody read while a handler runs.
	handOver()
	// lullOver tells it that a lull has ended. The table is locked.
	lullOver()
	// readFor reads in its place, until the context of the caller ends.
	readFor(context.Context, *Reply[In])
	// recall makes whoever reads in its place give that up.
	recall()
}

// start notes that Run runs.
func (c *calls[In]) start(run runner[In]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running, c.run, c.lull = true, run, lull{}
	close(c.started)
}

// stop notes that Run no longer reads, and ends every wait with cause. If
// ended, the connection is over.
func (c *calls[In]) stop(cause error, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = false
	c.started = make(chan struct{})
	if ended {
		c.ended = cause
	}
	c.fail(cause, func(*Reply[In]) bool { return true })
}

// read sees to it that what a handler is about to wait for is read.
func (c *calls[In]) read() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running {
		c.run.handOver()
	}
}

// interrupt ends every wait with cause: the peer knows nothing of the calls.
func (c *calls[In]) interrupt(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(cause, func(*Reply[In]) bool { return true })
}

// failNested ends the waits of calls made by handlers with cause.
func (c *calls[In]) failNested(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(cause, func(r *Reply[In]) bool { return r.nested })
}

// fail ends the waits that which chooses. The table is locked.
func (c *calls[In]) fail(cause error, which func(*Reply[In]) bool) {
	for _, r := range c.keyed {
		if which(r) {
			c.finish(r, nil, cause)
		}
	}
	for i := len(c.unkeyed) - 1; i >= 0; i-- {
		if r := c.unkeyed[i]; which(r) {
			c.finish(r, nil, cause)
		}
	}
}

// waiting returns how many replies are waited for.
func (c *calls[In]) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.keyed) + len(c.unkeyed)
}

// verdict is what the table says of a message.
type verdict uint8

const (
	notReply  verdict = iota // it answers nothing
	answered                 // it answered a call
	lateReply                // it answers a call that is over
)

// deliver hands m to the call that it answers.
func (c *calls[In]) deliver(m *In) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := c.find(m)
	if found != lateReply {
		c.delivered(found == answered)
	}
	return found
}

// find is deliver. The table is locked.
func (c *calls[In]) find(m *In) verdict {
	for _, r := range c.unkeyed {
		if r.match.accepts(m) {
			c.finish(r, m, nil)
			return answered
		}
	}
	if isError(m) {
		if c.deliverError(m) {
			return answered
		}
		return notReply
	}
	key, ok := keyOf(m)
	if !ok {
		return notReply
	}
	if r := c.keyed[key]; r != nil {
		c.finish(r, m, nil)
		return answered
	}
	switch found, before := c.done.reply(key); {
	case !found:
		return notReply
	case before:
		c.duplicate++
	default:
		c.late++
	}
	return lateReply
}

// deliverError fails the calls that the error message m concerns: those it
// names by id, or else by session, or else the only one it can be about. The
// table is locked.
func (c *calls[In]) deliverError(m *In) bool {
	cause, ids := remoteError(m)
	before := len(c.keyed)
	for _, id := range ids {
		if id != "" {
			c.fail(cause, func(r *Reply[In]) bool { return r.match.id == id })
		}
	}
	if len(c.keyed) == before && cause.SessionID != "" {
		c.fail(cause, func(r *Reply[In]) bool { return r.match.session == cause.SessionID })
	}
	if len(c.keyed) == before && cause.SessionID == "" {
		c.failSole(cause)
	}
	return len(c.keyed) < before
}

// failSole fails the only call that an error without ids can be about. With
// none or several of them it fails none.
func (c *calls[In]) failSole(cause error) {
	var sole *Reply[In]
	for _, r := range c.keyed {
		switch {
		case !r.match.soleError:
		case sole != nil:
			return
		default:
			sole = r
		}
	}
	if sole != nil {
		c.finish(sole, nil, cause)
	}
}

// awaitRun waits until Run runs.
func (c *calls[In]) awaitRun(ctx context.Context) error {
	c.mu.Lock()
	started, ended := c.started, c.ended
	c.mu.Unlock()
	if ended != nil {
		return ended
	}
	select {
	case <-started:
		return nil
	default:
	}
	select {
	case <-started:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotRunning, ctx.Err())
	}
}
