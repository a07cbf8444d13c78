package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/aip-go/aip/messages"
)

// maxMetadata bounds the text frame of a binary message or file transfer, in
// bytes, before it is parsed.
const maxMetadata = 1 << 20

// decodeMetadata reads a text frame as a JSON object.
func decodeMetadata(data []byte) (messages.Object, error) {
	if len(data) > maxMetadata {
		return nil, fmt.Errorf("%w: metadata of %d bytes, at most %d are read", ErrLimit, len(data), maxMetadata)
	}
	var o messages.Object
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	if o == nil && bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return nil, fmt.Errorf("%w: null where an object is needed", ErrMetadata)
	}
	return o, nil
}

// stringField returns the string under key; false if there is none or null.
func stringField(o messages.Object, key string) (string, bool, error) {
	v, _ := o.Get(key)
	if v.IsNull() {
		return "", false, nil
	}
	var s string
	if err := v.Decode(&s); err != nil {
		return "", false, fmt.Errorf("%w: %q is not a string", ErrMetadata, key)
	}
	return s, true, nil
}

// intField returns the integer under key; false if there is none or null.
func intField(o messages.Object, key string) (int64, bool, error) {
	v, _ := o.Get(key)
	if v.IsNull() {
		return 0, false, nil
	}
	var n int64
	if err := v.Decode(&n); err != nil {
		return 0, false, fmt.Errorf("%w: %q is not an integer", ErrMetadata, key)
	}
	return n, true, nil
}

// requireInt returns the integer under key, which has to be there.
func requireInt(o messages.Object, key string) (int64, error) {
	n, ok, err := intField(o, key)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %q is missing", ErrMetadata, key)
	}
	return n, err
}

// requireString returns the string under key, which has to be there.
func requireString(o messages.Object, key string) (string, error) {
	s, ok, err := stringField(o, key)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %q is missing", ErrMetadata, key)
	}
	return s, err
}

// textValue returns s as a JSON value.
func textValue(s string) messages.Value {
	raw, _ := json.Marshal(s) // of a string cannot fail
	return messages.TrustedValue(raw)
}

// numberValue returns n as a JSON value.
func numberValue(n int64) messages.Value {
	return messages.TrustedValue(fmt.Appendf(nil, "%d", n))
}

// appendMetadata appends o in the form of the reference's serialiser for
// metadata frames (spec section 1.1): ", " and ": " between the elements, and
// \uXXXX for everything that is not ASCII.
func appendMetadata(dst []byte, o messages.Object) []byte {
	return appendSpaced(dst, o.Value().Bytes())
}

// appendSpaced appends raw, which is valid JSON.
func appendSpaced(dst, raw []byte) []byte {
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; c {
		case ' ', '\t', '\n', '\r':
		case ',', ':':
			dst = append(dst, c, ' ')
		case '"':
			end := i + 1
			for raw[end] != '"' {
				if raw[end] == '\\' {
					end++
				}
				end++
			}
			dst = appendASCII(dst, raw[i:end+1])
			i = end
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendASCII appends the JSON string in raw.
func appendASCII(dst, raw []byte) []byte {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return append(dst, raw...)
	}
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r == '\r':
			dst = append(dst, '\\', 'r')
		case r == '\t':
			dst = append(dst, '\\', 't')
		case r == '\b':
			dst = append(dst, '\\', 'b')
		case r == '\f':
			dst = append(dst, '\\', 'f')
		case r >= 0x20 && r < utf8.RuneSelf && r != 0x7f:
			dst = append(dst, byte(r))
		case r > 0xffff:
			high, low := 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
	}
	return append(dst, '"')
}
