package endpoint

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// session is a running task: who asked, who runs it, and how it ends.
type session struct {
	id, taskName, request string
	requester, executor   *client
	memory                *rememberedTask // nil: the request has no id

	// commandSeed is what the ids of commands are made of; zero for random ones.
	commandSeed contentHash
	commands    atomic.Uint64
	// commanding holds a token while a command is underway: there is one at a
	// time, and its results are recorded before the next.
	commanding chan struct{}

	// ctx is the handler's. Its cause, when cancelled, is why the task ends.
	ctx    context.Context
	cancel context.CancelCauseFunc

	// ending is set, under the server's lock, when the end of the task is
	// about to be sent, and answered when the requester has it; told is closed
	// when everyone has it, and the id is free again.
	ending, answered bool
	told             chan struct{}

	mu     sync.Mutex
	over   bool // the handler has returned, or the task was cancelled
	rounds [][]messages.Result
	size   int64 // of the results in bytes, about; over limit none are kept
	limit  int64
}

// emptyResult is the length of a result with nothing in it, as it is written.
const emptyResult = len(`{"status":"success","error":null,"result":null,"namespace":null,"call_id":null}`)

// record keeps the results of a command for the end of the task, as long as a
// message can carry them.
func (sess *session) record(results []messages.Result) {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	for i := range results {
		r := &results[i]
		sess.size += int64(emptyResult + r.Result.Len() + len(r.Error) + len(r.Namespace) + len(r.CallID))
	}
	if sess.size += int64(len(sess.request)); sess.size > sess.limit {
		sess.rounds = nil
		return
	}
	sess.rounds = append(sess.rounds, slices.Clone(results))
}

// result returns what the commands brought, as the reference writes it: an
// array of {"request", "result"} objects, nulls included. It fails with
// errResultSize if that was too much.
func (sess *session) result() (messages.Value, error) {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	if sess.size > sess.limit {
		return messages.Value{}, errResultSize
	}
	request := stringValue(sess.request)
	json := codec.JSON{Style: codec.Reference, MaxSize: -1}
	out := []byte{'['}
	for i, round := range sess.rounds {
		if i > 0 {
			out = append(out, ',')
		}
		list := []byte{'['}
		for j := range round {
			if j > 0 {
				list = append(list, ',')
			}
			// A result is a model, and there is no limit, so that this cannot fail.
			list, _ = json.Append(list, &round[j])
		}
		object := messages.Object{
			{Key: "request", Value: request},
			{Key: "result", Value: messages.TrustedValue(append(list, ']'))},
		}
		out = object.Value().AppendTo(out)
	}
	return messages.TrustedValue(append(out, ']')), nil
}

func stringValue(s string) messages.Value {
	v, err := messages.NewValue(s)
	if err != nil {
		panic("endpoint: encoding a string failed: " + err.Error())
	}
	return v
}

// outcome is what a handler returns.
type outcome struct {
	result any
	err    error
}

// run runs the handler and sends the one end of the task: when the handler
// returns, or when the task is cancelled, whichever is first.
func (s *Server) run(sess *session, task *Task) {
	defer s.work.Done()
	stop := context.AfterFunc(sess.ctx, func() {
		if sess.finish(func() { s.work.Add(1) }) {
			defer s.work.Done()
			s.end(sess, outcome{err: context.Cause(sess.ctx)})
		}
	})
	o := outcome{err: errHandlerPanic} // stays if the handler calls runtime.Goexit
	defer func() {
		stop()
		if !sess.finish(nil) {
			return
		}
		if o.err != nil && sess.ctx.Err() != nil {
			o.err = context.Cause(sess.ctx)
		}
		s.end(sess, o)
	}()
	o = s.call(sess, task)
}

// finish reports whether it is the first call, and then calls first, unless that
// is nil, before another call can return.
func (sess *session) finish(first func()) bool {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	if sess.over {
		return false
	}
	sess.over = true
	if first != nil {
		first()
	}
	return true
}

