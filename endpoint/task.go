package endpoint

import (
	"context"
	"errors"
	"fmt"

	"github.com/aip-go/aip/internal/lazyctx"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// TaskHandler runs a task. What it returns is sent to the client that asked
// for the task: as the result, in the form of [messages.NewValue], or, if it
// returns an error, as a failure with the error's text. A nil result stands
// for what its calls of [Task.Do] brought, in the form of the reference: an
// array of objects with the request and the results, one per call. The task
// fails if a message of [ServerOptions]' MaxMessageSize cannot carry them.
//
// ctx ends when the task has to: with the cause [ErrDeviceLost],
// [ErrRequesterLost] or [ErrServerClosed]. The task's end is sent then,
// whether the handler has returned or not. A panic ends the task as failed. A
// server that ends in order lets the handler run on; [Task.Draining] tells it.
type TaskHandler func(ctx context.Context, task *Task) (any, error)

// Task is a task that a server runs. It is valid until its handler returns.
type Task struct {
	// SessionID is the id by which the client knows the task, Name its name in
	// the form of [SafeTaskName].
	SessionID, Name string
	// Request says in words what to do.
	Request string
	// Metadata is the JSON object that came with the request, or unset.
	Metadata messages.Value
	// Requester is the client that asked for the task, Device the device that
	// runs its commands: the same one if a device asked.
	Requester, Device ClientInfo

	// AgentName, ProcessName and RootName go into the commands. The agent
	// names the set of tools; it is filled in as suits the device's platform:
	// "LinuxAgent", "MobileAgent" or "HostAgent". Change them before Do.
	AgentName, ProcessName, RootName string

	session *session
}

// The agents that the reference's devices know, by platform.
var agents = map[string]string{
	messages.PlatformLinux:   "LinuxAgent",
	messages.PlatformMobile:  "MobileAgent",
	messages.PlatformWindows: "HostAgent",
}

func newTask(sess *session, metadata messages.Value) *Task {
	agent := agents[sess.executor.info.Platform]
	if agent == "" {
		agent = agents[messages.PlatformLinux]
	}
	return &Task{
		SessionID: sess.id,
		Name:      sess.taskName,
		Request:   sess.request,
		Metadata:  metadata,
		Requester: sess.requester.info,
		Device:    sess.executor.info,
		AgentName: agent,
		session:   sess,
	}
}

// Do sends the actions to the device as one COMMAND and returns their results,
// one for each, in the same order. The device runs them one after the other
// and skips those after a failure; a result that is not a success is no error
// of Do. Do may be called concurrently.
//
// A device works on one COMMAND at a time, and a task has one underway. Those of
// several tasks are sent in the order of the calls, in turns if a task makes many
// calls. A device whose session can be resumed, and which therefore reads on
// while it works, has up to three of them, so that it need not wait for the next
// one; any other device gets a COMMAND when it has answered the one before.
//
// [ServerOptions]' CommandTimeout is the time that the device has for the
// COMMAND: it begins when those that were sent before it have been answered, or
// are not waited for any more. Only ctx bounds the wait before that.
//
// Every error is a [*CommandError]. When ctx ends, Do returns at once. What was
// sent by then may still be run, also after a timeout; its results are dropped
// when they come. A [Device] does not run what waits there when the task ends.
//
// If the client gave its request an id (request_id), the ids of the commands
// and of their actions follow from it: they are UUIDs of version 8 (RFC 9562
// section 5.8), made by SHA-256 of the requester's id, the session's id, the
// request with its id, and the number of the command in its task. A server that
// runs the same request again, perhaps after a restart, sends the same ids, and
// a device that has done a command already can answer with the results it has
// kept (see [Device]). This needs a handler that sends the same commands in the
// same order. Without a request_id all ids are random; so is the session's id,
// and with it those of the commands, if the client named none.
func (t *Task) Do(ctx context.Context, actions ...messages.Command) ([]messages.Result, error) {
	device := t.session.executor
	ids := t.session.nextCommand()
	command := messages.NewCommand(messages.CommandRequest{
		SessionID:   t.SessionID,
		TaskName:    t.Name,
		AgentName:   t.AgentName,
		ProcessName: t.ProcessName,
		RootName:    t.RootName,
		Actions:     ids.fill(actions),
	})
	if ids.known() {
		command.ResponseID = ids.id()
	}
	within := lazyctx.WithCancelCause(ctx)
	defer within.Cancel(nil)
	if ctx != t.session.ctx { // It is the handler's, as a rule.
		stop := context.AfterFunc(t.session.ctx, func() { within.Cancel(context.Cause(t.session.ctx)) })
		defer stop()
	}
	results, err := t.command(within, command)
	if err != nil {
		if ended := context.Cause(t.session.ctx); ended != nil {
			within.Cancel(ended) // The command may have failed for that before it was told.
		}
		cause := commandCause(within, err)
		if errors.Is(cause, ErrDeviceLost) {
			// Its connection has ended. Whoever is told so, and gives it another
			// task at once, is to be refused.
			select {
			case <-device.gone:
			case <-within.Done():
			}
		}
		return nil, &CommandError{
			DeviceID: device.info.ID, SessionID: t.SessionID, ResponseID: command.ResponseID,
			Err: cause,
		}
	}
	device.server.events.observe(device.event(Event{
		Kind: EventResults, DeviceID: device.info.ID, SessionID: t.SessionID, TaskName: t.Name, Count: len(results),
	}))
	return results, nil
}

// command sends command, when it is its turn, and records the results. When the
// device takes too long, it ends ctx with ErrCommandTimeout.
func (t *Task) command(ctx *lazyctx.Context, command *messages.ServerMessage) ([]messages.Result, error) {
	if lazyctx.Send(ctx, t.session.commanding, struct{}{}) != nil {
		return nil, context.Cause(ctx)
	}
	defer func() { <-t.session.commanding }()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	device := t.session.executor
	if (t.session.commandSeed != contentHash{}) {
		if err := device.unanswered.claim(ctx, command.ResponseID); err != nil {
			return nil, err
		}
	}
	results, err := device.ask(ctx, command, Event{
		Kind: EventCommand, DeviceID: device.info.ID, SessionID: t.SessionID, TaskName: t.Name, Count: len(command.Actions),
	})
	if err == nil {
		t.session.record(results)
	}
	return results, err
}

// commandCause returns what to tell of err, the failure of a command.
func commandCause(ctx context.Context, err error) error {
	var end *transport.CloseError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &end), errors.Is(err, transport.ErrNotConnected):
		return fmt.Errorf("%w: %w", ErrDeviceLost, err)
	default:
		return err
	}
}
