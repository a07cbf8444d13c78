package messages

// ServerMessage is what a server sends to a device or a constellation.
// Type and Status are required in every message.
type ServerMessage struct {
	Type        ServerMessageType `json:"type" validate:"required,enum"`
	Status      TaskStatus        `json:"status" validate:"required,enum"`
	UserRequest string            `json:"user_request,omitzero"`
	AgentName   string            `json:"agent_name,omitzero"`
	ProcessName string            `json:"process_name,omitzero"`
	RootName    string            `json:"root_name,omitzero"`
	Actions     []Command         `json:"actions,omitzero" validate:"dive"`
	Messages    []string          `json:"messages,omitzero"`
	Error       string            `json:"error,omitzero"`
	SessionID   string            `json:"session_id,omitzero"`
	TaskName    string            `json:"task_name,omitzero"`
	Timestamp   string            `json:"timestamp,omitzero"`
	ResponseID  string            `json:"response_id,omitzero"`
	// Result is any JSON value.
	Result Value `json:"result,omitzero"`
}
