// Package lazyctx has contexts for what is hardly ever waited for: they cost one
// allocation, and neither a timer nor a place among the children of the context
// that they come from, until somebody asks for the channel of their end.
package lazyctx

import (
	"context"
	"sync"
	"time"
)

// Context is a [context.Context] that ends with the one that it comes from, when
// its time is over, or when its owner ends it. Of the first two, if nobody has
// looked in between, the first is taken for what came first. It need not be
// ended: unless it was waited for, nothing is kept of it. All methods may be
// called concurrently.
type Context struct {
	parent   context.Context
	deadline time.Time // zero for none
	late     error     // the cause when that is over

	mu sync.Mutex
	// own is the context that it is from when somebody has asked for Done, or it
	// has ended; cancel ends that.
	own    context.Context
	cancel context.CancelCauseFunc
	// ended by its owner, before that, with the cause why.
	ended bool
	why   error
}

// WithCancelCause is [context.WithCancelCause]: call Cancel.
func WithCancelCause(parent context.Context) *Context { return &Context{parent: parent} }

// WithTimeoutCause is [context.WithTimeoutCause]: call Cancel, whose cause is that
// of a call of a [context.CancelFunc] then, whatever it is given.
func WithTimeoutCause(parent context.Context, timeout time.Duration, cause error) *Context {
	return &Context{parent: parent, deadline: time.Now().Add(timeout), late: cause}
}

// Deadline returns the earlier one of its own and its parent's.
func (c *Context) Deadline() (time.Time, bool) {
	deadline, ok := c.parent.Deadline()
	if c.deadline.IsZero() || ok && deadline.Before(c.deadline) {
		return deadline, ok
	}
	return c.deadline, true
}

// Done returns the channel that is closed at the end.
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.make().Done()
}

// Err returns nil, or why it has ended.
func (c *Context) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own == nil && !c.over() {
		return nil
	}
	return c.make().Err()
}

// over reports whether it has ended, or should have. It is locked.
func (c *Context) over() bool {
	return c.ended || c.parent.Err() != nil || !c.deadline.IsZero() && time.Until(c.deadline) <= 0
}

// make returns the context that it is from now on. It is locked.
func (c *Context) make() context.Context {
	switch {
	case c.own != nil:
	case c.ended:
		c.own, c.cancel = context.WithCancelCause(context.WithoutCancel(c.parent))
		c.cancel(c.why)
	case c.deadline.IsZero():
		c.own, c.cancel = context.WithCancelCause(c.parent)
	default:
		var cancel context.CancelFunc
		c.own, cancel = context.WithDeadlineCause(c.parent, c.deadline, c.late)
		c.cancel = func(error) { cancel() }
	}
	return c.own
}

// Value returns the parent's value for key.
func (c *Context) Value(key any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case key == self{}:
		return c
	case key == cause:
		return c.make().Value(key)
	case c.own != nil:
		return c.own.Value(key)
	default:
		return c.parent.Value(key)
	}
}

// Cancel ends it, with that cause, unless it has ended already.
func (c *Context) Cancel(cause error) {
	if cancel := c.end(cause); cancel != nil {
		cancel(cause)
	}
}

// end notes that its owner ends it, or returns what else has to be called.
func (c *Context) end(cause error) context.CancelCauseFunc {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own == nil && c.over() {
		c.make()
	}
	if c.own == nil {
		c.ended = true
		if c.deadline.IsZero() {
			c.why = cause
		}
	}
	return c.cancel
}

// self is the key whose value is the nearest Context.
type self struct{}

// Ends reports whether ctx can end, as ctx.Done() != nil does, without asking a
// Context for that channel. Of what [context.WithoutCancel] makes of one, and of
// other contexts that hide its end, it reports that they can.
func Ends(ctx context.Context) bool { return ctx.Value(self{}) != nil || ctx.Done() != nil }

// Base returns the nearest context that ctx comes from and that is none of this
// package: what ends it besides its time and its owners, and those of the
// contexts between.
func Base(ctx context.Context) context.Context {
	for {
		c, ok := ctx.Value(self{}).(*Context)
		if !ok {
			return ctx
		}
		ctx = c.parent
	}
}

// Standard returns the context of the standard library whose end is that of ctx,
// a [Base], so that nothing need be kept of ctx to wait for that; or false if ctx
// is of another kind.
func Standard(ctx context.Context) (context.Context, bool) {
	standard, ok := ctx.Value(cause).(context.Context)
	if !ok || standard.Done() != ctx.Done() {
		return nil, false
	}
	return standard, true
}

// cause is the key by which [context.Cause] finds the context that knows the
// cause: who asks for it asks for more than the parent knows.
var cause = func() any {
	c := &asked{Context: context.Background()}
	_ = context.Cause(c)
	return c.key
}()

// asked is a context that notes which key it was asked for.
type asked struct {
	context.Context
	key any
}

// Err is not nil, so that there is a cause to be asked for.
func (a *asked) Err() error { return context.Canceled }

func (a *asked) Value(key any) any {
	a.key = key
	return nil
}
