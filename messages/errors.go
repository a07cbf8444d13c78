package messages

import (
	"errors"
	"strings"
)

// ErrInvalid is matched, with errors.Is, by every error that says a message or
// a value is not what the protocol allows.
var ErrInvalid = errors.New("messages: not valid")

// Rules of a [FieldError].
const (
	// RuleRequired: the field is missing, null or empty where a value is needed.
	RuleRequired = "required"
	// RuleEnum: the value is none of those the field allows.
	RuleEnum = "enum"
	// RuleType: the JSON value is of another type than the field's.
	RuleType = "type"
	// RuleObject: the free-form value is not a JSON object.
	RuleObject = "object"
	// RuleMore: more of the list, or of the message, is wrong than is listed.
	RuleMore = "more"
)

// FieldError is one wrong field.
type FieldError struct {
	// Path is where the field is, in JSON names: "action_results[2].status".
	// Empty, it is the message as a whole.
	Path string
	// Rule is the rule that the field breaks: one of the Rule constants.
	Rule string
	// Message says in words what is needed. It never holds the input.
	Message string
}

// ValidationError lists everything that is wrong with one message. It matches
// [ErrInvalid].
type ValidationError struct {
	// Model is the name of the model, such as "ClientMessage".
	Model string
	// Fields has at least one element.
	Fields []FieldError
}

// Error lists every wrong field. It holds nothing of the input.
func (e *ValidationError) Error() string {
	var b strings.Builder
	b.WriteString("messages: ")
	b.WriteString(e.Model)
	b.WriteString(" is not valid: ")
	for i, field := range e.Fields {
		if i > 0 {
			b.WriteString("; ")
		}
		path := field.Path
		if path == "" {
			path = "message"
		}
		b.WriteString(path)
		b.WriteByte(' ')
		b.WriteString(field.Message)
	}
	return b.String()
}

// Is reports whether target is [ErrInvalid].
func (e *ValidationError) Is(target error) bool { return target == ErrInvalid }
