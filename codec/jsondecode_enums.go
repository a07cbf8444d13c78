package codec

import "github.com/aip-go/aip/messages"

// enum reads a string that must be a value of its type. One that is not is
// reported without being kept.
func enum[E messages.Enum](d *decoder, path string, lookup func([]byte) E) E {
	var zero E
	if d.s.Kind() != '"' {
		d.mistyped(path, "must be a string")
		return zero
	}
	value := lookup(d.s.Text())
	if value == zero {
		d.report(path, messages.RuleEnum, "must be one of "+zero.Allowed())
	}
	return value
}

// The lookups return the constant that text names, or "". They share the
// constant's memory, so that no enum of a message is allocated.

func clientMessageType(text []byte) messages.ClientMessageType {
	switch string(text) {
	case string(messages.ClientTask):
		return messages.ClientTask
	case string(messages.ClientHeartbeat):
		return messages.ClientHeartbeat
	case string(messages.ClientCommandResults):
		return messages.ClientCommandResults
	case string(messages.ClientError):
		return messages.ClientError
	case string(messages.ClientRegister):
		return messages.ClientRegister
	case string(messages.ClientTaskEnd):
		return messages.ClientTaskEnd
	case string(messages.ClientDeviceInfoRequest):
		return messages.ClientDeviceInfoRequest
	case string(messages.ClientDeviceInfoResponse):
		return messages.ClientDeviceInfoResponse
	}
	return ""
}

func serverMessageType(text []byte) messages.ServerMessageType {
	switch string(text) {
	case string(messages.ServerTask):
		return messages.ServerTask
	case string(messages.ServerHeartbeat):
		return messages.ServerHeartbeat
	case string(messages.ServerTaskEnd):
		return messages.ServerTaskEnd
	case string(messages.ServerCommand):
		return messages.ServerCommand
	case string(messages.ServerError):
		return messages.ServerError
	case string(messages.ServerDeviceInfoRequest):
		return messages.ServerDeviceInfoRequest
	case string(messages.ServerDeviceInfoResponse):
		return messages.ServerDeviceInfoResponse
	}
	return ""
}

func taskStatus(text []byte) messages.TaskStatus {
	switch string(text) {
	case string(messages.StatusContinue):
		return messages.StatusContinue
	case string(messages.StatusCompleted):
		return messages.StatusCompleted
	case string(messages.StatusFailed):
		return messages.StatusFailed
	case string(messages.StatusOK):
		return messages.StatusOK
	case string(messages.StatusError):
		return messages.StatusError
	}
	return ""
}

func clientType(text []byte) messages.ClientType {
	switch string(text) {
	case string(messages.Device):
		return messages.Device
	case string(messages.Constellation):
		return messages.Constellation
	}
	return ""
}

func resultStatus(text []byte) messages.ResultStatus {
	switch string(text) {
	case string(messages.ResultSuccess):
		return messages.ResultSuccess
	case string(messages.ResultFailure):
		return messages.ResultFailure
	case string(messages.ResultSkipped):
		return messages.ResultSkipped
	case string(messages.ResultNone):
		return messages.ResultNone
	}
	return ""
}

func toolType(text []byte) messages.ToolType {
	switch string(text) {
	case string(messages.ToolDataCollection):
		return messages.ToolDataCollection
	case string(messages.ToolAction):
		return messages.ToolAction
	}
	return ""
}
