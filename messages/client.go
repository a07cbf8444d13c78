package messages

// ClientMessage is what a device or a constellation sends to a server.
// Type and Status are required in every message.
type ClientMessage struct {
	Type   ClientMessageType `json:"type" validate:"required,enum"`
	Status TaskStatus        `json:"status" validate:"required,enum"`
	// ClientType is the sender's role; unset means [Device]. A constellation
	// names it in every message, heartbeats included.
	ClientType     ClientType `json:"client_type,omitzero" validate:"omitempty,enum"`
	SessionID      string     `json:"session_id,omitzero"`
	TaskName       string     `json:"task_name,omitzero"`
	ClientID       string     `json:"client_id,omitzero"`
	TargetID       string     `json:"target_id,omitzero"`
	Request        string     `json:"request,omitzero"`
	ActionResults  []Result   `json:"action_results,omitzero" validate:"dive"`
	Timestamp      string     `json:"timestamp,omitzero"`
	RequestID      string     `json:"request_id,omitzero"`
	PrevResponseID string     `json:"prev_response_id,omitzero"`
	Error          string     `json:"error,omitzero"`
	// Metadata is a JSON object or unset.
	Metadata Value `json:"metadata,omitzero" validate:"object"`
}

// Role returns the sender's role: ClientType, or [Device] when it is unset.
func (m *ClientMessage) Role() ClientType {
	if m.ClientType == "" {
		return Device
	}
	return m.ClientType
}
