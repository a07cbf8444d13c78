package endpoint

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/aip-go/aip/messages"
)

// FuzzToolParameters: whatever comes, parameters fit, and then they are what
// encoding/json makes of them, or are refused with an error that says where and
// repeats nothing.
func FuzzToolParameters(f *testing.F) {
	for _, seed := range []string{
		`{"mode":"read"}`,
		`{"mode":"write","limit":3,"level":2,"modes":["x"],"ratio":0.5,"small":1,"wide":-1}`,
		`{"mode":"read","files":[{"name":"a","size":null}],"env":{"k":{"limit":2}},"pair":[1,2]}`,
		`{"mode":"read","at":"2026-11-22T01:02:03Z","data":"aGk=","number":1e400,"address":"::1","loud":"x"}`,
		`{"mode":"read","raw":[{}],"raw_ptr":1,"value":null,"any":{"a":[1,"b"]},"hosts":{"::1":5}}`,
		`{"mode":"read","mode":"a long text that no error may repeat","MODE":1}`,
		`{"files":[{"name":"a long text that no error may repeat"}],"mode":"read"}`,
		`[]`, `null`, `"x"`, `{"mode":{}}`, `{"mode":"read","pair":[1e999999999]}`,
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	closed := typed[everything](f, nil)
	open := typed[everything](f, &ToolOptions{IgnoreUnknown: true})
	f.Fuzz(func(t *testing.T, text []byte, ignore bool) {
		var v messages.Value
		if v.UnmarshalJSON(text) != nil {
			return
		}
		tool := closed
		if ignore {
			tool = open
		}
		got, err := tool.Run(t.Context(), v)
		var tree any
		if err := v.Decode(&tree); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			var wrong *ToolParameterError
			if !errors.As(err, &wrong) || wrong.Problem == "" {
				t.Fatalf("%s: got %v", text, err)
			}
			checkSilent(t, err.Error(), tree)
			return
		}
		if ignore { // what is right for the strict tool is the same for this one
			if strict, err := closed.Run(t.Context(), v); err == nil && !reflect.DeepEqual(strict, got) {
				t.Fatalf("%s: got %+v, and %+v if unknown fields are refused", text, got, strict)
			}
			return
		}
		if v.IsNull() {
			t.Fatal("a required field is missing, and that is right")
		}
		again, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		var want everything
		decoder := json.NewDecoder(strings.NewReader(string(again)))
		decoder.UseNumber()
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("%s: encoding/json refuses it: %v", text, err)
		}
		have, wanted := marshal(t, got), marshal(t, want)
		if have != wanted {
			t.Fatalf("%s: got %s, want %s", text, have, wanted)
		}
	})
}

// checkSilent checks that no long text of tree is in an error.
func checkSilent(t *testing.T, text string, tree any) {
	const long = 16
	switch v := tree.(type) {
	case string:
		if len(v) >= long && strings.Contains(text, v) {
			t.Fatalf("%q is repeated: %s", v, text)
		}
	case []any:
		for _, value := range v {
			checkSilent(t, text, value)
		}
	case map[string]any:
		for key, value := range v {
			checkSilent(t, text, key)
			checkSilent(t, text, value)
		}
	}
}
