package messages_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/aip-go/aip/messages"
)

// mustValue returns v as a Value.
func mustValue(t testing.TB, v any) messages.Value {
	t.Helper()
	value, err := messages.NewValue(v)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestNewValue(t *testing.T) {
	for _, test := range []struct {
		in   any
		want string
	}{
		{nil, `null`},
		{true, `true`},
		{int64(12345678901234567), `12345678901234567`},
		{"<é😀&\u2028", `"<é😀&\u2028"`},
		{map[string]any{"b": 1, "a": []int{}}, `{"a":[],"b":1}`},
		{json.RawMessage(` {"k" : 1e400} `), `{"k":1e400}`},
		{mustValue(t, 5), `5`},
		{messages.Object{{Key: "b", Value: mustValue(t, 1)}, {Key: "a"}}, `{"b":1,"a":null}`},
	} {
		value, err := messages.NewValue(test.in)
		if err != nil || value.String() != test.want {
			t.Errorf("NewValue(%#v) = %s, %v; want %s", test.in, value, err, test.want)
		}
		if string(value.Bytes()) != test.want || value.Len() != len(test.want) {
			t.Errorf("NewValue(%#v): Bytes %q, Len %d", test.in, value.Bytes(), value.Len())
		}
	}
}

func TestNewValueRefuses(t *testing.T) {
	for _, in := range []any{
		math.NaN(), make(chan int), func() {},
		json.RawMessage(`{`), json.RawMessage(`NaN`),
	} {
		if value, err := messages.NewValue(in); err == nil || !value.IsZero() {
			t.Errorf("NewValue(%T) = %s, %v", in, value, err)
		}
	}
	for _, text := range []string{`"\ud800"`, `"\udc00"`, `"\uD800x"`, `"\ud800\n"`, `"\ud800\ud800"`, `"a\\\ud8ff"`} {
		if _, err := messages.NewValue(json.RawMessage(text)); !errors.Is(err, messages.ErrInvalid) {
			t.Errorf("NewValue(%s): %v, want ErrInvalid", text, err)
		}
	}
	for _, text := range []string{`"\ud83d\ude00"`, `"\\ud800"`, `"\ud7ff\ue000"`} {
		if _, err := messages.NewValue(json.RawMessage(text)); err != nil {
			t.Errorf("NewValue(%s): %v", text, err)
		}
	}
}

// Who appends to a value's text does not write into the value's memory.
func TestValueBytesAreClipped(t *testing.T) {
	memory := []byte(`1 untouched`)
	v := messages.TrustedValue(memory[:1])
	marshalled, err := v.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = append(v.Bytes(), "23"...), append(marshalled, "45"...)
	if string(memory) != `1 untouched` || v.String() != "1" || (messages.Value{}).Bytes() != nil {
		t.Errorf("the memory is %s", memory)
	}
}

func TestValueKinds(t *testing.T) {
	for _, test := range []struct {
		text                  string
		isZero, isNull, isObj bool
	}{
		{``, true, true, false},
		{`null`, false, true, false},
		{`{}`, false, false, true},
		{`[]`, false, false, false},
		{`"{"`, false, false, false},
		{`0`, false, false, false},
	} {
		v := messages.TrustedValue([]byte(test.text))
		if v.IsZero() != test.isZero || v.IsNull() != test.isNull || v.IsObject() != test.isObj {
			t.Errorf("%q: IsZero %v, IsNull %v, IsObject %v", test.text, v.IsZero(), v.IsNull(), v.IsObject())
		}
	}
}

func TestValueDecode(t *testing.T) {
	v := mustValue(t, json.RawMessage(`{"n":123456789012345678901234567890,"f":1.0,"s":"x","l":[9007199254740993]}`))
	var got any
	if err := v.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"n": json.Number("123456789012345678901234567890"),
		"f": json.Number("1.0"),
		"s": "x",
		"l": []any{json.Number("9007199254740993")},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %#v", got)
	}

	var typed struct{ S string }
	if err := v.Decode(&typed); err != nil || typed.S != "x" {
		t.Errorf("decoded %+v, %v", typed, err)
	}
	if err := v.Decode(new(int)); err == nil {
		t.Error("an object decoded into an int")
	}
	if err := v.Decode(typed); err == nil {
		t.Error("decoded into no pointer")
	}

	unset := map[string]int{"left": 1}
	if err := (messages.Value{}).Decode(&unset); err != nil || unset != nil {
		t.Errorf("an unset value decoded as %v, %v, want null", unset, err)
	}
}

func TestValueJSON(t *testing.T) {
	type pair struct {
		A messages.Value `json:"a"`
		B messages.Value `json:"b,omitzero"`
	}
	text, err := json.Marshal(pair{})
	if err != nil || string(text) != `{"a":null}` {
		t.Errorf("marshalled %s, %v", text, err)
	}
	data := []byte(`{"a": {"n": 1e1000} ,"b":null}`)
	var p pair
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	copy(data, strings.Repeat("x", len(data)))
	if p.A.String() != `{"n": 1e1000}` || !p.B.IsNull() || p.B.IsZero() {
		t.Errorf("unmarshalled %s and %s", p.A, p.B)
	}
	if text := p.A.AppendTo([]byte("a=")); string(text) != `a={"n": 1e1000}` {
		t.Errorf("AppendTo: %s", text)
	}
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) // as deep as encoding/json goes
	if err := new(messages.Value).UnmarshalJSON([]byte(deep)); err != nil {
		t.Errorf("10,000 arrays: %v", err)
	}
	for _, text := range []string{`"\ud800"`, "\"\xff\"", `{`, ``, `1 2`, "[" + deep + "]"} {
		var v messages.Value
		if err := v.UnmarshalJSON([]byte(text)); !errors.Is(err, messages.ErrInvalid) {
			t.Errorf("UnmarshalJSON(%q): %v, want ErrInvalid", text, err)
		}
	}
}

// Whatever NewValue and UnmarshalJSON let in is JSON that encodes again to
// itself, and neither of them panics.
func FuzzValue(f *testing.F) {
	for _, seed := range []string{`null`, ` [1, 2e5]`, `"\ud800\udc00"`, `"\ud800"`, "\"\xff\"", `{"a":{"a":1}}`, `"\`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v messages.Value
		if err := v.UnmarshalJSON(data); err != nil {
			if !v.IsZero() {
				t.Fatalf("%q refused and stored", data)
			}
			return
		}
		again, err := messages.NewValue(json.RawMessage(v.Bytes()))
		if err != nil {
			t.Fatalf("%q accepted once only: %v", data, err)
		}
		var a, b any
		if v.Decode(&a) == nil && (again.Decode(&b) != nil || !reflect.DeepEqual(a, b)) {
			t.Fatalf("%q became %s", data, again)
		}
	})
}
