package endpoint

import (
	"context"
	"reflect"

	"github.com/aip-go/aip/messages"
)

// ToolOptions describes a tool that [NewTool] makes. Its fields are those of
// [Tool]; nil means the zero value.
type ToolOptions struct {
	Type               messages.ToolType
	Namespace          string
	Title, Description string
	// IgnoreUnknown makes the tool ignore fields that its parameters do not
	// have. By default it refuses them.
	IgnoreUnknown bool
}

// NewTool returns a tool whose parameters are a Go type. P is a struct, or a
// map with string keys; a struct without fields is a tool without parameters.
// Its JSON Schema becomes the InputSchema of the tool.
//
// The fields have the names that encoding/json gives them. Those that are not
// marked omitempty or omitzero are required. Slices, maps and pointers may
// be null. An any holds numbers as [json.Number]. These tags say more about a
// field; those from enum on are about the elements, if it is a slice or an array:
//
//	jsonschema:"what it is for"   its description
//	enum:"a,b"                    the values allowed (strings and numbers)
//	minimum:"1" maximum:"9.5"     the least and the greatest number
//	minLength:"1" maxLength:"80"  the bounds of a string, in code points
//	pattern:"^[a-z]+$"            what matches a string (package regexp)
//
// The parameters of a command are checked against the schema and decoded before
// run is called. Names are compared exactly, and of a name that comes twice the
// last counts. Types with an UnmarshalJSON or UnmarshalText method decode
// themselves; a [json.RawMessage] or a [messages.Value] takes anything, and gets
// equal JSON, not the same text. Parameters that do not fit are a failure of
// the command: a [*ToolParameterError], whose text says which field is wrong,
// and repeats nothing of what came.
//
// Results are of type R. Its JSON Schema becomes the OutputSchema, by the same
// rules and tags; the results are not checked against it. An R that says
// nothing, such as any or [messages.Value], gives none. What else run has to
// keep to, [ToolFunc] says.
//
// It fails with [ErrInvalidOptions] if there is no name or no run, if P or R
// cannot be described by a schema (it has a cycle, a func, a chan, an interface with
// methods, two fields of one name, an embedded field that is no struct or has a
// JSON name, or the json option "string"), or if a tag is wrong.
func NewTool[P, R any](name string, run func(ctx context.Context, parameters P) (R, error), options *ToolOptions) (Tool, error) {
	if name == "" {
		return Tool{}, invalid("a tool has no name")
	}
	if run == nil {
		return Tool{}, invalid("tool %q has no run", name)
	}
	var o ToolOptions
	if options != nil {
		o = *options
	}
	decoder, err := newParameterDecoder(reflect.TypeFor[P](), o.IgnoreUnknown)
	if err != nil {
		return Tool{}, invalid("the parameters of tool %q: %v", name, err)
	}
	input, err := messages.NewValue(decoder.schema.root)
	if err != nil {
		return Tool{}, invalid("the parameters of tool %q: %v", name, err)
	}
	output, err := resultSchema(reflect.TypeFor[R]())
	if err != nil {
		return Tool{}, invalid("the results of tool %q: %v; any describes nothing", name, err)
	}
	return Tool{
		Name: name, Type: o.Type, Namespace: o.Namespace, Title: o.Title, Description: o.Description,
		InputSchema: input, OutputSchema: output,
		Run: func(ctx context.Context, raw messages.Value) (any, error) {
			var parameters P
			if err := decoder.decode(raw, &parameters); err != nil {
				return nil, err
			}
			return run(ctx, parameters)
		},
	}, nil
}
