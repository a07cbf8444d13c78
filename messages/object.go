package messages

import (
	"bytes"
	"fmt"

	"github.com/aip-go/aip/internal/jsonscan"
)

// Member is one key of an [Object] with its value.
type Member struct {
	Key   string
	Value Value
}

// Object is a JSON object whose members keep their order. It marshals and
// unmarshals with encoding/json; of a key given twice, the last value counts.
// The zero Object is empty.
type Object []Member

// Get returns the value of key and whether there is one.
func (o Object) Get(key string) (Value, bool) {
	for i := range o {
		if o[i].Key == key {
			return o[i].Value, true
		}
	}
	return Value{}, false
}

// Set gives key the value, in its old place or else as the last member. An
// unset value is stored as null.
func (o *Object) Set(key string, value Value) {
	for i := range *o {
		if (*o)[i].Key == key {
			(*o)[i].Value = value
			return
		}
	}
	*o = append(*o, Member{Key: key, Value: value})
}

// Value returns the object as a Value.
func (o Object) Value() Value {
	return Value{raw: o.append(nil)}
}

// MarshalJSON returns the object with its members in order.
func (o Object) MarshalJSON() ([]byte, error) {
	return o.append(nil), nil
}

// UnmarshalJSON stores the members of the JSON object in data; null empties
// the object. It returns an error that matches [ErrInvalid] if data is
// something else, or not well-formed JSON text.
func (o *Object) UnmarshalJSON(data []byte) error {
	s := jsonscan.New(data, maxDepth)
	if kind := s.Kind(); kind != '{' {
		s.Skip()
		switch {
		case s.End() != nil:
			return errText
		case kind != 'n':
			return fmt.Errorf("messages: a JSON object is needed: %w", ErrInvalid)
		}
		*o = nil
		return nil
	}
	var out Object
	index := map[string]int{}
	for s.Open(); s.NextKey(); {
		key := string(s.Key())
		value := Value{raw: bytes.Clone(s.Raw())}
		if at, ok := index[key]; ok {
			out[at].Value = value
			continue
		}
		index[key] = len(out)
		out = append(out, Member{Key: key, Value: value})
	}
	if s.End() != nil {
		return errText
	}
	*o = out
	return nil
}

// append appends the JSON text of the object to dst.
func (o Object) append(dst []byte) []byte {
	return append(o.appendMembers(append(dst, '{')), '}')
}

// appendMembers appends the members of the object to dst, which ends in an
// opening brace or in another member.
func (o Object) appendMembers(dst []byte) []byte {
	for _, member := range o {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = jsonscan.AppendString(dst, member.Key)
		dst = append(dst, ':')
		dst = member.Value.AppendTo(dst)
	}
	return dst
}
