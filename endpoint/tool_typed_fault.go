package endpoint

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// faultFinder finds out what is wrong with a tree, whose text the errors of the
// libraries would repeat.
type faultFinder struct {
	schema   *typeSchema
	resolved map[*jsonschema.Schema]*jsonschema.Resolved
}

// find returns what is wrong with tree, if it does not fit t and its schema s;
// nil if it does.
func (f *faultFinder) find(t reflect.Type, s *jsonschema.Schema, tree any, path string) *ToolParameterError {
	if f.validate(s, tree) && decodeTree(tree, reflect.New(t).Interface()) == nil {
		return nil
	}
	return f.fault(t, s, tree, path)
}

// fault returns what is wrong with a tree that does not fit: with a part of it,
// or else with the whole.
func (f *faultFinder) fault(t reflect.Type, s *jsonschema.Schema, tree any, path string) *ToolParameterError {
	if inner := f.faultWithin(pointee(t), s, tree, path); inner != nil {
		return inner
	}
	problem := describeSchema(s)
	if f.validate(s, tree) {
		problem += fmt.Sprintf(", that %s can hold", t)
	}
	return &ToolParameterError{Field: path, Problem: problem}
}

// faultWithin looks into an object or an array.
func (f *faultFinder) faultWithin(t reflect.Type, s *jsonschema.Schema, tree any, path string) *ToolParameterError {
	if _, own := f.schema.own[t]; own {
		return nil
	}
	switch v := tree.(type) {
	case map[string]any:
		switch t.Kind() {
		case reflect.Map:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				if fault := f.find(t.Elem(), s.AdditionalProperties, v[key], joinPath(path, "*")); fault != nil {
					return fault
				}
			}
		case reflect.Struct:
			return f.faultInFields(f.schema.structs[t], s, v, path)
		}
	case []any:
		if t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
			return nil
		}
		for i, value := range v {
			if fault := f.find(t.Elem(), s.Items, value, fmt.Sprintf("%s[%d]", path, i)); fault != nil {
				return fault
			}
		}
	}
	return nil
}

// faultInFields looks for missing, unknown and wrong fields of a struct.
func (f *faultFinder) faultInFields(fields []jsonField, s *jsonschema.Schema, tree map[string]any, path string) *ToolParameterError {
	var missing, known []string
	for _, field := range fields {
		known = append(known, strconv.Quote(field.name))
		if _, ok := tree[field.name]; !ok && slices.Contains(s.Required, field.name) {
			missing = append(missing, strconv.Quote(field.name))
		}
	}
	if missing != nil {
		return &ToolParameterError{path, "required fields are missing: " + strings.Join(missing, ", ")}
	}
	for name := range tree {
		if _, ok := s.Properties[name]; ok {
			continue
		}
		if known == nil {
			return &ToolParameterError{path, "must have no fields"}
		}
		return &ToolParameterError{path, "has an unknown field; the known ones are " + strings.Join(known, ", ")}
	}
	for _, field := range fields {
		value, ok := tree[field.name]
		if !ok {
			continue
		}
		if fault := f.find(field.Type, s.Properties[field.name], value, joinPath(path, field.name)); fault != nil {
			return fault
		}
	}
	return nil
}

// validate reports whether tree fits s.
func (f *faultFinder) validate(s *jsonschema.Schema, tree any) bool {
	resolved, ok := f.resolved[s]
	if !ok {
		var err error
		if resolved, err = s.Resolve(nil); err != nil { // it was resolved as a part of the whole
			return true
		}
		f.resolved[s] = resolved
	}
	return resolved.Validate(plain(tree)) == nil
}

// joinPath returns the path of the part called name.
func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
