package endpoint

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// tagKeyword sets a keyword of JSON Schema from the text of a struct tag.
type tagKeyword struct {
	tag string
	// types are the types it is for.
	types []string
	set   func(s *jsonschema.Schema, text string) error
}

var tagKeywords = []tagKeyword{
	{"enum", []string{"string", "integer", "number"}, setEnum},
	{"minimum", []string{"integer", "number"}, func(s *jsonschema.Schema, text string) error {
		return setNumber(&s.Minimum, text)
	}},
	{"maximum", []string{"integer", "number"}, func(s *jsonschema.Schema, text string) error {
		return setNumber(&s.Maximum, text)
	}},
	{"minLength", []string{"string"}, func(s *jsonschema.Schema, text string) error {
		return setLength(&s.MinLength, text)
	}},
	{"maxLength", []string{"string"}, func(s *jsonschema.Schema, text string) error {
		return setLength(&s.MaxLength, text)
	}},
	{"pattern", []string{"string"}, func(s *jsonschema.Schema, text string) error {
		s.Pattern = text // compiled when the schema is resolved
		return nil
	}},
}

// applyTags adds the keywords of a field's tag to its schema s, or to that of
// its elements.
func applyTags(tag reflect.StructTag, s *jsonschema.Schema) error {
	for s.Items != nil {
		s = s.Items
	}
	for _, keyword := range tagKeywords {
		text, ok := tag.Lookup(keyword.tag)
		if !ok {
			continue
		}
		fits := false
		for _, t := range keyword.types {
			fits = fits || hasType(s, t)
		}
		if !fits {
			return fmt.Errorf("tag %s is for %s only", keyword.tag, strings.Join(keyword.types, ", "))
		}
		if err := keyword.set(s, text); err != nil {
			return fmt.Errorf("tag %s: %w", keyword.tag, err)
		}
	}
	return nil
}

// setEnum allows the values in text, and null if s allowed it before.
func setEnum(s *jsonschema.Schema, text string) error {
	for word := range strings.SplitSeq(text, ",") {
		if hasType(s, "string") {
			s.Enum = append(s.Enum, word)
			continue
		}
		number, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return err
		}
		s.Enum = append(s.Enum, number)
	}
	if hasType(s, "null") {
		s.Enum = append(s.Enum, nil)
	}
	return nil
}

func setNumber(to **float64, text string) error {
	number, err := strconv.ParseFloat(text, 64)
	*to = &number
	return err
}

func setLength(to **int, text string) error {
	length, err := strconv.ParseUint(text, 10, 31)
	n := int(length)
	*to = &n
	return err
}
