package messages

import "time"

// The platforms a server knows. A device names one when it registers.
const (
	PlatformWindows = "windows"
	PlatformLinux   = "linux"
	PlatformMobile  = "mobile"
)

// NewDeviceRegistration returns the first message of a device. systemInfo is
// the object of [SystemInfo.Value], or unset if there is none; platform is one
// of the Platform constants, or "" to leave the choice to the server.
func NewDeviceRegistration(clientID, platform string, systemInfo Value) *ClientMessage {
	now := Timestamp(time.Now())
	metadata := Object{}
	if !systemInfo.IsNull() {
		metadata.Set("system_info", systemInfo)
	}
	metadata.Set("registration_time", stringValue(now))
	if platform != "" {
		metadata.Set("platform", stringValue(platform))
	}
	return &ClientMessage{
		Type:       ClientRegister,
		Status:     StatusOK,
		ClientType: Device,
		ClientID:   clientID,
		Timestamp:  now,
		Metadata:   metadata.Value(),
	}
}

// NewConstellationRegistration returns the first message of the constellation
// name on its connection for the device deviceID. The client id is
// [ConstellationClientID]. Without a device the client id is name alone and no
// device is targeted.
func NewConstellationRegistration(name, deviceID string) *ClientMessage {
	clientID := name
	metadata := Object{
		{"type", stringValue("constellation_client")},
		{"task_name", stringValue(name)},
	}
	if deviceID != "" {
		clientID = ConstellationClientID(name, deviceID)
		metadata.Set("targeted_device_id", stringValue(deviceID))
	}
	metadata.Set("capabilities", stringsValue("task_distribution", "session_management", "device_coordination"))
	metadata.Set("version", stringValue("2.0"))
	return &ClientMessage{
		Type:       ClientRegister,
		Status:     StatusOK,
		ClientType: Constellation,
		ClientID:   clientID,
		TargetID:   deviceID,
		Timestamp:  Timestamp(time.Now()),
		Metadata:   metadata.Value(),
	}
}

// NewDeviceHeartbeat returns the heartbeat of a device.
func NewDeviceHeartbeat(clientID string) *ClientMessage {
	return &ClientMessage{
		Type:       ClientHeartbeat,
		Status:     StatusOK,
		ClientType: Device,
		ClientID:   clientID,
		Timestamp:  Timestamp(time.Now()),
	}
}

// NewConstellationHeartbeat returns the heartbeat of a constellation on its
// connection for the device deviceID, which may be empty.
func NewConstellationHeartbeat(clientID, deviceID string) *ClientMessage {
	m := &ClientMessage{
		Type:       ClientHeartbeat,
		Status:     StatusOK,
		ClientType: Constellation,
		ClientID:   clientID,
		Timestamp:  Timestamp(time.Now()),
	}
	if deviceID != "" {
		m.Metadata = Object{{"device_id", stringValue(deviceID)}}.Value()
	}
	return m
}

// TaskRequest says what a constellation wants done, and where.
type TaskRequest struct {
	ClientID string // the client id the constellation registered with
	TargetID string // the device that is to do it
	// SessionID names the session of the task; [NewID] if empty. It comes back
	// in the acknowledgement and in the task_end.
	SessionID string
	// TaskName names the task in the server's records, which rewrite every
	// character outside [A-Za-z0-9._-]; the server makes one up if empty.
	TaskName string
	Request  string // what to do, in words
	Metadata Value  // a JSON object, or unset
}

// NewConstellationTask returns the message that gives the task r to a device.
func NewConstellationTask(r TaskRequest) *ClientMessage {
	if r.SessionID == "" {
		r.SessionID = NewID()
	}
	return &ClientMessage{
		Type:       ClientTask,
		Status:     StatusContinue,
		ClientType: Constellation,
		SessionID:  r.SessionID,
		TaskName:   r.TaskName,
		ClientID:   r.ClientID,
		TargetID:   r.TargetID,
		Request:    r.Request,
		Timestamp:  Timestamp(time.Now()),
		Metadata:   r.Metadata,
	}
}

// NewDeviceTask returns the message by which a device starts a task on itself.
// An empty taskName is filled with [NewID]; platform is one of the Platform
// constants.
func NewDeviceTask(clientID, taskName, request, platform string) *ClientMessage {
	if taskName == "" {
		taskName = NewID()
	}
	m := &ClientMessage{
		Type:       ClientTask,
		Status:     StatusContinue,
		ClientType: Device,
		TaskName:   taskName,
		ClientID:   clientID,
		Request:    request,
		Timestamp:  Timestamp(time.Now()),
		RequestID:  NewID(),
	}
	if platform != "" {
		m.Metadata = Object{{"platform", stringValue(platform)}}.Value()
	}
	return m
}

// NewDispatchedTask returns a device's answer to dispatch, the task message by
// which a server hands it a task: the same task name and session, and the
// server's words as the request.
func NewDispatchedTask(clientID, platform string, dispatch *ServerMessage) *ClientMessage {
	m := NewDeviceTask(clientID, dispatch.TaskName, dispatch.UserRequest, platform)
	m.SessionID = dispatch.SessionID
	return m
}

// NewCommandResults returns a device's answer to command: one result for each
// of its actions, in their order. The list is not copied; nil is sent as an
// empty list.
func NewCommandResults(clientID string, command *ServerMessage, results []Result) *ClientMessage {
	if results == nil {
		results = []Result{}
	}
	return &ClientMessage{
		Type:           ClientCommandResults,
		Status:         command.Status,
		ClientType:     Device,
		SessionID:      command.SessionID,
		ClientID:       clientID,
		ActionResults:  results,
		Timestamp:      Timestamp(time.Now()),
		RequestID:      NewID(),
		PrevResponseID: command.ResponseID,
	}
}

// NewDeviceInfoRequest returns the message by which a constellation asks the
// server what it knows about the device targetID. The answer carries the
// message's RequestID as its ResponseID.
func NewDeviceInfoRequest(clientID, targetID string) *ClientMessage {
	return &ClientMessage{
		Type:       ClientDeviceInfoRequest,
		Status:     StatusOK,
		ClientType: Constellation,
		ClientID:   clientID,
		TargetID:   targetID,
		Timestamp:  Timestamp(time.Now()),
		RequestID:  NewID(),
	}
}

// NewDeviceInfo returns the message by which a device tells the server about
// itself, unasked. info is a JSON object.
func NewDeviceInfo(clientID string, info Value) *ClientMessage {
	return &ClientMessage{
		Type:       ClientDeviceInfoResponse,
		Status:     StatusOK,
		ClientType: Device,
		ClientID:   clientID,
		Timestamp:  Timestamp(time.Now()),
		Metadata:   info,
	}
}

// NewClientError returns the message by which a client reports that something
// went wrong. A server answers it with an error of the same text, so never
// send it because of an error received.
func NewClientError(clientType ClientType, clientID, text string) *ClientMessage {
	return &ClientMessage{
		Type:       ClientError,
		Status:     StatusError,
		ClientType: clientType,
		ClientID:   clientID,
		Timestamp:  Timestamp(time.Now()),
		Error:      text,
	}
}
