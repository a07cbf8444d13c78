package messages

import (
	"slices"
	"strings"
)

// Enum is a string E that may only be one of a few: each type of this file.
type Enum[E any] interface {
	~string

	// Valid reports whether the string is one of them.
	Valid() bool

	// Allowed lists them in words, for an error message.
	Allowed() string

	// Named returns the one that text names, "" if there is none. It
	// allocates nothing: the result does not share text's memory.
	Named(text []byte) E
}

// values are what an [Enum] may be.
type values[E ~string] []E

func (all values[E]) have(value E) bool { return slices.Contains(all, value) }

func (all values[E]) list() string {
	words := make([]string, len(all))
	for i, value := range all {
		words[i] = string(value)
	}
	return strings.Join(words, ", ")
}

func (all values[E]) named(text []byte) E {
	for _, value := range all {
		if string(value) == string(text) {
			return value
		}
	}
	return ""
}

// ClientMessageType says what a client message is.
type ClientMessageType string

// The types a client may send.
const (
	ClientTask               ClientMessageType = "task"
	ClientHeartbeat          ClientMessageType = "heartbeat"
	ClientCommandResults     ClientMessageType = "command_results"
	ClientError              ClientMessageType = "error"
	ClientRegister           ClientMessageType = "register"
	ClientTaskEnd            ClientMessageType = "task_end"
	ClientDeviceInfoRequest  ClientMessageType = "device_info_request"
	ClientDeviceInfoResponse ClientMessageType = "device_info_response"
)

var clientMessageTypes = values[ClientMessageType]{
	ClientTask, ClientHeartbeat, ClientCommandResults, ClientError,
	ClientRegister, ClientTaskEnd, ClientDeviceInfoRequest, ClientDeviceInfoResponse,
}

// Valid reports whether t is one of the declared types.
func (t ClientMessageType) Valid() bool { return clientMessageTypes.have(t) }

// Allowed lists the valid values in words, for an error message.
func (ClientMessageType) Allowed() string { return clientMessageTypes.list() }

// Named returns the type that text names, "" if there is none.
func (ClientMessageType) Named(text []byte) ClientMessageType { return clientMessageTypes.named(text) }

// ServerMessageType says what a server message is.
type ServerMessageType string

// The types a server may send.
const (
	ServerTask               ServerMessageType = "task"
	ServerHeartbeat          ServerMessageType = "heartbeat"
	ServerTaskEnd            ServerMessageType = "task_end"
	ServerCommand            ServerMessageType = "command"
	ServerError              ServerMessageType = "error"
	ServerDeviceInfoRequest  ServerMessageType = "device_info_request"
	ServerDeviceInfoResponse ServerMessageType = "device_info_response"
)

var serverMessageTypes = values[ServerMessageType]{
	ServerTask, ServerHeartbeat, ServerTaskEnd, ServerCommand,
	ServerError, ServerDeviceInfoRequest, ServerDeviceInfoResponse,
}

// Valid reports whether t is one of the declared types.
func (t ServerMessageType) Valid() bool { return serverMessageTypes.have(t) }

// Allowed lists the valid values in words, for an error message.
func (ServerMessageType) Allowed() string { return serverMessageTypes.list() }

// Named returns the type that text names, "" if there is none.
func (ServerMessageType) Named(text []byte) ServerMessageType { return serverMessageTypes.named(text) }

// TaskStatus is the status every message carries.
type TaskStatus string

// The statuses of a message.
const (
	StatusContinue  TaskStatus = "continue"
	StatusCompleted TaskStatus = "completed"
	StatusFailed    TaskStatus = "failed"
	StatusOK        TaskStatus = "ok"
	StatusError     TaskStatus = "error"
)

var taskStatuses = values[TaskStatus]{StatusContinue, StatusCompleted, StatusFailed, StatusOK, StatusError}

// Valid reports whether s is one of the declared statuses.
func (s TaskStatus) Valid() bool { return taskStatuses.have(s) }

// Allowed lists the valid values in words, for an error message.
func (TaskStatus) Allowed() string { return taskStatuses.list() }

// Named returns the status that text names, "" if there is none.
func (TaskStatus) Named(text []byte) TaskStatus { return taskStatuses.named(text) }

// ClientType is the role of a client.
type ClientType string

// The roles of a client. A message that names none comes from a device.
const (
	Device        ClientType = "device"
	Constellation ClientType = "constellation"
)

var clientTypes = values[ClientType]{Device, Constellation}

// Valid reports whether t is one of the declared roles.
func (t ClientType) Valid() bool { return clientTypes.have(t) }

// Allowed lists the valid values in words, for an error message.
func (ClientType) Allowed() string { return clientTypes.list() }

// Named returns the role that text names, "" if there is none.
func (ClientType) Named(text []byte) ClientType { return clientTypes.named(text) }

// ResultStatus says how a command went.
type ResultStatus string

// The outcomes of a command. ResultSkipped is a command that was not run
// because an earlier one of the same message failed.
const (
	ResultSuccess ResultStatus = "success"
	ResultFailure ResultStatus = "failure"
	ResultSkipped ResultStatus = "skipped"
	ResultNone    ResultStatus = "none"
)

var resultStatuses = values[ResultStatus]{ResultSuccess, ResultFailure, ResultSkipped, ResultNone}

// Valid reports whether s is one of the declared outcomes.
func (s ResultStatus) Valid() bool { return resultStatuses.have(s) }

// Allowed lists the valid values in words, for an error message.
func (ResultStatus) Allowed() string { return resultStatuses.list() }

// Named returns the outcome that text names, "" if there is none.
func (ResultStatus) Named(text []byte) ResultStatus { return resultStatuses.named(text) }

// ToolType tells a command that only looks from one that acts.
type ToolType string

// The kinds of tool a command may call.
const (
	ToolDataCollection ToolType = "data_collection"
	ToolAction         ToolType = "action"
)

var toolTypes = values[ToolType]{ToolDataCollection, ToolAction}

// Valid reports whether t is one of the declared kinds.
func (t ToolType) Valid() bool { return toolTypes.have(t) }

// Allowed lists the valid values in words, for an error message.
func (ToolType) Allowed() string { return toolTypes.list() }

// Named returns the kind that text names, "" if there is none.
func (ToolType) Named(text []byte) ToolType { return toolTypes.named(text) }
