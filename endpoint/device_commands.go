package endpoint

import (
	"context"
	"errors"
	"slices"

	"github.com/aip-go/aip/internal/lazyctx"
	"github.com/aip-go/aip/messages"
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
	command  *messages.ServerMessage
	contents []contentHash // of its actions
	// ctx ends with the task and, without a session that outlives it, with the
	// connection.
	ctx *lazyctx.Context
	// Guarded by the connection's lock:
	abandoned bool      // nobody waits for the answer
	call      *toolCall // of the tool that runs for it; nil if none does
}

// end ends the job, and goes on without its tool. The connection is locked.
func (j *job) end(cause error) {
	j.ctx.Cancel(cause)
	if j.call != nil {
		go j.call.overdue()
	}
}

// handleCommand queues a command for the worker. One that is to be answered
// already gets that one answer.
func (c *deviceConn) handleCommand(ctx context.Context, m *messages.ServerMessage) error {
	j := &job{command: m, contents: hashActions(m.Actions)}
	c.mu.Lock()
	if c.pending(j) {
		c.mu.Unlock()
		return nil
	}
	j.ctx = lazyctx.WithCancelCause(c.living)
	c.jobs[j] = struct{}{}
	c.mu.Unlock()
	if lazyctx.Send(ctx, c.queue, j) != nil {
		return context.Cause(ctx)
	}
	return nil
}

// pending reports whether the same command is queued or running, and has not
// been cut off. The connection is locked.
func (c *deviceConn) pending(j *job) bool {
	for other := range c.jobs {
		if j.command.ResponseID != "" && other.command.ResponseID == j.command.ResponseID &&
			other.command.SessionID == j.command.SessionID && other.same(j) &&
			other.ctx.Err() == nil && !other.abandoned {
			return true
		}
	}
	return false
}

// same reports whether both ask for the same calls.
func (j *job) same(other *job) bool {
	ids := func(a, b messages.Command) bool { return a.CallID == b.CallID }
	return slices.Equal(j.contents, other.contents) && slices.EqualFunc(j.command.Actions, other.command.Actions, ids)
}

// endJobs ends the commands of a task that is over. They are answered like any
// other, in case the server wants to know.
func (c *deviceConn) endJobs(sessionID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for j := range c.jobs {
		if j.command.SessionID == sessionID {
			j.end(errTaskEnded)
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
			j.end(errConnectionLost)
		}
	}
}

// isAbandoned reports whether nobody waits for the answer to j.
func (c *deviceConn) isAbandoned(j *job) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return j.abandoned
}

// forget notes that j is done. It reports whether nobody waits for the answer.
func (c *deviceConn) forget(j *job) (abandoned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.jobs, j)
	j.ctx.Cancel(nil)
	return j.abandoned
}

func failure(namespace string, err error) messages.Result {
	text := err.Error()
	if text == "" {
		text = "the tool failed without a reason"
	}
	return messages.Result{Status: messages.ResultFailure, Error: text, Namespace: namespace}
}
