package endpoint

import (
	"math/bits"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/aip-go/aip/internal/jsonscan"
)

// decodePlan decodes the JSON value that comes next into a target that is zero,
// and checks it, in one pass. It takes only what certainly fits the type and its
// schema, and else reports false: then it is for the decoder to say whether it
// fits, and what does not.
type decodePlan func(s *jsonscan.Scanner, target reflect.Value) bool

// maxPlanDepth bounds how deep the JSON nests that a plan decodes.
const maxPlanDepth = 1000

// plan returns the plan for t, whose schema is schema; nil if there is none: for
// types with a form of their own, maps, arrays and interfaces.
func (s *typeSchema) plan(t reflect.Type, schema *jsonschema.Schema) decodePlan {
	if _, own := s.own[t]; own || !plannable(*schema) {
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		if t.Elem().Kind() == reflect.Pointer {
			return nil
		}
		return nullable(schema, planPointer(t, s.plan(t.Elem(), schema)))
	case reflect.Struct:
		return s.planStruct(t, schema)
	case reflect.Slice:
		if schema.Items == nil || !hasType(schema, "array") {
			return nil
		}
		return nullable(schema, planSlice(t, s.plan(t.Elem(), schema.Items)))
	case reflect.String:
		return planString(schema)
	case reflect.Bool:
		if !hasType(schema, "boolean") {
			return nil
		}
		return planBool
	default:
		return planNumber(t, schema)
	}
}

// plannable reports whether a plan checks all that a schema says.
func plannable(schema jsonschema.Schema) bool {
	schema.Type, schema.Types, schema.Title, schema.Description, schema.Enum = "", nil, "", "", nil
	schema.Minimum, schema.Maximum, schema.MinLength, schema.MaxLength, schema.Pattern = nil, nil, nil, nil, ""
	schema.Items, schema.Properties, schema.Required, schema.PropertyOrder = nil, nil, nil, nil
	schema.AdditionalProperties = nil // of a struct: unknown fields have no plan, or are ignored
	return reflect.ValueOf(schema).IsZero()
}

// nullable returns plan for a type that has a nil, which null leaves as it is if
// the schema allows it.
func nullable(schema *jsonschema.Schema, plan decodePlan) decodePlan {
	if plan == nil || !hasType(schema, "null") {
		return plan
	}
	return func(s *jsonscan.Scanner, target reflect.Value) bool {
		if s.Kind() == 'n' {
			s.Skip()
			return s.Err() == nil
		}
		return plan(s, target)
	}
}

func planPointer(t reflect.Type, plan decodePlan) decodePlan {
	if plan == nil {
		return nil
	}
	return func(s *jsonscan.Scanner, target reflect.Value) bool {
		target.Set(reflect.New(t.Elem()))
		return plan(s, target.Elem())
	}
}

func planSlice(t reflect.Type, plan decodePlan) decodePlan {
	if plan == nil {
		return nil
	}
	return func(s *jsonscan.Scanner, target reflect.Value) bool {
		if s.Kind() != '[' {
			return false
		}
		s.Open()
		target.Set(reflect.MakeSlice(t, 0, 0))
		for n := 0; s.NextElement(); n++ {
			target.Grow(1)
			target.SetLen(n + 1)
			if !plan(s, target.Index(n)) {
				return false
			}
		}
		return s.Err() == nil
	}
}

// maxPlanFields is how many fields a struct with a plan has at most.
const maxPlanFields = 64

// plannedField is a field of a struct.
type plannedField struct {
	index []int
	plan  decodePlan
}

