package endpoint

import (
	"context"
	"errors"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// TaskRequest says what a constellation wants done.
type TaskRequest struct {
	// Request says in words what to do. It is required.
	Request string
	// ID tells this task from others of the constellation; "" means a fresh
	// one. The session's id is "name@id". Do not use an id again for a task
	// that was given up: its end could be taken for the end of the new one.
	ID string
	// RequestID lets the task be asked for again: a server that knows the id runs
	// the same task once, and tells again how it ended, for two minutes; the
	// commands of a task that is run again, perhaps by a server that was
	// restarted, are recognised by the device. For that ID, Request and the rest
	// have to be the same. "" sends no id, as the reference.
	RequestID string
	// Name names the task in the server's records; "" means "name/id".
	Name string
	// Metadata is a JSON object for the server, or unset.
	Metadata messages.Value
	// Timeout is how long the task may take; zero means 1000 seconds, negative
	// means no bound.
	Timeout time.Duration
}

// TaskResult is the end of a task that succeeded.
type TaskResult struct {
	// DeviceID and SessionID say which task on which device.
	DeviceID, SessionID string
	// Result is what the server's handler made of it: any JSON value.
	Result messages.Value
}

// Run gives a task to a device and waits for its end. A task succeeds if its
// end says completed and carries no error. Any other outcome is a [*TaskError],
// whose kind is [ErrTaskRefused], [ErrTaskFailed], [ErrTaskLost],
// [ErrTaskTimeout], [ErrNotConnected], [ErrClosed], or the context's error.
// After a timeout, and after the end of ctx, the task goes on at the server:
// AIP has no message to cancel it.
func (c *Constellation) Run(ctx context.Context, deviceID string, r TaskRequest) (*TaskResult, error) {
	if r.ID == "" {
		r.ID = messages.NewID()
	}
	if r.Name == "" {
		r.Name = c.options.Name + "/" + r.ID
	}
	session := messages.ConstellationSessionID(c.options.Name, r.ID)
	l, err := c.link(deviceID)
	if err != nil {
		return nil, &TaskError{DeviceID: deviceID, SessionID: session, Kind: err}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, durationOr(r.Timeout, defaultTaskTimeout), ErrTaskTimeout)
	defer cancel()

	m := messages.NewConstellationTask(messages.TaskRequest{
		ClientID:  messages.ConstellationClientID(c.options.Name, deviceID),
		TargetID:  deviceID,
		SessionID: session,
		TaskName:  r.Name,
		Request:   r.Request,
		Metadata:  r.Metadata,
	})
	m.RequestID = r.RequestID
	end, err := l.run(ctx, m)
	if err != nil {
		var failed *TaskError
		if errors.As(err, &failed) {
			failed.DeviceID, failed.SessionID = deviceID, session
		}
		c.events.observe(l.event(Event{Kind: EventTaskEnded, SessionID: session, TaskName: r.Name, Status: messages.StatusFailed, Err: err}))
		return nil, err
	}
	c.events.observe(l.event(Event{Kind: EventTaskEnded, SessionID: session, TaskName: r.Name, Status: end.Status}))
	return &TaskResult{DeviceID: deviceID, SessionID: session, Result: end.Result}, nil
}

// run gives a task to the server and waits for its end. The error is a
// *TaskError without its ids.
func (l *link) run(ctx context.Context, m *messages.ClientMessage) (*messages.ServerMessage, error) {
	task, err := l.start(ctx, m)
	if err != nil {
		return nil, l.taskError(ctx, err, ErrTaskRefused)
	}
	defer task.Release()
	l.constellation.events.observe(l.event(Event{Kind: EventTaskAccepted, SessionID: m.SessionID, TaskName: m.TaskName}))
	end, err := task.Wait(ctx)
	if err != nil {
		return nil, l.taskError(ctx, err, ErrTaskFailed)
	}
	return end, nil
}

// start sends a task and waits until the server has accepted it. When ctx ends
// in between, the answer is still waited for, by this link: the next task must
// not take it for its own.
func (l *link) start(ctx context.Context, m *messages.ClientMessage) (*protocol.Task, error) {
	if err := l.lock(ctx); err != nil {
		return nil, err
	}
	type answer struct {
		task *protocol.Task
		err  error
	}
	answers, left := make(chan answer), make(chan struct{})
	defer close(left)
	go func() {
		defer l.unlock()
		task, err := l.ask(m)
		select {
		case answers <- answer{task, err}:
		case <-left:
			if task != nil {
				task.Release()
			}
		}
	}()
	select {
	case a := <-answers:
		return a.task, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ask sends a task and waits for its acceptance, or drops the connection when
// there is no answer.
func (l *link) ask(m *messages.ClientMessage) (*protocol.Task, error) {
	ctx, cancel := context.WithTimeoutCause(l.ctx, l.constellation.options.AckTimeout, errNoAck)
	defer cancel()
	task, err := protocol.StartTask(ctx, l.proto, m)
	if err != nil && context.Cause(ctx) == errNoAck {
		l.transport.Drop(errNoAck)
		return nil, errNoAck
	}
	return task, err
}

var errNoAck = errors.New("endpoint: the server neither accepted nor refused a task in time")

// taskError returns the error for a task that did not succeed. otherwise is
// its kind if the connection and ctx are not to blame.
func (l *link) taskError(ctx context.Context, err error, otherwise error) *TaskError {
	var (
		remote *protocol.RemoteError
		failed *protocol.TaskError
		lost   *transport.CloseError
	)
	switch {
	case errors.As(err, &failed):
		return &TaskError{Kind: otherwise, Message: failed.End.Error, Result: failed.End.Result}
	case errors.As(err, &remote):
		return &TaskError{Kind: otherwise, Message: remote.Message}
	case ctx.Err() != nil:
		return &TaskError{Kind: context.Cause(ctx)}
	case errors.Is(err, transport.ErrNotConnected) && transport.OutcomeOf(err) == transport.NotSent:
		return &TaskError{Kind: ErrNotConnected, Err: err}
	case l.ctx.Err() != nil, errors.Is(err, transport.ErrInterrupted), errors.As(err, &lost), errors.Is(err, errNoAck), errors.Is(err, ErrNotConnected), errors.Is(err, transport.ErrNotConnected):
		return &TaskError{Kind: ErrTaskLost, Err: err}
	default:
		return &TaskError{Kind: otherwise, Err: err}
	}
}
