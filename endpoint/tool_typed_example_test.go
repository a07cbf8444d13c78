package endpoint_test

import (
	"context"
	"fmt"
	"log"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
)

// A tool with parameters of a Go type: their schema is listed, and what does
// not fit never reaches the function.
func ExampleNewTool() {
	type search struct {
		Pattern string   `json:"pattern" jsonschema:"what to look for" minLength:"1"`
		Paths   []string `json:"paths,omitempty"`
		Limit   int      `json:"limit,omitempty" minimum:"1" maximum:"100"`
	}
	tool, err := endpoint.NewTool("search", func(_ context.Context, p search) ([]string, error) {
		return []string{"found " + p.Pattern}, nil
	}, &endpoint.ToolOptions{Type: messages.ToolDataCollection, Description: "searches files"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tool.InputSchema)

	// What a device does with a command:
	for _, parameters := range []any{
		map[string]any{"pattern": "todo"},
		map[string]any{"pattern": "todo", "limit": 1000},
		map[string]any{"paths": []string{"."}},
	} {
		value, err := messages.NewValue(parameters)
		if err != nil {
			log.Fatal(err)
		}
		result, err := tool.Run(context.Background(), value)
		fmt.Println(result, err)
	}
	// Output:
	// {"type":"object","properties":{"pattern":{"type":"string","description":"what to look for","minLength":1},"paths":{"type":["null","array"],"items":{"type":"string"}},"limit":{"type":"integer","minimum":1,"maximum":100}},"required":["pattern"],"additionalProperties":false}
	// [found todo] <nil>
	// <nil> endpoint: tool parameter "limit": must be an integer, at least 1, at most 100
	// <nil> endpoint: tool parameters: required fields are missing: "pattern"
}
