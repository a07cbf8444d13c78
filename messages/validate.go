package messages

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/go-playground/validator/v10"
)

// Validate checks m against its model and returns nil or a *[ValidationError]
// with every wrong field.
func (m *ClientMessage) Validate() error { return check("ClientMessage", m) }

// Validate checks m against its model and returns nil or a *[ValidationError]
// with every wrong field.
func (m *ServerMessage) Validate() error { return check("ServerMessage", m) }

// Validate checks c against its model and returns nil or a *[ValidationError]
// with every wrong field.
func (c *Command) Validate() error { return check("Command", c) }

// Validate checks r against its model and returns nil or a *[ValidationError]
// with every wrong field.
func (r *Result) Validate() error { return check("Result", r) }

// Validate checks t against its model and returns nil or a *[ValidationError]
// with every wrong field.
func (t *MCPToolInfo) Validate() error { return check("MCPToolInfo", t) }

// Validate checks m against its model and returns nil or a *[ValidationError]
// with every wrong field.
func (m *BinaryMetadata) Validate() error { return check("BinaryMetadata", m) }

// Validate checks m against its model and returns nil or a *[ValidationError]
// with every wrong field.
func (m *FileTransferStart) Validate() error { return check("FileTransferStart", m) }

// Validate checks m against its model and returns nil or a *[ValidationError]
// with every wrong field.
func (m *FileTransferComplete) Validate() error { return check("FileTransferComplete", m) }

// maxListed bounds how many wrong fields are described one by one.
const maxListed = 100

// check runs the struct tags of the model that m points to. A nil m is
// reported as a missing message.
func check(model string, m any) error {
	fields := wrongFields(m)
	if len(fields) == 0 {
		return nil
	}
	return &ValidationError{Model: model, Fields: fields}
}

// wrongFields returns what the struct tags of the model that m points to say.
func wrongFields(m any) []FieldError {
	if plainlyValid(m) {
		return nil
	}
	err := structTags().Struct(m)
	if err == nil {
		return nil
	}
	var wrong validator.ValidationErrors
	if !errors.As(err, &wrong) {
		return []FieldError{{Rule: RuleRequired, Message: "is nil"}}
	}
	var fields []FieldError
	for _, field := range wrong[:min(len(wrong), maxListed)] {
		_, path, _ := strings.Cut(field.Namespace(), ".")
		fields = append(fields, fieldError(path, field))
	}
	if more := len(wrong) - maxListed; more > 0 {
		fields = append(fields, FieldError{Rule: RuleMore, Message: "has " + strconv.Itoa(more) + " more wrong fields"})
	}
	return fields
}

// fieldError says in this package's words what the validator found.
func fieldError(path string, field validator.FieldError) FieldError {
	switch field.Tag() {
	case "required":
		return FieldError{Path: path, Rule: RuleRequired, Message: "is required"}
	case "object":
		return FieldError{Path: path, Rule: RuleObject, Message: "must be a JSON object"}
	case "eq":
		return FieldError{Path: path, Rule: RuleEnum, Message: "must be " + field.Param()}
	default:
		message := "is not one of the allowed values"
		if value, ok := field.Value().(interface{ Allowed() string }); ok {
			message = "must be one of " + value.Allowed()
		}
		return FieldError{Path: path, Rule: RuleEnum, Message: message}
	}
}

// structTags returns the validator, built once: it caches what it learns about
// each model.
var structTags = sync.OnceValue(func() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(field reflect.StructField) string {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		return name
	})
	rules := map[string]validator.Func{
		"enum": func(fl validator.FieldLevel) bool {
			value, ok := fl.Field().Interface().(interface{ Valid() bool })
			return ok && value.Valid()
		},
		"object": func(fl validator.FieldLevel) bool {
			value, ok := fl.Field().Interface().(Value)
			return ok && value.fitsObject()
		},
	}
	for tag, rule := range rules {
		if err := v.RegisterValidation(tag, rule); err != nil {
			panic("messages: " + err.Error()) // the tags above are constants
		}
	}
	return v
})
