package messages_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/aip-go/aip/messages"
)

func TestObject(t *testing.T) {
	var o messages.Object
	o.Set("b", mustValue(t, 1))
	o.Set("a\"é", mustValue(t, []int{2}))
	o.Set("b", mustValue(t, "new"))
	o.Set("unset", messages.Value{})
	if got, want := o.Value().String(), `{"b":"new","a\"é":[2],"unset":null}`; got != want {
		t.Errorf("Value() = %s, want %s", got, want)
	}
	if v, ok := o.Get("b"); !ok || v.String() != `"new"` {
		t.Errorf("Get(b) = %s, %v", v, ok)
	}
	if v, ok := o.Get("B"); ok || !v.IsZero() {
		t.Errorf("Get(B) = %s, %v", v, ok)
	}
	if got := (messages.Object{}).Value().String(); got != `{}` {
		t.Errorf("an empty object is %s", got)
	}
}

func TestObjectJSON(t *testing.T) {
	var o messages.Object
	text := `{ "z" : 123456789012345678901234567890, "a": null, "z": [ ], "\u00e9": {"b":1,"a":2} }`
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	want := messages.Object{
		{Key: "z", Value: mustValue(t, json.RawMessage(`[ ]`))},
		{Key: "a", Value: mustValue(t, nil)},
		{Key: "é", Value: mustValue(t, json.RawMessage(`{"b":1,"a":2}`))},
	}
	for i := range want {
		if o[i].Key != want[i].Key {
			t.Fatalf("member %d is %q, want %q", i, o[i].Key, want[i].Key)
		}
	}
	again, err := json.Marshal(o)
	if err != nil || string(again) != `{"z":[],"a":null,"é":{"b":1,"a":2}}` {
		t.Errorf("marshalled %s, %v", again, err)
	}
	if err := json.Unmarshal([]byte(`null`), &o); err != nil || o != nil {
		t.Errorf("null left %v, %v", o, err)
	}
	for _, text := range []string{`[]`, `"x"`, `1`} {
		if err := json.Unmarshal([]byte(text), &o); !errors.Is(err, messages.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", text, err)
		}
	}
	o = want
	for _, text := range []string{
		``, `{"a":`, `{"a":1`, `{"a" 1}`, `{"a":"\ud800"}`, `{"\ud800":1}`, "{\"\xff\":1}", `{"a":1} x`, `[`, `nul`,
	} {
		if err := o.UnmarshalJSON([]byte(text)); !errors.Is(err, messages.ErrInvalid) || len(o) != len(want) {
			t.Errorf("%q left %d members, %v", text, len(o), err)
		}
	}
}

// A field is matched by its exact name, and what Extra holds never stands in
// for one.
func TestBinaryModelsDeclaredFields(t *testing.T) {
	var m messages.BinaryMetadata
	text := `{"size":1,"SIZE":2,"Type":"x","size":3}`
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	if m.Size != 3 || m.Type != "" || len(m.Extra) != 2 {
		t.Errorf("unmarshalled %+v", m)
	}
	if again, err := json.Marshal(m); err != nil || string(again) != `{"size":3,"SIZE":2,"Type":"x"}` {
		t.Errorf("marshalled %s, %v", again, err)
	}
	for _, model := range []any{&messages.BinaryMetadata{}, &messages.FileTransferStart{}, &messages.FileTransferComplete{}, &messages.ChunkMetadata{}} {
		v := reflect.ValueOf(model).Elem()
		plain, err := json.Marshal(model)
		if err != nil {
			t.Fatal(err)
		}
		var extra messages.Object
		for i := range v.NumField() {
			if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); name != "-" {
				extra.Set(name, mustValue(t, "stray"))
			}
		}
		v.FieldByName("Extra").Set(reflect.ValueOf(extra))
		if got, err := json.Marshal(model); err != nil || string(got) != string(plain) {
			t.Errorf("%T: marshalled %s, %v, want %s", model, got, err, plain)
		}
	}
}

func TestBinaryModelsKeepExtra(t *testing.T) {
	for _, test := range []struct {
		text, plain, bad string
		model            any
		extra            func(any) messages.Object
	}{
		{`{"type":"binary_data","filename":"f","size":3,"chunk_num":1,"x":null}`, `{"filename":"f"}`, `{"filename":1}`, &messages.BinaryMetadata{},
			func(m any) messages.Object { return m.(*messages.BinaryMetadata).Extra }},
		{`{"type":"file_transfer_start","filename":"f","size":3,"chunk_size":2,"total_chunks":2,"mime_type":"m","x":[1],"y":2}`, `{"filename":"f"}`, `{"size":"x"}`,
			&messages.FileTransferStart{}, func(m any) messages.Object { return m.(*messages.FileTransferStart).Extra }},
		{`{"type":"file_transfer_complete","filename":"f","total_chunks":2,"checksum":"c","x":"1","y":{}}`, `{"checksum":"c"}`, `[]`,
			&messages.FileTransferComplete{}, func(m any) messages.Object { return m.(*messages.FileTransferComplete).Extra }},
		{`{"chunk_num":0,"chunk_size":2,"checksum":"c","Size":1,"y":2}`, `{"chunk_num":1}`, `{"chunk_num":"x"}`, &messages.ChunkMetadata{},
			func(m any) messages.Object { return m.(*messages.ChunkMetadata).Extra }},
	} {
		if err := json.Unmarshal([]byte(test.text), test.model); err != nil {
			t.Errorf("%T: %v", test.model, err)
			continue
		}
		if len(test.extra(test.model)) != 2 {
			t.Errorf("%T: extra is %v", test.model, test.extra(test.model))
		}
		again, err := json.Marshal(test.model)
		if err != nil || string(again) != test.text {
			t.Errorf("%T: marshalled %s, %v", test.model, again, err)
		}
		plain := reflect.New(reflect.TypeOf(test.model).Elem()).Interface()
		if err := json.Unmarshal([]byte(test.plain), plain); err != nil || test.extra(plain) != nil {
			t.Errorf("%T: %v, extra %v", plain, err, test.extra(plain))
		}
		if err := json.Unmarshal([]byte(test.bad), plain); err == nil {
			t.Errorf("%T: %s was accepted", plain, test.bad)
		}
	}
}

// What is read as an object is written as one that reads the same, and what is
// refused leaves the object alone.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{`{}`, `null`, `{"a":1,"b":[{}],"a":null}`, `{"\u0061":"\ud83d\ude00"}`, `{"\ud800":1}`, `{"a":1`, `[]`, `{"":0} `} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o := messages.Object{{Key: "before"}}
		if err := o.UnmarshalJSON(data); err != nil {
			if !errors.Is(err, messages.ErrInvalid) || len(o) != 1 || o[0].Key != "before" {
				t.Fatalf("%q left %v, %v", data, o, err)
			}
			return
		}
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		var again messages.Object
		if err := json.Unmarshal(text, &again); err != nil || len(again) != len(o) {
			t.Fatalf("%q written as %s, read as %v, %v", data, text, again, err)
		}
		for i := range o {
			if again[i].Key != o[i].Key {
				t.Fatalf("%q written as %s: key %q became %q", data, text, o[i].Key, again[i].Key)
			}
		}
	})
}
