package messages

import (
	"slices"
	"time"
)

// NewRegistrationConfirmation returns the server's answer to a registration it
// accepts. On the wire it is a heartbeat like any other.
func NewRegistrationConfirmation() *ServerMessage { return NewHeartbeatReply() }

// NewHeartbeatReply returns the server's answer to a heartbeat.
func NewHeartbeatReply() *ServerMessage {
	return newServer(ServerHeartbeat, StatusOK)
}

// NewTaskAck returns the server's answer to a task request it accepts: a
// heartbeat that carries the session's id.
func NewTaskAck(sessionID string) *ServerMessage {
	m := newServer(ServerHeartbeat, StatusOK)
	m.SessionID = sessionID
	return m
}

// NewTaskDispatch returns the message by which a server hands a device a task
// that came from elsewhere, such as an HTTP call. Empty ids are filled with
// [NewID].
func NewTaskDispatch(sessionID, taskName, request string) *ServerMessage {
	m := newServer(ServerTask, StatusContinue)
	m.UserRequest = request
	m.SessionID = idOr(sessionID)
	m.TaskName = idOr(taskName)
	return m
}

// CommandRequest says which tools a device is to call, and for which session.
type CommandRequest struct {
	SessionID   string
	TaskName    string
	AgentName   string // the agent whose tools these are
	ProcessName string // the process the agent works on, if any
	RootName    string // the application that process belongs to, if any
	Actions     []Command
}

// NewCommand returns the message that asks a device to make the tool calls of
// r, in order. Calls without an id are given one by [NewID], in a copy of the
// list.
func NewCommand(r CommandRequest) *ServerMessage {
	m := newServer(ServerCommand, StatusContinue)
	m.AgentName = r.AgentName
	m.ProcessName = r.ProcessName
	m.RootName = r.RootName
	m.SessionID = r.SessionID
	m.TaskName = r.TaskName
	m.Actions = slices.Clone(r.Actions)
	for i := range m.Actions {
		m.Actions[i].CallID = idOr(m.Actions[i].CallID)
	}
	return m
}

// NewTaskCompleted returns the end of a task that went well. result is any
// JSON value: an array of {"request", "result"} objects, one per round, is
// what the peers expect.
func NewTaskCompleted(sessionID string, result Value) *ServerMessage {
	m := newServer(ServerTaskEnd, StatusCompleted)
	m.SessionID = sessionID
	m.Result = result
	return m
}

// NewTaskFailed returns the end of a task that did not. result is what there
// is so far, or unset.
func NewTaskFailed(sessionID, text string, result Value) *ServerMessage {
	m := newServer(ServerTaskEnd, StatusFailed)
	m.Error = text
	m.SessionID = sessionID
	m.Result = result
	return m
}

// NewDeviceInfoResponse returns the answer to the device info request with the
// id requestID. info is what the device said when it registered.
func NewDeviceInfoResponse(requestID string, info Value) *ServerMessage {
	m := newServer(ServerDeviceInfoResponse, StatusOK)
	m.ResponseID = requestID
	m.Result = info
	return m
}

// NewDeviceInfoMissing returns the answer to the device info request with the
// id requestID when the server has nothing about the device. Its status is ok
// and its result an object with the key "error".
func NewDeviceInfoMissing(requestID, deviceID string) *ServerMessage {
	text := "Device " + deviceID + " not found or no system info available"
	return NewDeviceInfoResponse(requestID, Object{{"error", stringValue(text)}}.Value())
}

// NewServerError returns the message by which a server refuses something. It
// names neither the request nor the session.
func NewServerError(text string) *ServerMessage {
	m := newServer(ServerError, StatusError)
	m.Error = text
	return m
}

// newServer returns a message with a fresh id and the current time.
func newServer(t ServerMessageType, status TaskStatus) *ServerMessage {
	return &ServerMessage{
		Type:       t,
		Status:     status,
		Timestamp:  Timestamp(time.Now()),
		ResponseID: NewID(),
	}
}

// idOr returns id, or a fresh one if it is empty.
func idOr(id string) string {
	if id == "" {
		return NewID()
	}
	return id
}