// call calls the user's handler.
func (s *Server) call(sess *session, task *Task) (o outcome) {
	defer func() {
		if v := recover(); v != nil {
			s.logger.Error("task handler panicked", zap.String("session_id", sess.id), zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
			o = outcome{err: errHandlerPanic}
		}
	}()
	result, err := s.options.Handler(sess.ctx, task)
	return outcome{result, err}
}

var (
	errHandlerPanic = errors.New("the task's handler failed unexpectedly")
	errResultSize   = errors.New("the result is larger than a message may be")
)

// end tells the requester, then the device, how the task ended, and frees the
// session's id. That is last, so that a device does not take the end for that of
// the id's next task.
func (s *Server) end(sess *session, o outcome) {
	s.mu.Lock()
	sess.ending = true
	s.mu.Unlock()
	abandoned := sess.abandoned(o.err)
	sess.cancel(ErrTaskOver)

	m, err := sess.endMessage(o)
	told := s.tell(sess.requester, m)
	if err != nil && errors.Is(told, transport.ErrMessageTooLarge) {
		// The results may be what is too large, rather than the reason.
		m = messages.NewTaskFailed(sess.id, failureText(err), messages.Value{})
		told = s.tell(sess.requester, m)
	}
	if errors.Is(told, transport.ErrMessageTooLarge) {
		err = errResultSize
		m = messages.NewTaskFailed(sess.id, errResultSize.Error(), messages.Value{})
		_ = s.tell(sess.requester, m)
	}
	if !abandoned {
		s.remember(sess, m)
	}
	s.outcomes.add(TaskOutcome{
		SessionID: sess.id, TaskName: sess.taskName, Status: m.Status, Result: m.Result, Error: m.Error, Ended: time.Now(),
	})
	if sess.executor != sess.requester {
		_ = s.tell(sess.executor, m)
	}
	s.free(sess)
	s.events.observe(sess.requester.event(Event{
		Kind: EventTaskEnded, DeviceID: sess.executor.info.ID, SessionID: sess.id, TaskName: sess.taskName,
		Status: m.Status, Err: err,
	}))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unended--
	s.checkIdle()
	s.release(sess.requester)
	s.release(sess.executor)
}

// abandoned reports whether the task failed with err because its requester has
// gone. For who comes back and asks again that is no end: the task runs again.
func (sess *session) abandoned(err error) bool {
	return errors.Is(err, ErrRequesterLost) || errors.Is(err, ErrDeviceLost) && sess.executor == sess.requester
}

// tell sends m to a client that may be gone.
func (s *Server) tell(c *client, m *messages.ServerMessage) error {
	err := c.send(s.lifetime, m)
	if err != nil {
		s.logger.Info("a client was not told the end of a task", zap.String("client_id", c.info.ID), zap.String("session_id", m.SessionID), zap.Error(err))
	}
	return err
}

// endMessage returns the task_end, and why the task failed, if it did.
func (sess *session) endMessage(o outcome) (*messages.ServerMessage, error) {
	if o.err == nil {
		var (
			result messages.Value
			err    error
		)
		if o.result == nil {
			result, err = sess.result()
		} else if result, err = messages.NewValue(o.result); err != nil {
			err = fmt.Errorf("the result cannot be sent: %w", err)
		}
		if err == nil {
			return messages.NewTaskCompleted(sess.id, result), nil
		}
		o.err = err
	}
	soFar, _ := sess.result() // unset if it is too much
	return messages.NewTaskFailed(sess.id, failureText(o.err), soFar), o.err
}

// failureText returns the words for an end of a task, which are those of the
// reference where it has some.
func failureText(err error) string {
	switch {
	case errors.Is(err, ErrDeviceLost):
		return "Task was cancelled because target device disconnected"
	case errors.Is(err, ErrRequesterLost):
		return "Task was cancelled because its requester disconnected"
	case errors.Is(err, ErrServerClosed):
		return "Task was cancelled because " + shuttingDown
	}
	if text := err.Error(); text != "" {
		return text
	}
	return "the task failed without a reason"
}
