package endpoint

import (
	"context"
	"errors"
	"slices"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// queuedTask is a task from the moment it is queued until the server is done
// with it, which may be after its caller is.
type queuedTask struct {
	member  *member
	ctx     context.Context // the caller's, with the task's timeout
	cancel  context.CancelFunc
	message *messages.ClientMessage

	// Guarded by the constellation's lock; over: the caller's answer is fixed.
	connection int // on which it was started
	over       bool

	// The answer. It does not change once done is closed.
	done chan struct{}
	end  *messages.ServerMessage
	err  error
}

// submit queues a task for the device that pick returns, which is called with
// the constellation locked. The error is a [*TaskError].
func (c *Constellation) submit(ctx context.Context, pick func() (*member, error), deviceID string, r TaskRequest) (*queuedTask, error) {
	defer c.tell()
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.ID == "" {
		r.ID = messages.NewID()
	}
	if r.Name == "" {
		r.Name = c.options.Name + "/" + r.ID
	}
	session := messages.ConstellationSessionID(c.options.Name, r.ID)
	m, err := pick()
	if err != nil {
		return nil, &TaskError{DeviceID: deviceID, SessionID: session, Kind: err}
	}
	message := messages.NewConstellationTask(messages.TaskRequest{
		ClientID:  messages.ConstellationClientID(c.options.Name, m.id),
		TargetID:  m.id,
		SessionID: session,
		TaskName:  r.Name,
		Request:   r.Request,
		Metadata:  r.Metadata,
	})
	message.RequestID = r.RequestID
	if err := messages.ValidateTaskRequest(message); err != nil {
		return nil, &TaskError{DeviceID: m.id, SessionID: session, Kind: ErrTaskRefused, Err: err}
	}
	same := func(q *queuedTask) bool { return q.message.SessionID == session }
	switch {
	case slices.ContainsFunc(m.queue, same), slices.ContainsFunc(m.running, same):
		return nil, &TaskError{DeviceID: m.id, SessionID: session, Kind: ErrTaskRefused, Err: protocol.ErrDuplicateCall}
	case ctx.Err() != nil:
		return nil, &TaskError{DeviceID: m.id, SessionID: session, Kind: context.Cause(ctx)}
	case len(m.queue) >= c.options.MaxQueued:
		return nil, &TaskError{DeviceID: m.id, SessionID: session, Kind: ErrQueueFull}
	}
	q := &queuedTask{member: m, message: message, done: make(chan struct{})}
	q.ctx, q.cancel = context.WithTimeoutCause(ctx, durationOr(r.Timeout, defaultTaskTimeout), ErrTaskTimeout)
	m.note(q.event(Event{Kind: EventTaskQueued, Count: len(m.queue) + len(m.running)}))
	m.queue = append(m.queue, q)
	m.dispatch()
	return q, nil
}

// wait waits for the end of the task, or of its context.
func (q *queuedTask) wait() (*TaskResult, error) {
	defer q.cancel()
	c := q.member.constellation
	select {
	case <-q.done:
	case <-q.ctx.Done():
		c.mu.Lock()
		q.answer(nil, &TaskError{Kind: context.Cause(q.ctx)})
		q.member.queue = slices.DeleteFunc(q.member.queue, func(other *queuedTask) bool { return other == q })
		c.mu.Unlock()
		<-q.done
	}
	c.tell() // The observer knows no later than the caller.
	if q.err != nil {
		return nil, q.err
	}
	return &TaskResult{DeviceID: q.member.id, SessionID: q.message.SessionID, Result: q.end.Result}, nil
}

// answer fixes the caller's answer, if it is not. The constellation is locked.
func (q *queuedTask) answer(end *messages.ServerMessage, failed *TaskError) {
	if q.over {
		return
	}
	q.over = true
	e := Event{Kind: EventTaskEnded, Status: messages.StatusFailed}
	if failed != nil {
		failed.DeviceID, failed.SessionID = q.member.id, q.message.SessionID
		q.err, e.Err = failed, failed
	} else {
		q.end, e.Status = end, end.Status
	}
	q.member.note(q.event(e))
	close(q.done)
}

// event fills in which task it is about.
func (q *queuedTask) event(e Event) Event {
	e.SessionID, e.TaskName = q.message.SessionID, q.message.TaskName
	return e
}

// dispatch starts the tasks whose turn it is. One starts at a time, so that the
// server gets them in their order. The constellation is locked.
func (m *member) dispatch() {
	for m.link != nil && m.link.ctx.Err() == nil && m.phase == DeviceIdle && !m.starting && len(m.queue) > 0 &&
		len(m.running) < m.constellation.options.MaxTasksPerDevice {
		q := m.queue[0]
		m.queue = slices.Delete(m.queue, 0, 1)
		if q.ctx.Err() != nil {
			q.answer(nil, &TaskError{Kind: context.Cause(q.ctx)})
			continue
		}
		q.connection = m.connection
		m.running = append(m.running, q)
		m.starting = true
		l := m.link
		l.tasks.Go(func() { l.run(q) })
	}
	m.show()
}

// run gives a task to the server and waits for its end, whoever else does.
func (l *link) run(q *queuedTask) {
	c, m := l.constellation, l.member
	task, err := l.start(q)
	c.mu.Lock()
	m.starting = false
	switch {
	case err == nil:
		if !q.over {
			m.note(q.event(Event{Kind: EventTaskAccepted}))
		}
		m.dispatch()
	case !l.unsent(err):
		m.finish(q, nil, l.taskError(err, ErrTaskRefused))
	case m.link == l && l.ctx.Err() == nil:
		m.requeue(q)
	default:
		m.finish(q, nil, &TaskError{Kind: c.gone(), Err: err})
	}
	c.mu.Unlock()
	c.tell()
	if err != nil {
		return
	}
	end, err := task.Wait(l.ctx)
	task.Release()
	var failed *TaskError
	if err != nil {
		failed = l.taskError(err, ErrTaskFailed)
	}
	c.mu.Lock()
	m.finish(q, end, failed)
	c.mu.Unlock()
	c.tell()
}

// unsent reports whether a task was not sent because there was no connection
// for it.
func (l *link) unsent(err error) bool {
	var (
		call *protocol.CallError
		lost *transport.CloseError
	)
	switch {
	case errors.Is(err, ErrNotConnected):
		return true
	case !errors.As(err, &call) || call.Outcome != transport.NotSent:
		return false
	default:
		return l.ctx.Err() != nil || errors.Is(err, transport.ErrNotConnected) || errors.Is(err, transport.ErrInterrupted) || errors.As(err, &lost)
	}
}

// gone returns why there is no connection and will be none. The constellation
// is locked.
func (c *Constellation) gone() error {
	if c.closed {
		return ErrClosed
	}
	return ErrNotConnected
}

// requeue puts the task that could not be started back to where it was. The
// constellation is locked.
func (m *member) requeue(q *queuedTask) {
	m.leave(q)
	if !q.over {
		m.queue = slices.Insert(m.queue, 0, q)
	}
	if m.connection == q.connection && m.phase == DeviceIdle {
		m.enter(DeviceDisconnected, nil) // A moment before the link says so.
	}
	m.dispatch()
}

// finish ends a task that the server has no more, and starts the next one. The
// constellation is locked.
func (m *member) finish(q *queuedTask, end *messages.ServerMessage, failed *TaskError) {
	m.leave(q)
	q.answer(end, failed)
	m.dispatch()
}

func (m *member) leave(q *queuedTask) {
	m.running = slices.DeleteFunc(m.running, func(other *queuedTask) bool { return other == q })
}

// dismiss fails all tasks that wait: there is nothing to wait for. The
// constellation is locked.
func (m *member) dismiss(cause error) {
	for _, q := range m.queue {
		q.answer(nil, &TaskError{Kind: m.constellation.gone(), Err: cause})
	}
	m.queue = nil
}

// start sends a task and waits until the server has accepted it, also if the
// caller does not wait any more: the next task must not take the answer for its
// own.
func (l *link) start(q *queuedTask) (*protocol.Task, error) {
	if err := l.lock(q.ctx); err != nil {
		return nil, &TaskError{Kind: err}
	}
	defer l.unlock()
	ctx, cancel := context.WithTimeoutCause(l.ctx, l.constellation.options.AckTimeout, errNoAck)
	defer cancel()
	task, err := protocol.StartTask(ctx, l.proto, q.message)
	if err != nil && context.Cause(ctx) == errNoAck {
		l.transport.Drop(errNoAck)
		return nil, errNoAck
	}
	return task, err
}

var errNoAck = errors.New("endpoint: the server neither accepted nor refused a task in time")

// taskError returns the error for a task that did not succeed, without its ids.
// otherwise is its kind if the connection is not to blame.
func (l *link) taskError(err error, otherwise error) *TaskError {
	var (
		known  *TaskError
		remote *protocol.RemoteError
		failed *protocol.TaskError
		lost   *transport.CloseError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &failed):
		return &TaskError{Kind: otherwise, Message: failed.End.Error, Result: failed.End.Result}
	case errors.As(err, &remote):
		return &TaskError{Kind: otherwise, Message: remote.Message}
	case l.ctx.Err() != nil, errors.Is(err, transport.ErrInterrupted), errors.As(err, &lost), errors.Is(err, errNoAck), errors.Is(err, transport.ErrNotConnected):
		return &TaskError{Kind: ErrTaskLost, Err: err}
	default:
		return &TaskError{Kind: otherwise, Err: err}
	}
}
