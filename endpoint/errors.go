package endpoint

import (
	"errors"
	"fmt"

	"github.com/aip-go/aip/messages"
)

// Sentinel errors, to be matched with errors.Is.
var (
	// ErrInvalidOptions: an option has a value that it cannot have.
	ErrInvalidOptions = errors.New("endpoint: invalid options")
	// ErrServerClosed: the server was closed, or does not take on anything new
	// because it is shutting down.
	ErrServerClosed = errors.New("endpoint: server closed")
	// ErrForbidden: a client showed no token, or a wrong one.
	ErrForbidden = errors.New("endpoint: wrong or missing token")
	// ErrTooManyConnections: the server has as many as its options allow.
	ErrTooManyConnections = errors.New("endpoint: too many connections")
	// ErrNotConnected: there is no connection for this; call Run (device) or
	// Connect (constellation) first.
	ErrNotConnected = errors.New("endpoint: not connected")
	// ErrAlreadyRunning: the device runs already; end that first.
	ErrAlreadyRunning = errors.New("endpoint: device is running already")
	// ErrClosed: the constellation was closed; make another one.
	ErrClosed = errors.New("endpoint: constellation closed")

	// ErrDeviceLost: the device that runs the task has disconnected.
	ErrDeviceLost = errors.New("endpoint: the device of the task has disconnected")
	// ErrRequesterLost: the client that asked for the task has disconnected.
	ErrRequesterLost = errors.New("endpoint: the requester of the task has disconnected")
	// ErrCommandTimeout: the device did not answer a command in time. It may
	// still run it.
	ErrCommandTimeout = errors.New("endpoint: device did not answer the command in time")
	// ErrTaskOver: the task has ended; its handler can send no more commands.
	ErrTaskOver = errors.New("endpoint: task is over")
	// ErrSlowConsumer: a client took in no message for the send timeout, and
	// its connection was given up.
	ErrSlowConsumer = errors.New("endpoint: client does not read its messages")

	// ErrTaskRefused: the task was not taken on: by the server or, if it is not
	// valid or runs already, by this side.
	ErrTaskRefused = errors.New("endpoint: task refused")
	// ErrQueueFull: as many tasks as may wait for a device do; try again later.
	ErrQueueFull = errors.New("endpoint: too many tasks wait for the device")
	// ErrNoDevice: no device with a registered connection has the capabilities.
	ErrNoDevice = errors.New("endpoint: no connected device has the capabilities")
	// ErrTaskFailed: the task ended without success.
	ErrTaskFailed = errors.New("endpoint: task failed")
	// ErrTaskLost: the connection, or the session that outlives it, ended before
	// the task did. Whether the device has acted is unknown.
	ErrTaskLost = errors.New("endpoint: connection lost before the end of the task")
	// ErrTaskTimeout: the task did not end in time. The device may still be
	// busy with it: AIP cannot cancel a task.
	ErrTaskTimeout = errors.New("endpoint: task did not end in time")
)

// CommandError is a COMMAND that brought no results. It wraps the cause:
// [ErrDeviceLost], [ErrCommandTimeout], a [*protocol.ResultsError], the end of
// the task's context, or a failure to send.
type CommandError struct {
	// DeviceID, SessionID and ResponseID say which command of which task on
	// which device.
	DeviceID, SessionID, ResponseID string
	// Err is the cause.
	Err error
}

// Error returns the device and the cause.
func (e *CommandError) Error() string {
	return fmt.Sprintf("endpoint: command for device %q: %v", e.DeviceID, e.Err)
}

// Unwrap returns the cause.
func (e *CommandError) Unwrap() error { return e.Err }

// TaskError is a task of a constellation that did not succeed. It matches
// [ErrTaskRefused], [ErrTaskFailed], [ErrTaskLost], [ErrTaskTimeout],
// [ErrQueueFull], [ErrNotConnected], [ErrNoDevice], [ErrClosed] or the context's
// error, and wraps the cause where there is one.
type TaskError struct {
	// DeviceID and SessionID say which task on which device.
	DeviceID, SessionID string
	// Kind is the sentinel.
	Kind error
	// Message is what the server says about it. Its wording is the server's;
	// do not match it.
	Message string
	// Result is what the server sent with the end of a failed task, or unset.
	Result messages.Value
	// Err is the cause, if there is more to say than Kind and Message do.
	Err error
}

// Error returns the device, the kind, and what is known of the cause.
func (e *TaskError) Error() string {
	text := e.Kind.Error()
	if e.DeviceID != "" {
		text += fmt.Sprintf(" (device %q, session %q)", e.DeviceID, e.SessionID)
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the kind and the cause.
func (e *TaskError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}
