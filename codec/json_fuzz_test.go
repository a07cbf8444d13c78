package codec_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
)

// Whatever the input, no model's decoder panics. What it accepts is JSON to
// encoding/json, validates, and is written, in both styles, as something that
// decodes to the same message.
func FuzzDecode(f *testing.F) {
	models := codec.Models()
	for i, model := range models {
		f.Add(uint8(i), []byte(`{}`))
		text, err := codec.JSON{Style: codec.Reference}.Append(nil, codec.NewModel(model))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), text)
	}
	for _, v := range readLines[vector](f, "testdata/vectors.jsonl") {
		for i, model := range models {
			if v.Model == model && len(v.Input) < 256 {
				f.Add(uint8(i), []byte(v.Input))
			}
		}
	}
	f.Fuzz(func(t *testing.T, model uint8, data []byte) {
		name := models[int(model)%len(models)]
		m := codec.NewModel(name)
		if err := (codec.JSON{}).Decode(data, m); err != nil {
			checkRefusal(t, data, err)
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%s: %q is not JSON", name, data)
		}
		if v, ok := m.(interface{ Validate() error }); ok {
			if err := v.Validate(); err != nil {
				t.Fatalf("%s: %q decodes and is not valid: %v", name, data, err)
			}
		}
		for _, style := range []codec.Style{codec.Compact, codec.Reference} {
			c := codec.JSON{Style: style}
			text, err := c.Append(nil, m)
			if err != nil {
				t.Fatalf("%s: %q: %v", name, data, err)
			}
			again := codec.NewModel(name)
			if err := c.Decode(text, again); err != nil {
				t.Fatalf("%s: %q written as %q: %v", name, data, text, err)
			}
			if style == codec.Compact && !reflect.DeepEqual(m, again) {
				t.Fatalf("%s: %q written as %q, read as %+v, not %+v", name, data, text, again, m)
			}
			third, err := c.Append(nil, again)
			if err != nil || string(third) != string(text) {
				t.Fatalf("%s: %q written as %q, then as %q, %v", name, data, text, third, err)
			}
		}
	})
}

// checkRefusal checks that err is one of the errors Decode promises, and that
// text which is not JSON is told as that.
func checkRefusal(t *testing.T, data []byte, err error) {
	t.Helper()
	var syntax *codec.SyntaxError
	var invalid *messages.ValidationError
	switch {
	case errors.As(err, &syntax):
		if syntax.Offset < 0 || syntax.Offset > len(data) {
			t.Fatalf("%q: offset %d", data, syntax.Offset)
		}
	case errors.As(err, &invalid):
		if len(invalid.Fields) == 0 {
			t.Fatalf("%q: nothing is wrong", data)
		}
		if !json.Valid(data) {
			t.Fatalf("%q is not JSON, and the error is %v", data, err)
		}
	case !errors.Is(err, codec.ErrTooDeep):
		t.Fatalf("%q: %v", data, err)
	}
}
