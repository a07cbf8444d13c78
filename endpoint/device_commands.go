package endpoint

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// The texts of the reference (spec section 3.5).
const (
	nothingDone = "No action taken."
	skippedText = "Skipped due to previous failure (early_exit=True)."
)

var (
	errConnectionLost = errors.New("the connection to the server was lost")
	errTaskEnded      = errors.New("the task of the command has ended")
	errToolTimeout    = errors.New("the tool did not return in time")
	errTooManyTools   = errors.New("too many earlier tools are still running after their time")
	errToolPanic      = errors.New("the tool failed unexpectedly")
	errResultTooLong  = errors.New("the result is larger than a message may be")
)

// job is a command that is to be run.
type job struct {
	command *messages.ServerMessage
	content contentHash
	// ctx ends with the task and, without a session that outlives it, with the
	// connection.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// abandoned: nobody waits for the answer. Guarded by the connection's lock.
	abandoned bool
}

// handleCommand queues a command for the worker. One that is to be answered
// already gets that one answer.
func (c *deviceConn) handleCommand(ctx context.Context, m *messages.ServerMessage) error {
	j := &job{command: m, content: hashActions(m.Actions)}
	c.mu.Lock()
	if c.pending(j) {
		c.mu.Unlock()
		return nil
	}
	j.ctx, j.cancel = context.WithCancelCause(c.living)
	c.jobs[j] = struct{}{}
	c.mu.Unlock()
	select {
	case c.queue <- j:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pending reports whether the same command is queued or running, and has not
// been cut off. The connection is locked.
func (c *deviceConn) pending(j *job) bool {
	for other := range c.jobs {
		if j.command.ResponseID != "" && other.command.ResponseID == j.command.ResponseID &&
			other.command.SessionID == j.command.SessionID && other.content == j.content &&
			other.ctx.Err() == nil && !other.abandoned {
			return true
		}
	}
	return false
}

// endJobs ends the commands of a task that is over. They are answered like any
// other, in case the server wants to know.
func (c *deviceConn) endJobs(sessionID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for j := range c.jobs {
		if j.command.SessionID == sessionID {
			j.cancel(errTaskEnded)
		}
	}
}

// abandonJobs lets all commands go unanswered and, if cut, ends them.
func (c *deviceConn) abandonJobs(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for j := range c.jobs {
		j.abandoned = true
		if cut {
			j.cancel(errConnectionLost)
		}
	}
}

// isAbandoned reports whether nobody waits for the answer to j.
func (c *deviceConn) isAbandoned(j *job) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return j.abandoned
}

// worker runs the commands, one after the other.
func (c *deviceConn) worker() {
	for {
		select {
		case j := <-c.queue:
			c.do(j)
		case <-c.living.Done():
			return
		}
	}
}

// do runs one command and answers it.
func (c *deviceConn) do(j *job) {
	m := j.command
	if c.isAbandoned(j) {
		c.forget(j)
		return
	}
	c.device.events.observe(c.event(Event{
		Kind: EventCommand, DeviceID: c.device.options.ID, SessionID: m.SessionID, TaskName: m.TaskName, Count: len(m.Actions),
	}))
	results := c.runAll(j)
	// First: who has the answer and asks again is to have another one.
	if c.forget(j) {
		return
	}
	err := c.answer(m, results)
	if errors.Is(err, transport.ErrMessageTooLarge) {
		for i := range results {
			results[i].Status, results[i].Result = messages.ResultFailure, messages.Value{}
			results[i].Error = errResultTooLong.Error()
		}
		err = c.answer(m, results)
	}
	if err != nil {
		c.device.options.Logger.Info("results not sent", zap.String("session_id", m.SessionID), zap.Error(err))
		return
	}
	c.device.events.observe(c.event(Event{
		Kind: EventResults, DeviceID: c.device.options.ID, SessionID: m.SessionID, TaskName: m.TaskName, Count: len(results),
	}))
}

// forget notes that j is done. It reports whether nobody waits for the answer.
func (c *deviceConn) forget(j *job) (abandoned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.jobs, j)
	j.cancel(nil)
	return j.abandoned
}

