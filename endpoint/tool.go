package endpoint

import (
	"context"
	"slices"
	"strings"

	"github.com/aip-go/aip/messages"
)

// ToolFunc is what a tool does. It is given the command's parameters, a JSON
// object or unset, and returns a result of any kind that [messages.NewValue]
// takes, or an error, whose text is sent. It has to return when ctx ends: after
// the command's timeout, at the end of its task, or of the connection. An error
// that it returns after the end of its task or of the connection says that it
// has been cut off, and that it may be run again if the command comes again; a
// result says that it is done (see [Device]).
type ToolFunc func(ctx context.Context, parameters messages.Value) (any, error)

// Tool is a tool that a device offers.
type Tool struct {
	// Name is the name by which commands call it. It is required.
	Name string
	// Type tells tools that only look from those that act; "" means
	// [messages.ToolAction]. Two tools may have the same name if their types
	// differ.
	Type messages.ToolType
	// Namespace groups tools; it comes back in each result.
	Namespace string
	// Title and Description are for people and models, InputSchema and
	// OutputSchema are JSON Schema objects or unset. They are listed by the
	// command "list_tools".
	Title, Description        string
	InputSchema, OutputSchema messages.Value
	// Run is required.
	Run ToolFunc
}

// listToolsName is the command that every device has (spec section 3.5).
const listToolsName = "list_tools"

// toolbox are the tools of a device by key. It is never changed.
type toolbox map[string]Tool

// newToolbox checks the tools and adds list_tools.
func newToolbox(tools []Tool) (toolbox, error) {
	box := make(toolbox, len(tools)+2)
	for _, tool := range tools {
		if tool.Type == "" {
			tool.Type = messages.ToolAction
		}
		key := messages.ToolKey(tool.Type, tool.Name)
		switch {
		case tool.Name == "":
			return nil, invalid("a tool has no name")
		case tool.Run == nil:
			return nil, invalid("tool %q has no Run", tool.Name)
		case !tool.Type.Valid():
			return nil, invalid("tool %q has type %q; use one of %s", tool.Name, tool.Type, tool.Type.Allowed())
		case !tool.InputSchema.IsNull() && !tool.InputSchema.IsObject():
			return nil, invalid("the InputSchema of tool %q is no JSON object", tool.Name)
		case !tool.OutputSchema.IsNull() && !tool.OutputSchema.IsObject():
			return nil, invalid("the OutputSchema of tool %q is no JSON object", tool.Name)
		}
		if _, taken := box[key]; taken {
			return nil, invalid("two tools are called %q", key)
		}
		box[key] = tool
	}
	list := listTools(box.infos())
	for _, t := range []messages.ToolType{messages.ToolDataCollection, messages.ToolAction} {
		if _, own := box[messages.ToolKey(t, listToolsName)]; !own {
			box[messages.ToolKey(t, listToolsName)] = Tool{Name: listToolsName, Type: t, Run: list}
		}
	}
	return box, nil
}

// infos describes the tools, sorted by key.
func (b toolbox) infos() []messages.MCPToolInfo {
	infos := make([]messages.MCPToolInfo, 0, len(b))
	for key, tool := range b {
		infos = append(infos, messages.MCPToolInfo{
			ToolKey: key, ToolName: tool.Name, Title: tool.Title, Namespace: tool.Namespace,
			ToolType: string(tool.Type), Description: tool.Description, InputSchema: tool.InputSchema, OutputSchema: tool.OutputSchema,
		})
	}
	slices.SortFunc(infos, func(a, b messages.MCPToolInfo) int { return strings.Compare(a.ToolKey, b.ToolKey) })
	return infos
}

// listTools returns the tool that lists the others: those of a tool_type and a
// namespace, if the parameters name them.
func listTools(infos []messages.MCPToolInfo) ToolFunc {
	return func(_ context.Context, parameters messages.Value) (any, error) {
		var want struct {
			ToolType  string `json:"tool_type"`
			Namespace string `json:"namespace"`
		}
		if err := parameters.Decode(&want); err != nil {
			return nil, err
		}
		list := []messages.MCPToolInfo{}
		for _, info := range infos {
			if (want.ToolType == "" || want.ToolType == info.ToolType) && (want.Namespace == "" || want.Namespace == info.Namespace) {
				list = append(list, info)
			}
		}
		return list, nil
	}
}
