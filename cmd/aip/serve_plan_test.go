package main

import (
	"strings"
	"testing"

	"github.com/aip-go/aip/messages"
)

func TestPlan(t *testing.T) {
	p, err := parsePlan([]byte(`
commands:
  - tool: a
    type: data_collection
    parameters:
      "{{request}}": ["{{request}}{{request}}", {deep: "<{{request}}>"}, "{{ request }}", "{{other}}"]
      numbers: [1, -2.5, 0x10, true, null, 2026-11-22, "1"]
  - {tool: b}
`))
	if err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]string{
		`x`:                       `{"numbers":[1,-2.5,16,true,null,"2026-11-22","1"],"{{request}}":["xx",{"deep":"<x>"},"{{ request }}","{{other}}"]}`,
		`"{{request}}", $(id) \n`: `{"numbers":[1,-2.5,16,true,null,"2026-11-22","1"],"{{request}}":["\"{{request}}\", $(id) \\n\"{{request}}\", $(id) \\n",{"deep":"<\"{{request}}\", $(id) \\n>"},"{{ request }}","{{other}}"]}`,
	} {
		command, err := p.commands[0].fill(request)
		if err != nil || command.Parameters.String() != want || command.ToolType != messages.ToolDataCollection || command.ToolName != "a" {
			t.Errorf("%q: %v, %v", request, command, err)
		}
	}
	if command, err := p.commands[1].fill("x"); err != nil || command.ToolName != "b" || command.ToolType != messages.ToolAction || !command.Parameters.IsZero() {
		t.Errorf("%v, %v", command, err)
	}
	if _, err := p.commands[0].fill(strings.Repeat("x", maxFilledSize/3+1)); err == nil {
		t.Error("the request may take more than it may")
	}
	if _, err := p.commands[0].fill(strings.Repeat("x", maxFilledSize/3)); err != nil {
		t.Error(err)
	}
}

var wrongPlans = map[string]string{
	"":                                      "it is empty",
	"commands: []":                          "it has 0 commands",
	"{}":                                    "it has 0 commands",
	"[]":                                    "line 1: a mapping is needed here",
	"commands: [{tool: a}]\nmore: 1":        `line 2: there is no field "more"`,
	"commands: [{tool: a}]\n---\n{}":        "after the first document",
	"commands: {tool: a}":                   "commands is no list",
	"commands: [a]":                         "a mapping is needed here",
	"commands: [{type: action}]":            "a command needs a tool",
	"commands: [{tool: }]":                  "tool is no text",
	"commands: [{tool: [a]}]":               "tool is no text",
	"commands: [{tool: a, type: both}]":     "type is one of",
	"commands: [{tool: a, run: b}]":         `there is no field "run"`,
	"commands: [{tool: a, tool: b}]":        `there is a second "tool"`,
	"commands: [{tool: a, parameters: []}]": "parameters is no mapping",
	"commands: [{tool: a, parameters: {1: a}}]":             "a key is no text",
	"commands: [{tool: a, parameters: {a: 1, a: 2}}]":       `there is a second "a"`,
	"commands: [{tool: a, parameters: {a: .nan}}]":          "cannot be sent",
	"commands: [{tool: a, parameters: {a: !!binary aGk=}}]": "is not allowed",
	"commands: [{tool: a, parameters: {a: !x y}}]":          "is not allowed",
	"commands: [{tool: a, parameters: {a: &x y}}]":          "anchors are not allowed",
	"commands: [{tool: a, parameters: {a: &x [y], b: *x}}]": "not allowed",
	"commands: [{tool: a, parameters: &x {a: *x}}]":         "not allowed",
	"commands: [{tool: a, parameters: {<<: {a: b}}}]":       "a key is no text",
	"commands: [{tool: a, parameters: {a: !!int x}}]":       "",
	"commands: *x":    "",
	"commands: [\x00": "",
	"commands: [{tool: a, parameters: {a: " + strings.Repeat("[", 17) + strings.Repeat("]", 17) + "}}]": "nested deeper",
	"commands: [" + strings.Repeat("{tool: a},", maxPlanCommands+1) + "]":                               "it has 65 commands",
	strings.Repeat("#", maxPlanSize+1):                                                                  "larger than",
}

func TestWrongPlans(t *testing.T) {
	for text, want := range wrongPlans {
		p, err := parsePlan([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.80q: %v, %v", text, p, err)
		}
	}
}

func FuzzPlan(f *testing.F) {
	f.Add(defaultPlan)
	for text := range wrongPlans {
		if len(text) < 1000 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePlan([]byte(text))
		if err != nil {
			return
		}
		for i := range p.commands {
			command, err := p.commands[i].fill("a request")
			if err != nil {
				continue // there are so many placeholders
			}
			command.CallID = "id"
			if err := command.Validate(); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}
