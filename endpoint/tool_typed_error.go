package endpoint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// ToolParameterError says which parameter of a command does not fit its tool
// (see [NewTool]). It is sent as the text of a failure, and repeats nothing of
// what came.
type ToolParameterError struct {
	// Field is the path of the field, such as "files[2].name"; "*" stands for
	// the key of a map. It is "" if the parameters as a whole are wrong.
	Field string
	// Problem is what is wrong with it, for people and models; do not match it.
	Problem string
}

// Error returns the field and the problem.
func (e *ToolParameterError) Error() string {
	if e.Field == "" {
		return "endpoint: tool parameters: " + e.Problem
	}
	return fmt.Sprintf("endpoint: tool parameter %q: %s", e.Field, e.Problem)
}

// typeWords are the types of JSON Schema in words; null comes last.
var typeWords = []struct{ name, words string }{
	{"string", "a string"},
	{"integer", "an integer"},
	{"number", "a number"},
	{"boolean", "true or false"},
	{"array", "an array"},
	{"object", "an object"},
	{"null", "null"},
}

// describeSchema says what a value of s must be.
func describeSchema(s *jsonschema.Schema) string {
	var kinds []string
	for _, t := range typeWords {
		if hasType(s, t.name) {
			kinds = append(kinds, t.words)
		}
	}
	if len(kinds) == 0 {
		kinds = []string{"JSON"}
	}
	text := "must be " + strings.Join(kinds, " or ")
	add := func(format string, args ...any) { text += ", " + fmt.Sprintf(format, args...) }
	if s.Enum != nil {
		add("one of %s", enumWords(s.Enum))
	}
	for _, bound := range []struct {
		words string
		value *float64
	}{{"at least", s.Minimum}, {"at most", s.Maximum}} {
		if bound.value != nil {
			add("%s %s", bound.words, strconv.FormatFloat(*bound.value, 'f', -1, 64))
		}
	}
	for _, bound := range []struct {
		words, unit string
		value       *int
	}{
		{"at least", "characters", s.MinLength}, {"at most", "characters", s.MaxLength},
		{"at least", "elements", s.MinItems}, {"at most", "elements", s.MaxItems},
	} {
		if bound.value != nil {
			add("%s %d %s", bound.words, *bound.value, bound.unit)
		}
	}
	if s.Pattern != "" {
		add("matching %q", s.Pattern)
	}
	if s.Format != "" {
		add("in the format %s", s.Format)
	}
	if s.ContentEncoding != "" {
		add("in %s", s.ContentEncoding)
	}
	return text
}

func enumWords(values []any) string {
	words := make([]string, len(values))
	for i, value := range values {
		text, err := json.Marshal(value)
		if err != nil { // it was marshalled when the tool was made
			text = []byte("?")
		}
		words[i] = string(text)
	}
	return strings.Join(words, ", ")
}

// hasType reports whether s allows the JSON type explicitly.
func hasType(s *jsonschema.Schema, name string) bool {
	return s.Type == name || slices.Contains(s.Types, name)
}
