package messages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/aip-go/aip/internal/jsonscan"
)

// Value is a free-form JSON value, kept as its JSON text and decoded on
// demand, so that a large payload is parsed only where it is used and numbers
// of any size survive unchanged.
//
// The zero Value is unset: the field is absent. A Value is immutable; copies
// share the text and may be used by any number of goroutines.
type Value struct {
	raw []byte
}

// NewValue returns v as a Value, in the form encoding/json gives it, without
// HTML escaping. It returns the error of encoding/json, or one that matches
// [ErrInvalid] when a raw message in v is JSON only by name (bad UTF-8 or half
// a surrogate pair).
func NewValue(v any) (Value, error) {
	if value, ok := v.(Value); ok {
		return value, nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return Value{}, fmt.Errorf("messages: value: %w", err)
	}
	raw, err := strictJSON(buf.Bytes())
	if err != nil {
		return Value{}, err
	}
	return Value{raw: raw}, nil
}

// TrustedValue returns a Value of raw, which must be one valid JSON value in
// valid UTF-8, without white space around it: it is not checked, and a wrong
// one makes a wrong frame. The Value owns raw from then on. An empty raw is the
// unset Value.
func TrustedValue(raw []byte) Value {
	return Value{raw: raw}
}

// IsZero reports whether v is unset.
func (v Value) IsZero() bool { return len(v.raw) == 0 }

// IsNull reports whether v is unset or the JSON null.
func (v Value) IsNull() bool { return len(v.raw) == 0 || v.raw[0] == 'n' }

// IsObject reports whether v is a JSON object.
func (v Value) IsObject() bool { return len(v.raw) > 0 && v.raw[0] == '{' }

// Len returns the length of the JSON text in bytes; 0 if v is unset.
func (v Value) Len() int { return len(v.raw) }

// Bytes returns the JSON text of v, nil if unset. The bytes belong to v and
// must not be changed; appending to them copies them.
func (v Value) Bytes() []byte { return slices.Clip(v.raw) }

// AppendTo appends the JSON text of v to dst, null if v is unset.
func (v Value) AppendTo(dst []byte) []byte {
	if v.IsZero() {
		return append(dst, "null"...)
	}
	return append(dst, v.raw...)
}

// String returns the JSON text of v, "" if unset.
func (v Value) String() string { return string(v.raw) }

// Decode stores v in the value that target points to, as encoding/json does,
// except that a number decoded into an interface becomes a json.Number and so
// keeps every digit. An unset v decodes as null. The error is that of
// encoding/json.
func (v Value) Decode(target any) error {
	raw := v.raw
	if len(raw) == 0 {
		raw = []byte("null")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(target); err != nil {
		return fmt.Errorf("messages: value: %w", err)
	}
	return nil
}

// MarshalJSON returns the JSON text of v, null if unset.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.IsZero() {
		return []byte("null"), nil
	}
	return v.Bytes(), nil
}

// UnmarshalJSON stores a copy of data in v. It returns an error that matches
// [ErrInvalid] if data is not well-formed JSON text.
func (v *Value) UnmarshalJSON(data []byte) error {
	raw, err := strictJSON(data)
	if err != nil {
		return err
	}
	v.raw = bytes.Clone(raw)
	return nil
}

var errText = fmt.Errorf("messages: not JSON in well-formed UTF-8, or nested too deeply: %w", ErrInvalid)

// maxDepth is how deep JSON text may nest for encoding/json to take it.
const maxDepth = 9_999

// strictJSON returns the one JSON value in data, without the white space around
// it. Unlike encoding/json it refuses bad UTF-8 and half surrogate pairs.
func strictJSON(data []byte) ([]byte, error) {
	s := jsonscan.New(data, maxDepth)
	raw := s.Raw()
	if s.End() != nil {
		return nil, errText
	}
	return raw, nil
}
