package endpoint

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
)

// DispatchRequest is a task that comes from elsewhere than a client, such as an
// HTTP call.
type DispatchRequest struct {
	// DeviceID is the device that is to run it.
	DeviceID string
	// Request says in words what to do. It is required.
	Request string
	// TaskName names the task: at most 200 letters, digits, dots, underscores and
	// dashes, and no dot at the beginning. "" means a fresh one.
	TaskName string
}

// Dispatched is a task that a device has taken on.
type Dispatched struct {
	DeviceID, SessionID, TaskName string
}

// DispatchError is a task that was not dispatched.
type DispatchError struct {
	// Kind is [ErrInvalidDispatch] or [ErrTaskRefused].
	Kind error
	// Problem says what is wrong.
	Problem string
}

// Error gives the kind and the problem.
func (e *DispatchError) Error() string { return e.Kind.Error() + ": " + e.Problem }

// Unwrap returns the kind.
func (e *DispatchError) Unwrap() error { return e.Kind }

// ErrInvalidDispatch: a [DispatchRequest] is not valid.
var ErrInvalidDispatch = errors.New("endpoint: invalid dispatch")

// dispatchTimeout is how long a device may take to take a task on.
const dispatchTimeout = 30 * time.Second

// taskNamePattern is what the reference takes (spec section 4).
var taskNamePattern = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*$`)

// Dispatch hands a device a task and returns when the device has taken it on,
// within 30 seconds. The task then runs as one that the device has asked for;
// [Server.TaskResult] tells how it ends.
//
// The errors are a [*DispatchError], [ErrNotConnected], [ErrServerClosed], and a
// [*protocol.CallError] when the device does not take the task on.
func (s *Server) Dispatch(ctx context.Context, r DispatchRequest) (*Dispatched, error) {
	switch {
	case strings.TrimSpace(r.Request) == "":
		return nil, &DispatchError{ErrInvalidDispatch, "Empty task content"}
	case r.DeviceID == "":
		return nil, &DispatchError{ErrInvalidDispatch, "Empty client ID"}
	case r.TaskName != "" && (len(r.TaskName) > maxTaskName || !taskNamePattern.MatchString(r.TaskName)):
		return nil, &DispatchError{ErrInvalidDispatch, "Invalid task_name"}
	}
	s.mu.Lock()
	device, draining := s.online[r.DeviceID], s.draining
	s.mu.Unlock()
	switch {
	case draining:
		return nil, ErrServerClosed
	case device == nil || device.info.Role != messages.Device:
		return nil, ErrNotConnected
	}
	ctx, cancel := context.WithTimeout(ctx, dispatchTimeout)
	defer cancel()
	if err := device.ready(ctx); err != nil {
		return nil, err
	}
	dispatch := messages.NewTaskDispatch("", r.TaskName, r.Request)
	task, err := protocol.DispatchTask(kept(ctx), device.proto, dispatch)
	if err != nil {
		return nil, err
	}
	if task.SessionID == "" { // The reference's device names none.
		task.SessionID = dispatch.SessionID
	}
	if err := checkTask(task); err != nil {
		told := device.refuseFor(ctx, task, invalidID, err)
		return nil, firstError(told, &DispatchError{ErrTaskRefused, invalidID})
	}
	taken := s.open(ctx, device, task)
	err = device.answerTask(ctx, task, taken)
	switch {
	case taken.refusal != "":
		return nil, &DispatchError{ErrTaskRefused, taken.refusal}
	case err != nil:
		return nil, err
	}
	return &Dispatched{DeviceID: r.DeviceID, SessionID: taken.sessionID, TaskName: dispatch.TaskName}, nil
}
