package endpoint

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/aip-go/aip/messages"
)

// typeSchema is the JSON Schema of a Go type.
type typeSchema struct {
	root *jsonschema.Schema
	// own are the schemas of the types that have a JSON form of their own; an
	// empty one allows everything.
	own map[reflect.Type]*jsonschema.Schema
	// seen are the types that have been looked at, structs the fields of the
	// structs among them.
	seen    map[reflect.Type]bool
	structs map[reflect.Type][]jsonField
	// direction is which way the JSON goes.
	direction direction
	// open makes the structs take fields that they do not have.
	open bool
}

// direction is one of decodes and encoding: the methods by which types do it
// themselves.
type direction struct{ json, text reflect.Type }

var (
	decodes    = direction{reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()}
	encodes    = direction{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()}
	jsonNumber = reflect.TypeFor[json.Number]()
	timestamp  = reflect.TypeFor[time.Time]()
)

// resultSchema returns the schema of what a t is encoded as; unset if it says
// nothing.
func resultSchema(t reflect.Type) (messages.Value, error) {
	schema, err := newTypeSchema(t, encodes, false)
	if err != nil {
		return messages.Value{}, err
	}
	if _, err := schema.root.Resolve(nil); err != nil {
		return messages.Value{}, err
	}
	value, err := messages.NewValue(schema.root)
	if err != nil || !value.IsObject() { // an empty one is true
		return messages.Value{}, err
	}
	return value, nil
}

// newTypeSchema derives the schema of what is decoded into t, or encoded from it. The library does
// not know the methods and the options of encoding/json; what it would get
// wrong is told to it or refused.
func newTypeSchema(t reflect.Type, d direction, open bool) (*typeSchema, error) {
	s := &typeSchema{
		own: map[reflect.Type]*jsonschema.Schema{}, seen: map[reflect.Type]bool{}, structs: map[reflect.Type][]jsonField{},
		direction: d, open: open,
	}
	if err := s.collect(t); err != nil {
		return nil, err
	}
	root, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: s.own})
	if err != nil {
		return nil, err
	}
	s.root = root
	return s, s.refine(t, root)
}

// collect checks t and all types in it, and finds their own forms.
func (s *typeSchema) collect(t reflect.Type) error {
	t = pointee(t)
	if s.seen[t] {
		return nil
	}
	s.seen[t] = true
	if form := ownForm(t, s.direction); form != nil {
		s.own[t] = form
		return nil
	}
	switch t.Kind() {
	case reflect.Interface:
		if t.NumMethod() > 0 && s.direction == decodes {
			return fmt.Errorf("%s is an interface with methods; JSON cannot be decoded into it", t)
		}
	case reflect.Slice, reflect.Array, reflect.Map:
		return s.collect(t.Elem())
	case reflect.Struct:
		fields, err := jsonFields(t, s.direction)
		if err != nil {
			return err
		}
		s.structs[t] = fields
		for _, field := range fields {
			if err := s.collect(field.Type); err != nil {
				return err
			}
		}
	}
	return nil
}

// ownForm returns the schema of a type that does not look in JSON as its kind
// does; nil for all others.
func ownForm(t reflect.Type, d direction) *jsonschema.Schema {
	implements := func(method reflect.Type) bool { return t.Implements(method) || reflect.PointerTo(t).Implements(method) }
	switch {
	case t == timestamp:
		return &jsonschema.Schema{Type: "string", Format: "date-time"}
	case t == jsonNumber:
		return &jsonschema.Schema{Type: "number"}
	case implements(d.json):
		return &jsonschema.Schema{}
	case implements(d.text):
		return &jsonschema.Schema{Type: "string"}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return &jsonschema.Schema{Types: []string{"null", "string"}, ContentEncoding: "base64"}
	default:
		return nil
	}
}

// refine adds to the schema of t what the library does not derive.
func (s *typeSchema) refine(t reflect.Type, schema *jsonschema.Schema) error {
	t = pointee(t)
	if form, ok := s.own[t]; ok {
		if form.Type == "" && form.Types == nil { // of a pointer to it, the library says that it must be null
			schema.Type, schema.Types = "", nil
		}
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return s.refine(t.Elem(), schema.Items)
	case reflect.Map:
		if schema.Type != "" && (schema != s.root || s.direction == encodes) { // as the library has it for slices
			schema.Type, schema.Types = "", []string{"null", schema.Type}
		}
		return s.refine(t.Elem(), schema.AdditionalProperties)
	case reflect.Struct:
		if s.open {
			schema.AdditionalProperties = nil
		}
		for _, field := range s.structs[t] {
			property := schema.Properties[field.name]
			if err := s.refine(field.Type, property); err != nil {
				return err
			}
			if err := applyTags(field.Tag, property); err != nil {
				return fmt.Errorf("field %s of %s: %w", field.Name, t, err)
			}
		}
	}
	return nil
}

// pointee returns what t points to, at any depth; t if it is no pointer.
func pointee(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}
