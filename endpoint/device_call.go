package endpoint

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/internal/lazyctx"
	"github.com/aip-go/aip/messages"
)

// toolCall is a tool that is called for a command, by a worker, which waits for
// it until its time is over. Then another worker takes the place of that one,
// which is left to the tool: it is waited for at the end of the connection, and
// what the tool does in the end is kept.
type toolCall struct {
	conn    *deviceConn
	watch   *toolWatch // of its worker
	run     *commandRun
	tool    Tool
	cached  *cachedCall
	limited *lazyctx.Context // of the tool

	// over: the tool has come back, or its time was over before. Guarded by the
	// connection's lock.
	over bool
}

// do calls the tool, unless that has been done, and adds its result to the
// command, if that has not been done by another worker.
func (t *toolCall) do(parameters messages.Value) progress {
	c := t.conn
	t.limited = lazyctx.WithTimeoutCause(t.run.job.ctx, c.device.options.CommandTimeout, errToolTimeout)
	defer t.limited.Cancel(nil)
	if kept, ok, err := t.cached.claim(t.limited); err != nil {
		t.run.add(failure(t.tool.Namespace, err))
		return here
	} else if ok {
		t.run.add(kept)
		return here
	}
	select {
	case c.leftovers <- struct{}{}:
	default:
		t.cached.release()
		t.run.add(failure(t.tool.Namespace, errTooManyTools))
		return here
	}
	t.watch.begin(t)
	return t.call(parameters)
}

// call calls the tool. Should that end the goroutine, another worker goes on.
func (t *toolCall) call(parameters messages.Value) (next progress) {
	o, returned := outcome{err: errToolPanic}, false
	defer func() {
		next = t.returned(o)
		if !returned && next == here { // It has called runtime.Goexit.
			t.conn.work.Go(func() { t.conn.worker(t.run) })
		}
	}()
	o, returned = t.guarded(parameters), true
	return next
}

// returned takes what the tool has done in the end.
func (t *toolCall) returned(o outcome) progress {
	defer func() { <-t.conn.leftovers }()
	if o.err != nil && t.limited.Err() != nil {
		o.err = context.Cause(t.limited)
	}
	r := t.result(o)
	if o.err == nil || t.run.job.ctx.Err() == nil {
		r = t.cached.keep(r)
	}
	t.cached.release()
	if t.ended() {
		return elsewhere
	}
	t.run.add(r)
	return here
}

// result returns the result for what the tool has done.
func (t *toolCall) result(o outcome) messages.Result {
	if o.err != nil {
		return failure(t.tool.Namespace, o.err)
	}
	value, _ := o.result.(messages.Value)
	return messages.Result{Status: messages.ResultSuccess, Result: value, Namespace: t.tool.Namespace}
}

// left returns how much of the tool's time is left.
func (t *toolCall) left() time.Duration {
	deadline, _ := t.limited.Deadline()
	return time.Until(deadline)
}

// overdue goes on without the tool, which is out of time or not needed any more,
// unless it has just come back.
func (t *toolCall) overdue() {
	<-t.limited.Done() // What ends it may have reached the caller first.
	if !t.replace() {
		return
	}
	defer t.conn.work.Done()
	r := failure(t.tool.Namespace, context.Cause(t.limited))
	if t.run.job.ctx.Err() == nil {
		r = t.cached.keep(r)
	}
	t.run.add(r)
	t.conn.worker(t.run)
}

// replace counts another worker in the place of the one that waits for the
// tool. It reports false if the tool has come back.
func (t *toolCall) replace() bool {
	t.conn.mu.Lock()
	defer t.conn.mu.Unlock()
	if t.finish() {
		return false
	}
	t.conn.work.Add(1)
	return true
}

// ended notes that the tool has come back. It reports whether its time was over
// before.
func (t *toolCall) ended() (late bool) {
	t.conn.mu.Lock()
	defer t.conn.mu.Unlock()
	return t.finish()
}

// finish ends the watch over the call. It reports whether that was done before.
// The connection is locked.
func (t *toolCall) finish() (before bool) {
	before = t.over
	t.over = true
	if !before {
		t.watch.current, t.run.job.call = nil, nil
	}
	return before
}

// guarded calls the tool, encodes its result, and turns a panic of either into
// an error.
func (t *toolCall) guarded(parameters messages.Value) (o outcome) {
	defer func() {
		if v := recover(); v != nil {
			t.conn.device.options.Logger.Error("tool panicked", zap.String("tool", t.tool.Name), zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
			o = outcome{err: errToolPanic}
		}
	}()
	result, err := t.tool.Run(t.limited, parameters)
	if err != nil {
		return outcome{err: err}
	}
	value, err := messages.NewValue(result)
	if err != nil {
		return outcome{err: fmt.Errorf("the result cannot be sent: %w", err)}
	}
	return outcome{result: value}
}
