package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/aip-go/aip/messages"
)

// The bounds of a plan.
const (
	maxPlanSize     = 64 << 10 // bytes of the file
	maxPlanCommands = 64
	maxPlanDepth    = 16       // of parameters
	maxRequestSize  = 64 << 10 // bytes of the request of a task
	maxFilledSize   = 1 << 20  // bytes that the request takes in the parameters of a command
)

// placeholder stands for the request of the task.
const placeholder = "{{request}}"

// defaultPlan is the plan of a server that is given none.
const defaultPlan = `commands:
  - tool: execute_command
    parameters:
      argv: [echo, "begin: {{request}}"]
  - tool: execute_command
    parameters:
      argv: [echo, "end: {{request}}"]
`

// plan is what a server does with a task: it sends these commands, one after
// the other. It is read from a YAML file:
//
//	commands:                     # 1 to 64
//	  - tool: execute_command     # required: the name of a tool of the device
//	    type: action              # or data_collection; action is the default
//	    parameters:               # any mapping; none is the default
//	      argv: [echo, "you said: {{request}}"]
//
// In the strings of the parameters, "{{request}}" stands for the request of the
// task, as it is, however often it occurs; keys and all other text stay as they
// are. Nothing is computed. The file holds one document of at most 64 KiB, with
// no other fields, no anchors, no aliases and no tags of its own.
type plan struct {
	commands []planCommand
}

type planCommand struct {
	tool       string
	kind       messages.ToolType
	parameters any // a map[string]any or nil
	holes      int // placeholders in the parameters
}

// readPlan reads the plan in the file name, or the default one if there is no
// name.
func readPlan(name string) (*plan, error) {
	if name == "" {
		return parsePlan([]byte(defaultPlan))
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(file, maxPlanSize+1))
	if err != nil {
		return nil, err
	}
	p, err := parsePlan(data)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", name, err)
	}
	return p, nil
}

func parsePlan(data []byte) (*plan, error) {
	if len(data) > maxPlanSize {
		return nil, fmt.Errorf("it is larger than %d bytes", maxPlanSize)
	}
	var document, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	} else if err != nil {
		return nil, err
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something after the first document")
	}
	p := &plan{}
	err := eachField(document.Content[0], func(key string, value *yaml.Node) error {
		if key != "commands" {
			return unknownField(key, value, "commands")
		}
		if value.Kind != yaml.SequenceNode {
			return wrong(value, "commands is no list")
		}
		for _, node := range value.Content {
			c, err := parseCommand(node)
			if err != nil {
				return err
			}
			p.commands = append(p.commands, c)
		}
		return nil
	})
	if err == nil && (len(p.commands) == 0 || len(p.commands) > maxPlanCommands) {
		err = fmt.Errorf("it has %d commands; 1 to %d are allowed", len(p.commands), maxPlanCommands)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func parseCommand(node *yaml.Node) (planCommand, error) {
	c := planCommand{kind: messages.ToolAction}
	err := eachField(node, func(key string, value *yaml.Node) error {
		switch key {
		case "tool", "type":
			if value.Kind != yaml.ScalarNode || value.ShortTag() != "!!str" || value.Value == "" {
				return wrong(value, key+" is no text")
			}
			if key == "tool" {
				c.tool = value.Value
			} else if c.kind = messages.ToolType(value.Value); !c.kind.Valid() {
				return wrong(value, "type is one of "+c.kind.Allowed())
			}
			return nil
		case "parameters":
			if value.Kind != yaml.MappingNode {
				return wrong(value, "parameters is no mapping")
			}
			var err error
			c.parameters, err = c.template(value, 1)
			return err
		}
		return unknownField(key, value, "tool, type and parameters")
	})
	if err == nil && c.tool == "" {
		err = wrong(node, "a command needs a tool")
	}
	if err == nil {
		_, err = c.fill("") // that it has a form in JSON: not all numbers do
	}
	return c, err
}

// template returns the value of a node, and counts its placeholders.
func (c *planCommand) template(node *yaml.Node, depth int) (any, error) {
	if depth > maxPlanDepth {
		return nil, wrong(node, fmt.Sprintf("it is nested deeper than %d", maxPlanDepth))
	}
	switch node.Kind {
	case yaml.MappingNode:
		object := map[string]any{}
		err := eachField(node, func(key string, value *yaml.Node) (err error) {
			object[key], err = c.template(value, depth+1)
			return err
		})
		return object, err
	case yaml.SequenceNode:
		if node.Anchor != "" || node.ShortTag() != "!!seq" {
			return nil, wrong(node, "anchors and tags are not allowed")
		}
		list := make([]any, len(node.Content))
		for i, element := range node.Content {
			var err error
			if list[i], err = c.template(element, depth+1); err != nil {
				return nil, err
			}
		}
		return list, nil
	case yaml.ScalarNode:
		return c.scalar(node)
	}
	return nil, wrong(node, "aliases are not allowed")
}

func (c *planCommand) scalar(node *yaml.Node) (any, error) {
	tag := node.ShortTag()
	switch tag {
	case "!!timestamp":
		tag = "!!str" // as it is written
	case "!!str", "!!int", "!!float", "!!bool", "!!null":
	default:
		return nil, wrong(node, "the tag "+tag+" is not allowed")
	}
	if node.Anchor != "" {
		return nil, wrong(node, "anchors are not allowed")
	}
	if tag == "!!str" {
		c.holes += strings.Count(node.Value, placeholder)
		return node.Value, nil
	}
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, wrong(node, "it is no "+strings.TrimPrefix(tag, "!!"))
	}
	return value, nil
}

// fill returns the command for a task with that request.
func (c *planCommand) fill(request string) (messages.Command, error) {
	command := messages.Command{ToolName: c.tool, ToolType: c.kind}
	if c.holes*len(request) > maxFilledSize {
		return command, fmt.Errorf("the request is too long for the parameters of %s, of which it may take %d bytes", c.tool, maxFilledSize)
	}
	if c.parameters == nil {
		return command, nil
	}
	var err error
	command.Parameters, err = messages.NewValue(fill(c.parameters, request))
	if err != nil {
		return command, fmt.Errorf("the parameters of %s cannot be sent: %w", c.tool, err)
	}
	return command, nil
}

func fill(template any, request string) any {
	switch t := template.(type) {
	case string:
		return strings.ReplaceAll(t, placeholder, request)
	case []any:
		list := make([]any, len(t))
		for i, element := range t {
			list[i] = fill(element, request)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(t))
		for key, value := range t {
			object[key] = fill(value, request)
		}
		return object
	}
	return template
}

// eachField calls f with the fields of a mapping.
func eachField(node *yaml.Node, f func(key string, value *yaml.Node) error) error {
	if node.Kind != yaml.MappingNode {
		return wrong(node, "a mapping is needed here")
	}
	if node.Anchor != "" || node.ShortTag() != "!!map" {
		return wrong(node, "anchors and tags are not allowed")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" || key.Anchor != "" {
			return wrong(key, "a key is no text")
		}
		if seen[key.Value] {
			return wrong(key, fmt.Sprintf("there is a second %q", key.Value))
		}
		seen[key.Value] = true
		if err := f(key.Value, value); err != nil {
			return err
		}
	}
	return nil
}

func unknownField(key string, node *yaml.Node, known string) error {
	return wrong(node, fmt.Sprintf("there is no field %q; there are %s", key, known))
}

func wrong(node *yaml.Node, text string) error {
	return fmt.Errorf("line %d: %s", node.Line, text)
}
