package endpoint

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// jsonField is a field of a struct, or one of a struct embedded in it.
type jsonField struct {
	reflect.StructField
	name string // in JSON
}

// jsonFields returns the fields that encoding/json decodes. It fails if one of
// them is one that the library sees otherwise.
func jsonFields(t reflect.Type, d direction) ([]jsonField, error) {
	l := fieldList{direction: d, goNames: map[string]bool{}, jsonNames: map[string]bool{}}
	err := l.add(t, nil)
	return l.fields, err
}

type fieldList struct {
	direction          direction
	fields             []jsonField
	goNames, jsonNames map[string]bool
}

// add adds the fields of t, which is embedded in the structs within.
func (l *fieldList) add(t reflect.Type, within []reflect.Type) error {
	if slices.Contains(within, t) {
		return fmt.Errorf("%s embeds itself", t)
	}
	for i := range t.NumField() {
		field := t.Field(i)
		tag := field.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if field.Anonymous {
			if err := embeddable(field, name, l.direction); err != nil {
				return fmt.Errorf("the embedded field %s of %s %w", field.Name, t, err)
			}
			if err := l.add(pointee(field.Type), append(within, t)); err != nil {
				return err
			}
			continue
		}
		if !field.IsExported() || tag == "-" {
			continue
		}
		if slices.Contains(strings.Split(options, ","), "string") {
			return fmt.Errorf("field %s of %s has the json option string, which a schema cannot say", field.Name, t)
		}
		if name == "" {
			name = field.Name
		}
		if strings.ContainsFunc(name, unnameable) {
			return fmt.Errorf("field %s of %s has a name that encoding/json does not take", field.Name, t)
		}
		if l.goNames[field.Name] || l.jsonNames[name] {
			return fmt.Errorf("%s has two fields called %s", t, field.Name)
		}
		l.goNames[field.Name], l.jsonNames[name] = true, true
		l.fields = append(l.fields, jsonField{field, name})
	}
	return nil
}

// unnameable reports whether encoding/json ignores a name with r in it.
func unnameable(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r)
}

// embeddable reports what keeps the fields of an embedded one from being those
// of the struct around it.
func embeddable(field reflect.StructField, name string, d direction) error {
	switch {
	case name != "":
		return errors.New("has a JSON name; give it a name in Go, too")
	case pointee(field.Type).Kind() != reflect.Struct:
		return errors.New("is no struct; give it a name")
	case field.Type.Kind() == reflect.Pointer && !field.IsExported():
		return errors.New("is a pointer to an unexported struct, which encoding/json cannot set")
	case ownForm(pointee(field.Type), d) != nil:
		return errors.New("decodes itself; give it a name")
	default:
		return nil
	}
}
