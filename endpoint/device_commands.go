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
	errTaskEnded     = errors.New("the task of the command has ended")
	errToolTimeout   = errors.New("the tool did not return in time")
	errTooManyTools  = errors.New("too many earlier tools are still running after their time")
	errToolPanic     = errors.New("the tool failed unexpectedly")
	errResultTooLong = errors.New("the result is larger than a message may be")
)

// job is a command that is to be run.
type job struct {
	command *messages.ServerMessage
	// ctx ends with the task and with the connection.
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// handleCommand queues a command for the worker. A command that came before is
// ignored: it has been answered, or will be.
func (c *deviceConn) handleCommand(ctx context.Context, m *messages.ServerMessage) error {
	c.mu.Lock()
	if m.ResponseID != "" && !c.answered.add(m.ResponseID) {
		c.mu.Unlock()
		return nil
	}
	j := &job{command: m}
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
	c.device.events.observe(c.event(Event{
		Kind: EventCommand, DeviceID: c.device.options.ID, SessionID: m.SessionID, TaskName: m.TaskName, Count: len(m.Actions),
	}))
	results := c.runAll(j.ctx, m.Actions)
	c.mu.Lock()
	delete(c.jobs, j)
	c.mu.Unlock()
	j.cancel(nil)

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

// answer sends the results of the command m, whether its task has ended or not.
func (c *deviceConn) answer(m *messages.ServerMessage, results []messages.Result) error {
	return c.bounded(c.living, func(ctx context.Context) error {
		return c.proto.Send(ctx, messages.NewCommandResults(c.device.options.ID, m, results))
	})
}

// runAll runs the actions in order, up to the first failure.
func (c *deviceConn) runAll(ctx context.Context, actions []messages.Command) []messages.Result {
	results := make([]messages.Result, len(actions))
	failed := false
	for i, action := range actions {
		if failed {
			results[i] = messages.Result{Status: messages.ResultSkipped, Error: skippedText}
		} else {
			results[i] = c.runOne(ctx, action)
			failed = results[i].Status == messages.ResultFailure
		}
		results[i].CallID = action.CallID
	}
	return results
}

// runOne runs one action. Whatever happens, there is a result.
func (c *deviceConn) runOne(ctx context.Context, action messages.Command) messages.Result {
	if action.ToolName == "" {
		return messages.Result{Status: messages.ResultSuccess, Result: stringValue(nothingDone)}
	}
	tool, ok := c.device.tools[messages.ToolKey(action.ToolType, action.ToolName)]
	if !ok {
		return failure("", fmt.Errorf("there is no %s tool %q; list_tools lists those there are", action.ToolType, action.ToolName))
	}
	value, err := c.call(ctx, tool, action.Parameters)
	if err != nil {
		return failure(tool.Namespace, err)
	}
	result, err := messages.NewValue(value)
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

// call calls a tool and waits for it until its time is over. A tool that goes
// on nevertheless is waited for at the end of the connection.
func (c *deviceConn) call(ctx context.Context, tool Tool, parameters messages.Value) (any, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case c.leftovers <- struct{}{}:
	default:
		return nil, errTooManyTools
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.device.options.CommandTimeout, errToolTimeout)
	defer cancel()
	done := make(chan outcome, 1)
	c.work.Go(func() {
		defer func() { <-c.leftovers }()
		o := outcome{err: errToolPanic} // stays if the tool calls runtime.Goexit
		defer func() { done <- o }()
		o = c.guarded(ctx, tool, parameters)
	})
	select {
	case o := <-done:
		if o.err != nil && ctx.Err() != nil {
			o.err = context.Cause(ctx)
		}
		return o.result, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
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

// recent remembers the last ids. The zero value is empty.
type recent struct {
	known map[string]struct{}
	ring  []string
	next  int
}

// add notes id and reports whether it is new.
func (r *recent) add(id string) bool {
	if _, ok := r.known[id]; ok {
		return false
	}
	if r.known == nil {
		r.known = make(map[string]struct{})
	}
	if len(r.ring) < maxRememberedCommands {
		r.ring = append(r.ring, id)
	} else {
		delete(r.known, r.ring[r.next])
		r.ring[r.next] = id
		r.next = (r.next + 1) % maxRememberedCommands
	}
	r.known[id] = struct{}{}
	return true
}
