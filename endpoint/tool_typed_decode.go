package endpoint

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/aip-go/aip/internal/jsonscan"
	"github.com/aip-go/aip/messages"
)

// parameterDecoder decodes the parameters of a tool. It may be used
// concurrently.
type parameterDecoder struct {
	goType   reflect.Type
	schema   *typeSchema
	resolved *jsonschema.Resolved
	plan     decodePlan // nil if there is none
}

// newParameterDecoder returns a decoder into t; open says that unknown fields
// are ignored.
func newParameterDecoder(t reflect.Type, open bool) (*parameterDecoder, error) {
	schema, err := newTypeSchema(t, decodes, open)
	if err != nil {
		return nil, err
	}
	if schema.root.Type != "object" {
		return nil, fmt.Errorf("%s is no struct and no map, and so no JSON object", t)
	}
	resolved, err := schema.root.Resolve(nil)
	if err != nil {
		return nil, err
	}
	return &parameterDecoder{goType: t, schema: schema, resolved: resolved, plan: schema.plan(t, schema.root)}, nil
}

// decode stores parameters in target, a pointer to a zero of the decoder's type.
// It fails with a [*ToolParameterError]. What the plan does not take goes the
// long way.
func (d *parameterDecoder) decode(parameters messages.Value, target any) error {
	if d.plan != nil && parameters.IsObject() {
		s, v := jsonscan.New(parameters.Bytes(), maxPlanDepth), reflect.ValueOf(target).Elem()
		if d.plan(&s, v) && s.End() == nil {
			return nil
		}
		v.SetZero()
	}
	return d.decodeSlowly(parameters, target)
}

// decodeSlowly is decode without a plan.
//
// encoding/json compares names in any case and merges objects of one name; the
// schema does not. So both get the same: a tree without double names and, if
// unknown fields are ignored, without those.
func (d *parameterDecoder) decodeSlowly(parameters messages.Value, target any) error {
	tree := map[string]any{}
	if !parameters.IsNull() {
		if !parameters.IsObject() || parameters.Decode(&tree) != nil {
			return &ToolParameterError{Problem: "must be a JSON object"}
		}
	}
	if d.schema.open {
		d.schema.prune(d.goType, tree)
	}
	if d.resolved.Validate(plain(tree)) == nil && decodeTree(tree, target) == nil {
		return nil
	}
	finder := faultFinder{schema: d.schema, resolved: map[*jsonschema.Schema]*jsonschema.Resolved{d.schema.root: d.resolved}}
	return finder.fault(d.goType, d.schema.root, tree, "")
}

// decodeTree stores a tree in what target points to.
func decodeTree(tree, target any) error {
	value, err := messages.NewValue(tree)
	if err != nil {
		return err
	}
	return value.Decode(target)
}

// plain returns a copy of tree whose numbers are float64, as the library wants
// them: it computes with all digits of a [json.Number], and an exponent of a
// million has a million digits. What is out of range there is too large for any
// Go number, too, and fails when it is decoded.
func plain(tree any) any {
	switch v := tree.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = plain(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = plain(value)
		}
		return out
	case json.Number:
		number, err := strconv.ParseFloat(v.String(), 64)
		if err != nil {
			number = math.Copysign(math.MaxFloat64, number)
		}
		return number
	default:
		return v
	}
}

// prune removes the fields that t does not have from tree.
func (s *typeSchema) prune(t reflect.Type, tree any) {
	t = pointee(t)
	if _, own := s.own[t]; own {
		return
	}
	switch v := tree.(type) {
	case map[string]any:
		switch t.Kind() {
		case reflect.Map:
			for _, value := range v {
				s.prune(t.Elem(), value)
			}
		case reflect.Struct:
			fields := s.structs[t]
			maps.DeleteFunc(v, func(name string, _ any) bool {
				return !slices.ContainsFunc(fields, func(f jsonField) bool { return f.name == name })
			})
			for _, field := range fields {
				s.prune(field.Type, v[field.name])
			}
		}
	case []any:
		if t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
			for _, value := range v {
				s.prune(t.Elem(), value)
			}
		}
	}
}