// answer sends the results of the command m, whether its task has ended or not.
func (c *deviceConn) answer(m *messages.ServerMessage, results []messages.Result) error {
	return c.bounded(kept(c.living), func(ctx context.Context) error {
		return c.proto.Send(ctx, messages.NewCommandResults(c.device.options.ID, m, results))
	})
}

// runAll runs the actions of a command in order, up to the first failure, or
// until nobody waits for the answer any more.
func (c *deviceConn) runAll(j *job) []messages.Result {
	ctx, m := j.ctx, j.command
	results := make([]messages.Result, len(m.Actions))
	failed := false
	for i, action := range m.Actions {
		if failed || c.isAbandoned(j) {
			results[i] = messages.Result{Status: messages.ResultSkipped, Error: skippedText}
		} else {
			results[i] = c.runOne(ctx, action, c.device.results.call(m, i))
			failed = results[i].Status == messages.ResultFailure
		}
		results[i].CallID = action.CallID
	}
	return results
}

// runOne runs one action. Whatever happens, there is a result.
func (c *deviceConn) runOne(ctx context.Context, action messages.Command, cached *cachedCall) messages.Result {
	if action.ToolName == "" {
		return messages.Result{Status: messages.ResultSuccess, Result: stringValue(nothingDone)}
	}
	tool, ok := c.device.tools[messages.ToolKey(action.ToolType, action.ToolName)]
	if !ok {
		return failure("", fmt.Errorf("there is no %s tool %q; list_tools lists those there are", action.ToolType, action.ToolName))
	}
	return c.call(ctx, tool, action.Parameters, cached)
}

// toolResult returns the result for what tool returned.
func (o outcome) toolResult(tool Tool) messages.Result {
	if o.err != nil {
		return failure(tool.Namespace, o.err)
	}
	result, err := messages.NewValue(o.result)
	if err != nil {
		return failure(tool.Namespace, fmt.Errorf("the result cannot be sent: %w", err))
	}
	return messages.Result{Status: messages.ResultSuccess, Result: result, Namespace: tool.Namespace}
}

func failure(namespace string, err error) messages.Result {
	text := err.Error()
	if text == "" {
		text = "the tool failed without a reason"
	}
	return messages.Result{Status: messages.ResultFailure, Error: text, Namespace: namespace}
}

// call calls a tool, unless that has been done, and waits for it until its time
// is over. A tool that goes on nevertheless is waited for at the end of the
// connection. What it does in the end is kept.
func (c *deviceConn) call(ctx context.Context, tool Tool, parameters messages.Value, cached *cachedCall) messages.Result {
	limited, cancel := context.WithTimeoutCause(ctx, c.device.options.CommandTimeout, errToolTimeout)
	defer cancel()
	if kept, ok, err := cached.claim(limited); err != nil {
		return failure(tool.Namespace, err)
	} else if ok {
		return kept
	}
	select {
	case c.leftovers <- struct{}{}:
	default:
		cached.release()
		return failure(tool.Namespace, errTooManyTools)
	}
	done := make(chan messages.Result, 1)
	c.work.Go(func() {
		defer func() { <-c.leftovers }()
		o := outcome{err: errToolPanic} // stays if the tool calls runtime.Goexit
		defer func() {
			defer cached.release()
			if o.err != nil && limited.Err() != nil {
				o.err = context.Cause(limited)
			}
			r := o.toolResult(tool)
			if o.err == nil || ctx.Err() == nil {
				r = cached.keep(r)
			}
			done <- r
		}()
		o = c.guarded(limited, tool, parameters)
	})
	select {
	case r := <-done:
		return r
	case <-limited.Done():
		r := failure(tool.Namespace, context.Cause(limited))
		if ctx.Err() == nil {
			r = cached.keep(r)
		}
		return r
	}
}

// guarded calls a tool and turns its panic into an error.
func (c *deviceConn) guarded(ctx context.Context, tool Tool, parameters messages.Value) (o outcome) {
	defer func() {
		if v := recover(); v != nil {
			c.device.options.Logger.Error("tool panicked", zap.String("tool", tool.Name), zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
			o = outcome{err: errToolPanic}
		}
	}()
	result, err := tool.Run(ctx, parameters)
	return outcome{result, err}
}
