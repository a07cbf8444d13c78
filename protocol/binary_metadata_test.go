package protocol

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/aip-go/aip/messages"
)

func metadataOf(t testing.TB, text string) messages.Object {
	t.Helper()
	o, err := decodeMetadata([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// The right column is what Python's json.dumps writes for the left one.
func TestAppendMetadata(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{`{}`, `{}`},
		{`{"a":1,"b":[1,2,{"c":null}],"d":{}}`, `{"a": 1, "b": [1, 2, {"c": null}], "d": {}}`},
		{`{ "a" : [ ] , "b":-1.5e+30}`, `{"a": [], "b": -1.5e+30}`},
		{`{"k":"a,b:c \"q\" \\ /"}`, `{"k": "a,b:c \"q\" \\ /"}`},
		{`{"k":"é名😀\u007f\u2028<>&"}`, `{"k": "\u00e9\u540d\ud83d\ude00\u007f\u2028<>&"}`},
		{`{"é":"\n\r\t\b\f\u0000\u001f"}`, `{"\u00e9": "\n\r\t\b\f\u0000\u001f"}`},
		{`{"n":123456789012345678901234567890}`, `{"n": 123456789012345678901234567890}`},
	} {
		got := string(appendMetadata(nil, metadataOf(t, test.in)))
		if got != test.want {
			t.Errorf("%s is written\n%s, want\n%s", test.in, got, test.want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s is not JSON", got)
		}
	}
}

func TestDecodeMetadata(t *testing.T) {
	for _, bad := range []string{``, `null`, `[]`, `"x"`, `{`, `{"a":1}x`, `{"a":NaN}`} {
		if _, err := decodeMetadata([]byte(bad)); !errors.Is(err, ErrMetadata) {
			t.Errorf("%q: %v, want ErrMetadata", bad, err)
		}
	}
	huge := `{"a":"` + strings.Repeat("x", maxMetadata) + `"}`
	if _, err := decodeMetadata([]byte(huge)); !errors.Is(err, ErrLimit) {
		t.Errorf("metadata beyond the limit: %v, want ErrLimit", err)
	}
	o := metadataOf(t, `{"s":"x","n":7,"null":null,"f":1.5,"t":true}`)
	if s, ok, err := stringField(o, "s"); s != "x" || !ok || err != nil {
		t.Errorf("string: %q %v %v", s, ok, err)
	}
	if n, ok, err := intField(o, "n"); n != 7 || !ok || err != nil {
		t.Errorf("integer: %d %v %v", n, ok, err)
	}
	for _, key := range []string{"null", "absent"} {
		if _, ok, err := stringField(o, key); ok || err != nil {
			t.Errorf("%s as a string: %v %v", key, ok, err)
		}
		if _, ok, err := intField(o, key); ok || err != nil {
			t.Errorf("%s as an integer: %v %v", key, ok, err)
		}
		if _, err := requireInt(o, key); !errors.Is(err, ErrMetadata) {
			t.Errorf("%s required: %v", key, err)
		}
	}
	for _, key := range []string{"s", "f", "t"} {
		if _, _, err := intField(o, key); !errors.Is(err, ErrMetadata) {
			t.Errorf("%s as an integer: %v", key, err)
		}
	}
	if _, _, err := stringField(o, "n"); !errors.Is(err, ErrMetadata) {
		t.Errorf("number as a string: %v", err)
	}
}

func FuzzAppendMetadata(f *testing.F) {
	f.Add(`{"a":[1,"x\"y",{"b":null}]}`)
	f.Add(`{"é\ud83d\ude00":"\u0000,:"}`)
	f.Add(`{"a":1,"a":2}`)
	f.Fuzz(func(t *testing.T, text string) {
		o, err := decodeMetadata([]byte(text))
		if err != nil {
			return
		}
		written := appendMetadata(nil, o)
		for _, c := range written {
			if c < 0x20 || c > 0x7e {
				t.Fatalf("%q is written with the byte %#x: %q", text, c, written)
			}
		}
		var before, after any
		if err := json.Unmarshal(o.Value().Bytes(), &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(written, &after); err != nil {
			t.Fatalf("%q is written as %q: %v", text, written, err)
		}
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("%q is written as %q", text, written)
		}
	})
}
