package endpoint

import (
	"sync"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
)

// EventKind says what happened.
type EventKind string

// The kinds of event, each with the endpoints that report it.
const (
	// EventRegistered: a registration was confirmed (all). With Resumed, the
	// session of an earlier connection goes on.
	EventRegistered EventKind = "registered"
	// EventRejected: a connection did not get to its registration, or the
	// registration was refused (server).
	EventRejected EventKind = "rejected"
	// EventDisconnected: a registered connection has ended; Err says how, nil
	// after a clean close (all). A server reports it when the client is gone
	// for good, before another one can be registered under its id: see
	// EventDetached.
	EventDisconnected EventKind = "disconnected"
	// EventDetached: the connection of a session that can be resumed was lost;
	// Err says how. EventRegistered follows if the client comes back in time,
	// else EventDisconnected (server).
	EventDetached EventKind = "detached"
	// EventHeartbeat: a heartbeat was answered (all).
	EventHeartbeat EventKind = "heartbeat"
	// EventDeviceState: what there is between a constellation and a device has
	// changed, From one state To another; Err says why, if something went wrong
	// (constellation).
	EventDeviceState EventKind = "device_state"
	// EventDeviceInfo: a question about a device was answered (server,
	// constellation).
	EventDeviceInfo EventKind = "device_info"
	// EventTaskQueued: a task waits for its turn, with Count tasks before it, be
	// they waiting or running. EventTaskEnded follows (constellation).
	EventTaskQueued EventKind = "task_queued"
	// EventTaskAccepted: a task was acknowledged (all).
	EventTaskAccepted EventKind = "task_accepted"
	// EventTaskRefused: a task was refused; Err says why (server).
	EventTaskRefused EventKind = "task_refused"
	// EventTaskEnded: a task has ended with Status; Err says why it failed
	// (all).
	EventTaskEnded EventKind = "task_ended"
	// EventCommand: a command with Count actions was sent (server) or is being
	// run (device).
	EventCommand EventKind = "command"
	// EventResults: Count results came (server) or were sent (device).
	EventResults EventKind = "results"
	// EventResultsDropped: results came that nobody waits for (server).
	EventResultsDropped EventKind = "results_dropped"
	// EventFile: a file came, or failed to; see File and Err (server).
	EventFile EventKind = "file"
	// EventRefused: a message was refused or not understood, or the peer
	// reported an error; Err says what (all).
	EventRefused EventKind = "refused"
)

// Event is something that happened at an endpoint. Fields that do not apply
// are empty.
type Event struct {
	Time time.Time
	Kind EventKind
	// ClientID and Role are those of the connection on which it happened.
	ClientID string
	Role     messages.ClientType
	// Principal names on whose behalf it was made; "" for everyone's.
	Principal string
	// DeviceID is the device concerned, SessionID and TaskName the task.
	DeviceID, SessionID, TaskName string
	// Status is how a task ended.
	Status messages.TaskStatus
	// Resumed says of a registration that it continues a session.
	Resumed bool
	// From and To are states of a device.
	From, To DeviceState
	// Count is the number of actions of a command, of results, or of tasks.
	Count int
	// File is the file that came.
	File *protocol.FileResult
	// Err is what went wrong.
	Err error
}

// observer hands events to a user's function, one at a time. The zero value
// drops them.
type observer struct {
	mu sync.Mutex
	f  func(Event)
}

func (o *observer) observe(e Event) {
	if o.f == nil {
		return
	}
	e.Time = time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.f(e)
}