func (s *typeSchema) planStruct(t reflect.Type, schema *jsonschema.Schema) decodePlan {
	if !hasType(schema, "object") || len(s.structs[t]) > maxPlanFields {
		return nil
	}
	fields, names := []plannedField{}, map[string]int{}
	var required uint64
	for i, field := range s.structs[t] {
		// The field of an embedded struct is found by its name in Go.
		found, ok := t.FieldByName(field.Name)
		if !ok || found.Type != field.Type || found.Tag != field.Tag || throughPointer(t, found.Index) {
			return nil
		}
		plan := s.plan(field.Type, schema.Properties[field.name])
		if plan == nil {
			return nil
		}
		if slices.Contains(schema.Required, field.name) {
			required |= 1 << i
		}
		names[field.name] = i
		fields = append(fields, plannedField{found.Index, plan})
	}
	if bits.OnesCount64(required) != len(schema.Required) {
		return nil
	}
	open := s.open
	return func(s *jsonscan.Scanner, target reflect.Value) bool {
		if s.Kind() != '{' {
			return false
		}
		s.Open()
		var seen uint64
		for s.NextKey() {
			i, known := names[string(s.Key())]
			switch {
			case !known && open:
				s.Skip()
				continue
			case !known, seen&(1<<i) != 0:
				return false
			}
			seen |= 1 << i
			if !fields[i].plan(s, target.FieldByIndex(fields[i].index)) {
				return false
			}
		}
		return s.Err() == nil && seen&required == required
	}
}

// throughPointer reports whether the way to a field of t leads through a
// pointer.
func throughPointer(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		if t = t.Field(i).Type; t.Kind() == reflect.Pointer {
			return true
		}
	}
	return false
}

func planBool(s *jsonscan.Scanner, target reflect.Value) bool {
	kind := s.Kind()
	if kind != 't' && kind != 'f' {
		return false
	}
	s.Skip()
	target.SetBool(kind == 't')
	return s.Err() == nil
}

func planString(schema *jsonschema.Schema) decodePlan {
	if !hasType(schema, "string") {
		return nil
	}
	var pattern *regexp.Regexp
	if schema.Pattern != "" {
		pattern = regexp.MustCompile(schema.Pattern) // the schema was resolved
	}
	measured := schema.MinLength != nil || schema.MaxLength != nil
	return func(s *jsonscan.Scanner, target reflect.Value) bool {
		if s.Kind() != '"' {
			return false
		}
		text := s.String()
		switch {
		case s.Err() != nil,
			schema.Enum != nil && !slices.Contains(schema.Enum, any(text)),
			measured && !within(utf8.RuneCountInString(text), schema.MinLength, schema.MaxLength),
			pattern != nil && !pattern.MatchString(text):
			return false
		}
		target.SetString(text)
		return true
	}
}

// within reports whether n is within the bounds that there are.
func within[N int | float64](n N, least, most *N) bool {
	return (least == nil || n >= *least) && (most == nil || n <= *most)
}

func planNumber(t reflect.Type, schema *jsonschema.Schema) decodePlan {
	var set func(target reflect.Value, text string) error
	name, size := "integer", 0
	switch kind := t.Kind(); kind {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		size = t.Bits()
		set = func(target reflect.Value, text string) error {
			n, err := strconv.ParseInt(text, 10, size)
			target.SetInt(n)
			return err
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		size = t.Bits()
		set = func(target reflect.Value, text string) error {
			n, err := strconv.ParseUint(text, 10, size)
			target.SetUint(n)
			return err
		}
	case reflect.Float32, reflect.Float64:
		name, size = "number", t.Bits()
		set = func(target reflect.Value, text string) error {
			n, err := strconv.ParseFloat(text, size)
			target.SetFloat(n)
			return err
		}
	}
	if set == nil || !hasType(schema, name) {
		return nil
	}
	checked := schema.Minimum != nil || schema.Maximum != nil || schema.Enum != nil
	return func(s *jsonscan.Scanner, target reflect.Value) bool {
		if kind := s.Kind(); kind != '-' && (kind < '0' || kind > '9') {
			return false
		}
		text := string(s.Number())
		if s.Err() != nil || set(target, text) != nil {
			return false
		}
		if !checked {
			return true
		}
		n, err := strconv.ParseFloat(text, 64)
		return err == nil && within(n, schema.Minimum, schema.Maximum) &&
			(schema.Enum == nil || slices.Contains(schema.Enum, any(n)))
	}
}
