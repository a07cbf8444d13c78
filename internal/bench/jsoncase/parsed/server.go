package parsed

// ServerMessage is what a server sends.
type ServerMessage struct {
	Type        string    `json:"type"`
	Status      string    `json:"status"`
	UserRequest string    `json:"user_request,omitempty"`
	AgentName   string    `json:"agent_name,omitempty"`
	ProcessName string    `json:"process_name,omitempty"`
	RootName    string    `json:"root_name,omitempty"`
	Actions     []Command `json:"actions,omitempty"`
	Messages    []string  `json:"messages,omitempty"`
	Error       string    `json:"error,omitempty"`
	SessionID   string    `json:"session_id,omitempty"`
	TaskName    string    `json:"task_name,omitempty"`
	Timestamp   string    `json:"timestamp,omitempty"`
	ResponseID  string    `json:"response_id,omitempty"`
	Result      Value     `json:"result,omitempty"`
}

// Command is one tool call.
type Command struct {
	ToolName   string `json:"tool_name"`
	Parameters Value  `json:"parameters,omitempty"`
	ToolType   string `json:"tool_type"`
	CallID     string `json:"call_id,omitempty"`
}
