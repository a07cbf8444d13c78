package protocol

import (
	"context"
	"errors"
	"fmt"

	"github.com/aip-go/aip/internal/lazyctx"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// TaskError is a task that a server ended without success.
type TaskError struct {
	SessionID string
	// End is the task_end.
	End *messages.ServerMessage
}

// Error gives the session and the server's text.
func (e *TaskError) Error() string {
	text := e.End.Error
	if text == "" {
		text = "no reason given"
	}
	return fmt.Sprintf("protocol: task of session %q ended as %s: %s", e.SessionID, e.End.Status, text)
}

// Task is a task that a server has accepted. All methods may be called
// concurrently.
type Task struct {
	sessionID string
	end       *Reply[messages.ServerMessage]
}

// SessionID returns the id of the task's session.
func (t *Task) SessionID() string { return t.sessionID }

// Done is closed when the task has ended, or its end can no longer be learnt.
func (t *Task) Done() <-chan struct{} { return t.end.Done() }

// Wait waits for the end of the task and returns the server's task_end. A task
// that did not complete, or completed with an error, is a [*TaskError]. Other
// errors are those of [Reply.Wait]; when it is the context's, the task goes on
// and Wait may be called again. AIP has no message to cancel a task.
func (t *Task) Wait(ctx context.Context) (*messages.ServerMessage, error) {
	end, err := t.end.Wait(ctx)
	if err != nil {
		return nil, err
	}
	if end.Status != messages.StatusCompleted || end.Error != "" {
		return end, &TaskError{SessionID: t.sessionID, End: end}
	}
	return end, nil
}

// Release gives up waiting for the end of the task. It must be called unless
// the task has ended.
func (t *Task) Release() { t.end.Release() }

// StartTask sends request, a task message such as
// [messages.NewConstellationTask] and [messages.NewDeviceTask] make, and waits
// until the server accepts it. It is a call (see [AIPProtocol.Call]). Without a
// session_id, request is sent with a fresh one, by which its answers are known.
//
// A refusal is a [*RemoteError] or, when the server ends the task at once, a
// [*TaskError]. The reference's refusals do not say which task they refuse, so
// only one task of a connection waits for its acceptance at a time; others wait
// until it has it.
func StartTask(ctx context.Context, c *Client, request *messages.ClientMessage) (*Task, error) {
	if err := messages.ValidateTaskRequest(request); err != nil {
		return nil, &CallError{Type: string(messages.ClientTask), Outcome: transport.NotSent, Err: err}
	}
	if request.SessionID == "" {
		withSession := *request
		withSession.SessionID = messages.NewID()
		request = &withSession
	}
	limited := c.bounded(ctx)
	defer limited.Cancel(nil)
	if err := lazyctx.Send(limited, c.acking, struct{}{}); err != nil {
		return nil, &CallError{Type: string(request.Type), Outcome: transport.NotSent, Err: err}
	}
	defer func() { <-c.acking }()
	end, err := c.expectRunning(limited, MatchTaskEnd(request.SessionID))
	if err != nil {
		return nil, &CallError{Type: string(request.Type), Outcome: transport.NotSent, Err: err}
	}
	ack, err := c.ask(limited, request, MatchTaskAck(request.SessionID))
	if err != nil {
		var failed *CallError
		sent := errors.As(err, &failed) && failed.Outcome != transport.NotSent
		c.calls.release(end, sent)
		return nil, err
	}
	defer ack.Release()
	task := &Task{sessionID: request.SessionID, end: end}
	if err := task.accepted(limited, ack); err != nil {
		end.Release()
		return nil, &CallError{Type: string(request.Type), Outcome: ack.outcome(err), Err: err}
	}
	return task, nil
}

// accepted waits for the ack, or for an end that comes first: then the error
// says how the task ended.
func (t *Task) accepted(ctx context.Context, ack *Reply[messages.ServerMessage]) error {
	select {
	case <-ack.Done():
	case <-t.end.Done():
		select {
		case <-ack.Done():
		default:
			_, err := t.Wait(ctx)
			return err
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	reply, err := ack.Wait(ctx)
	if err == nil && reply.Status != messages.StatusOK {
		err = &RemoteError{Message: reply.Error, SessionID: reply.SessionID, ID: reply.ResponseID}
	}
	return err
}

// RunTask starts a task as [StartTask] does and waits for its end as
// [Task.Wait] does. If ctx has no deadline, only the start is bounded.
func RunTask(ctx context.Context, c *Client, request *messages.ClientMessage) (*messages.ServerMessage, error) {
	task, err := StartTask(ctx, c, request)
	if err != nil {
		return nil, err
	}
	defer task.Release()
	return task.Wait(ctx)
}

// AnswerTaskDispatch starts, on a device, the task that the server handed it
// with the message dispatch, as [StartTask] does: by a task message with the
// same name, session and request. platform is one of the Platform constants of
// package messages.
func AnswerTaskDispatch(ctx context.Context, c *Client, dispatch *messages.ServerMessage, platform string) (*Task, error) {
	if err := messages.ValidateTaskDispatch(dispatch); err != nil {
		return nil, err
	}
	id, err := c.registered()
	if err != nil {
		return nil, err
	}
	return StartTask(ctx, c, messages.NewDispatchedTask(id.ClientID, platform, dispatch))
}

// DispatchTask hands a device a task that came from elsewhere and returns the
// task message by which the device takes it on. The server then goes on as with
// any other task: [AIPProtocol.SendAck], commands, [Server] messages of the
// type task_end. It is a call (see [AIPProtocol.Call]). dispatch is made with
// [messages.NewTaskDispatch].
func DispatchTask(ctx context.Context, s *Server, dispatch *messages.ServerMessage) (*messages.ClientMessage, error) {
	if err := messages.ValidateTaskDispatch(dispatch); err != nil {
		return nil, &CallError{Type: string(messages.ServerTask), Outcome: transport.NotSent, Err: err}
	}
	return s.Call(ctx, dispatch, MatchTask(dispatch))
}

// RefuseTask refuses the task request: with an error that names its session,
// and, if it named one, the task_end without which the reference's
// constellations would wait on (spec section 9.4). text is for people.
func RefuseTask(ctx context.Context, s *Server, request *messages.ClientMessage, text string) error {
	if err := s.SendError(ctx, text, request); err != nil || request.SessionID == "" {
		return err
	}
	return s.Send(ctx, messages.NewTaskFailed(request.SessionID, text, messages.Value{}))
}

// CompleteTask ends the task of sessionID with success. result is any JSON
// value; see [messages.NewTaskCompleted].
func CompleteTask(ctx context.Context, s *Server, sessionID string, result messages.Value) error {
	return s.Send(ctx, messages.NewTaskCompleted(sessionID, result))
}

// FailTask ends the task of sessionID without success. result is what there is
// so far, or unset.
func FailTask(ctx context.Context, s *Server, sessionID, text string, result messages.Value) error {
	return s.Send(ctx, messages.NewTaskFailed(sessionID, text, result))
}
