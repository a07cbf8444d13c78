package endpoint

import (
	"context"
	"time"

	"github.com/aip-go/aip/messages"
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
	// Timeout is how long the task may take, its wait in the queue included;
	// zero means 1000 seconds, negative means no bound.
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
// [ErrTaskTimeout], [ErrQueueFull], [ErrNotConnected], [ErrClosed], or the
// context's error.
//
// A device has one task at a time ([ConstellationOptions]' MaxTasksPerDevice);
// the others wait in its queue (MaxQueued), in the order of the calls. While its
// connection is being replaced they are held, until their own time is over. When
// it will not be replaced any more they fail with ErrNotConnected: none of them
// was sent. A task that was sent goes on if the session is resumed, else it is
// lost.
//
// After a timeout, and after the end of ctx, a task that was sent goes on at the
// server: AIP has no message to cancel it. The device stays busy until the end
// of that task comes or its session is lost, and only then gets the next one.
func (c *Constellation) Run(ctx context.Context, deviceID string, r TaskRequest) (*TaskResult, error) {
	q, err := c.submit(ctx, func() (*member, error) { return c.ready(deviceID) }, deviceID, r)
	if err != nil {
		return nil, err
	}
	return q.wait()
}
