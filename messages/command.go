package messages

// Command is one tool call that a server asks a device to make.
type Command struct {
	// ToolName is required and may be empty, which means "do nothing".
	ToolName string `json:"tool_name"`
	// Parameters is a JSON object or unset.
	Parameters Value    `json:"parameters,omitzero" validate:"object"`
	ToolType   ToolType `json:"tool_type" validate:"required,enum"`
	CallID     string   `json:"call_id,omitzero"`
}

// Result is the outcome of one [Command], matched to it by CallID.
type Result struct {
	Status ResultStatus `json:"status" validate:"required,enum"`
	Error  string       `json:"error,omitzero"`
	// Result is any JSON value.
	Result    Value  `json:"result,omitzero"`
	Namespace string `json:"namespace,omitzero"`
	CallID    string `json:"call_id,omitzero"`
}
