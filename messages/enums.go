package messages

// Enum is a string that may only be one of a few: each type of this file.
type Enum interface {
	~string

	// Valid reports whether the string is one of them.
	Valid() bool

	// Allowed lists them in words, for an error message.
	Allowed() string
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

// Valid reports whether t is one of the declared types.
func (t ClientMessageType) Valid() bool {
	switch t {
	case ClientTask, ClientHeartbeat, ClientCommandResults, ClientError, ClientRegister,
		ClientTaskEnd, ClientDeviceInfoRequest, ClientDeviceInfoResponse:
		return true
	}
	return false
}

// Allowed lists the valid values in words, for an error message.
func (ClientMessageType) Allowed() string {
	return "task, heartbeat, command_results, error, register, task_end, device_info_request, device_info_response"
}

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

// Valid reports whether t is one of the declared types.
func (t ServerMessageType) Valid() bool {
	switch t {
	case ServerTask, ServerHeartbeat, ServerTaskEnd, ServerCommand, ServerError,
		ServerDeviceInfoRequest, ServerDeviceInfoResponse:
		return true
	}
	return false
}

// Allowed lists the valid values in words, for an error message.
func (ServerMessageType) Allowed() string {
	return "task, heartbeat, task_end, command, error, device_info_request, device_info_response"
}

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

// Valid reports whether s is one of the declared statuses.
func (s TaskStatus) Valid() bool {
	switch s {
	case StatusContinue, StatusCompleted, StatusFailed, StatusOK, StatusError:
		return true
	}
	return false
}

// Allowed lists the valid values in words, for an error message.
func (TaskStatus) Allowed() string {
	return "continue, completed, failed, ok, error"
}

// ClientType is the role of a client.
type ClientType string

// The roles of a client. A message that names none comes from a device.
const (
	Device        ClientType = "device"
	Constellation ClientType = "constellation"
)

// Valid reports whether t is one of the declared roles.
func (t ClientType) Valid() bool {
	return t == Device || t == Constellation
}

// Allowed lists the valid values in words, for an error message.
func (ClientType) Allowed() string {
	return "device, constellation"
}

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

// Valid reports whether s is one of the declared outcomes.
func (s ResultStatus) Valid() bool {
	switch s {
	case ResultSuccess, ResultFailure, ResultSkipped, ResultNone:
		return true
	}
	return false
}

// Allowed lists the valid values in words, for an error message.
func (ResultStatus) Allowed() string {
	return "success, failure, skipped, none"
}

// ToolType tells a command that only looks from one that acts.
type ToolType string

// The kinds of tool a command may call.
const (
	ToolDataCollection ToolType = "data_collection"
	ToolAction         ToolType = "action"
)

// Valid reports whether t is one of the declared kinds.
func (t ToolType) Valid() bool {
	return t == ToolDataCollection || t == ToolAction
}

// Allowed lists the valid values in words, for an error message.
func (ToolType) Allowed() string {
	return "data_collection, action"
}
