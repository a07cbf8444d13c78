package endpoint

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// commandRun is a command that a worker runs. Should a tool not come back in
// time, another worker goes on with it.
type commandRun struct {
	job     *job
	results []messages.Result // of the actions that are done
	failed  bool              // one of them has
}

// worker runs the commands, one after the other: first what is left of run,
// unless that is nil. The tools run in the same goroutine, since most of them
// take less time than another one takes to begin.
func (c *deviceConn) worker(run *commandRun) {
	w := &toolWatch{conn: c}
	defer w.end()
	for {
		if run != nil && c.finish(w, run) == elsewhere {
			return
		}
		j, more := <-c.queue
		if !more || c.living.Err() != nil {
			return
		}
		run = c.begin(j)
	}
}

// progress says who goes on after an action.
type progress bool

const (
	here      progress = false // who has done it
	elsewhere progress = true  // another worker
)

// begin begins a command. It returns nil if nobody waits for its results.
func (c *deviceConn) begin(j *job) *commandRun {
	if c.isAbandoned(j) {
		c.forget(j)
		return nil
	}
	m := j.command
	c.device.events.observe(c.event(Event{
		Kind: EventCommand, DeviceID: c.device.options.ID, SessionID: m.SessionID, TaskName: m.TaskName, Count: len(m.Actions),
	}))
	return &commandRun{job: j, results: make([]messages.Result, 0, len(m.Actions))}
}

// finish runs the actions of a command in order, up to the first failure, or
// until nobody waits for the answer any more, and answers it.
func (c *deviceConn) finish(w *toolWatch, run *commandRun) progress {
	for actions := run.job.command.Actions; len(run.results) < len(actions); {
		if run.failed || c.isAbandoned(run.job) {
			run.add(messages.Result{Status: messages.ResultSkipped, Error: skippedText})
		} else if c.runNext(w, run) == elsewhere {
			return elsewhere
		}
	}
	c.answer(run)
	return here
}

// add takes the result of the next action.
func (run *commandRun) add(r messages.Result) {
	r.CallID = run.job.command.Actions[len(run.results)].CallID
	run.results = append(run.results, r)
	run.failed = run.failed || r.Status == messages.ResultFailure
}

// runNext runs the next action. Whatever happens, there is a result.
func (c *deviceConn) runNext(w *toolWatch, run *commandRun) progress {
	i := len(run.results)
	action := &run.job.command.Actions[i]
	if action.ToolName == "" {
		run.add(messages.Result{Status: messages.ResultSuccess, Result: stringValue(nothingDone)})
		return here
	}
	tool, ok := c.device.tools[messages.ToolKey(action.ToolType, action.ToolName)]
	if !ok {
		run.add(failure("", fmt.Errorf("there is no %s tool %q; list_tools lists those there are", action.ToolType, action.ToolName)))
		return here
	}
	call := &toolCall{conn: c, watch: w, run: run, tool: tool, cached: c.device.results.call(run.job.command, i, run.job.contents[i])}
	return call.do(action.Parameters)
}

// answer sends the results of a command.
func (c *deviceConn) answer(run *commandRun) {
	m, results := run.job.command, run.results
	// First: who has the answer and asks again is to have another one.
	if c.forget(run.job) {
		return
	}
	err := c.send(m, results)
	if errors.Is(err, transport.ErrMessageTooLarge) {
		for i := range results {
			results[i].Status, results[i].Result = messages.ResultFailure, messages.Value{}
			results[i].Error = errResultTooLong.Error()
		}
		err = c.send(m, results)
	}
	if err != nil {
		c.device.options.Logger.Info("results not sent", zap.String("session_id", m.SessionID), zap.Error(err))
		return
	}
	c.device.events.observe(c.event(Event{
		Kind: EventResults, DeviceID: c.device.options.ID, SessionID: m.SessionID, TaskName: m.TaskName, Count: len(results),
	}))
}

// send sends the results of the command m, whether its task has ended or not.
func (c *deviceConn) send(m *messages.ServerMessage, results []messages.Result) error {
	return c.bounded(kept(c.living), func(ctx context.Context) error {
		return c.proto.Send(ctx, messages.NewCommandResults(c.device.options.ID, m, results))
	})
}
