package messages

// MCPToolInfo describes a tool that a device offers. The result of the
// built-in command "list_tools" is an array of them.
type MCPToolInfo struct {
	// ToolKey is "<tool_type>::<tool_name>"; see [ToolKey].
	ToolKey     string `json:"tool_key"`
	ToolName    string `json:"tool_name"`
	Title       string `json:"title,omitzero"`
	Namespace   string `json:"namespace"`
	ToolType    string `json:"tool_type"`
	Description string `json:"description,omitzero"`
	// InputSchema, OutputSchema, Meta and Annotations are JSON objects or unset.
	InputSchema  Value `json:"input_schema,omitzero" validate:"object"`
	OutputSchema Value `json:"output_schema,omitzero" validate:"object"`
	Meta         Value `json:"meta,omitzero" validate:"object"`
	Annotations  Value `json:"annotations,omitzero" validate:"object"`
}

// ToolKey returns the key under which the tool toolName is listed.
func ToolKey(toolType ToolType, toolName string) string {
	return string(toolType) + "::" + toolName
}
