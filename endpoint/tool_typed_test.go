package endpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// Loud is a type that reads its own JSON.
type Loud struct{ text string }

func (l *Loud) UnmarshalJSON(data []byte) error {
	if !bytes.HasPrefix(data, []byte(`"`)) {
		return errors.New("I do not take " + string(data))
	}
	l.text = strings.ToUpper(string(data))
	return nil
}

type paging struct {
	Limit int `json:"limit,omitzero" jsonschema:"how many" minimum:"1" maximum:"100"`
}

type fileSpec struct {
	Name string `json:"name" minLength:"1" maxLength:"8" pattern:"^[a-z.]+$"`
	Size *int64 `json:"size,omitempty"`
}

// everything has a field of each sort.
type everything struct {
	paging
	Mode    string             `json:"mode" enum:"read,write"`
	Level   *int               `json:"level,omitempty" enum:"1,2"`
	Modes   []string           `json:"modes,omitempty" enum:"x,y"`
	Ratio   float64            `json:"ratio,omitempty" minimum:"-0.5" maximum:"2.5"`
	Flag    bool               `json:"flag,omitempty"`
	Small   uint8              `json:"small,omitempty"`
	Wide    int64              `json:"wide,omitempty"`
	Files   []fileSpec         `json:"files,omitempty"`
	Env     map[string]paging  `json:"env,omitempty"`
	Pair    [2]int             `json:"pair,omitzero"`
	At      time.Time          `json:"at,omitzero"`
	Until   *time.Time         `json:"until,omitempty"`
	Data    []byte             `json:"data,omitempty"`
	Raw     json.RawMessage    `json:"raw,omitempty"`
	RawPtr  *json.RawMessage   `json:"raw_ptr,omitempty"`
	Value   messages.Value     `json:"value,omitzero"`
	Any     any                `json:"any,omitempty"`
	Number  json.Number        `json:"number,omitempty"`
	Address netip.Addr         `json:"address,omitzero"`
	Loud    Loud               `json:"loud,omitzero"`
	Hosts   map[netip.Addr]int `json:"hosts,omitempty"`
	Hidden  string             `json:"-"`
	private int
	Plain   string `json:",omitempty"`
}

func parameters(t testing.TB, text string) messages.Value {
	t.Helper()
	var v messages.Value
	if text == "" {
		return v
	}
	if err := v.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// typed returns a tool that returns its parameters.
func typed[P any](t testing.TB, options *ToolOptions) Tool {
	t.Helper()
	made, err := NewTool("t", func(_ context.Context, p P) (P, error) { return p, nil }, options)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestTypedParameters: what fits arrives, each sort in its field.
func TestTypedParameters(t *testing.T) {
	at := time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC)
	level, size, raw := 2, int64(1)<<60+1, json.RawMessage(`[1]`)
	tests := map[string]everything{
		`{"mode":"read"}`: {Mode: "read", private: 0},
		`{"mode":"write","limit":3,"level":2,"modes":["y","x"],"ratio":2.5,"flag":true,"small":255,"wide":-9223372036854775808}`: {
			Mode: "write", paging: paging{3}, Level: &level, Modes: []string{"y", "x"}, Ratio: 2.5, Flag: true, Small: 255, Wide: -1 << 63,
		},
		`{"mode":"read","level":null,"modes":null,"files":null,"until":null,"env":null,"raw_ptr":null,"data":null}`: {Mode: "read"},
		`{"mode":"read","files":[{"name":"a.b"},{"name":"c","size":1152921504606846977}],"env":{"k":{"limit":2},"l":{}},"pair":[1,2]}`: {
			Mode: "read", Files: []fileSpec{{Name: "a.b"}, {"c", &size}}, Env: map[string]paging{"k": {2}, "l": {}}, Pair: [2]int{1, 2},
		},
		`{"mode":"read","at":"2026-11-22T01:02:03Z","until":"2026-11-22T01:02:03Z","data":"aGk=","number":1.50,"address":"::1","loud":"x","Plain":"p"}`: {
			Mode: "read", At: at, Until: &at, Data: []byte("hi"), Number: "1.50", Address: netip.IPv6Loopback(), Loud: Loud{`"X"`}, Plain: "p",
		},
		`{"mode":"read","raw":{"<":1e400},"raw_ptr":[1],"value":[12345678901234567890],"any":{"n":12345678901234567890},"hosts":{"::1":5}}`: {
			Mode: "read", Raw: json.RawMessage(`{"<":1e400}`), RawPtr: &raw, Value: messages.TrustedValue([]byte(`[12345678901234567890]`)),
			Any: map[string]any{"n": json.Number("12345678901234567890")}, Hosts: map[netip.Addr]int{netip.IPv6Loopback(): 5},
		},
		`{"mode":"read","files":[{"name":"a","size":1}],"files":[{"name":"b"}],"mode":"write"}`: {Mode: "write", Files: []fileSpec{{Name: "b"}}},
	}
	tool := typed[everything](t, nil)
	for text, want := range tests {
		got, err := tool.Run(t.Context(), parameters(t, text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", text, got, err, want)
		}
	}
}

// TestTypedParameterErrors: what does not fit is named, and never repeated.
func TestTypedParameterErrors(t *testing.T) {
	const secret = "SeCrEt"
	tests := map[string]ToolParameterError{
		`["SeCrEt"]`: {"", "must be a JSON object"},
		`"SeCrEt"`:   {"", "must be a JSON object"},
		``:           {"", `required fields are missing: "mode"`},
		`null`:       {"", `required fields are missing: "mode"`},
		`{"MODE":"read"}`: {
			"", `required fields are missing: "mode"`},
		`{"mode":"SeCrEt"}`:                           {"mode", `must be a string, one of "read", "write"`},
		`{"mode":null}`:                               {"mode", `must be a string, one of "read", "write"`},
		`{"mode":"read","level":3}`:                   {"level", "must be an integer or null, one of 1, 2, null"},
		`{"mode":"read","modes":["x","SeCrEt"]}`:      {"modes[1]", `must be a string, one of "x", "y"`},
		`{"mode":"read","limit":0}`:                   {"limit", "must be an integer, at least 1, at most 100"},
		`{"mode":"read","limit":"SeCrEt"}`:            {"limit", "must be an integer, at least 1, at most 100"},
		`{"mode":"read","limit":null}`:                {"limit", "must be an integer, at least 1, at most 100"},
		`{"mode":"read","ratio":2.6}`:                 {"ratio", "must be a number, at least -0.5, at most 2.5"},
		`{"mode":"read","flag":1}`:                    {"flag", "must be true or false"},
		`{"mode":"read","small":256}`:                 {"small", "must be an integer, at least 0, at most 255"},
		`{"mode":"read","wide":9223372036854775808}`:  {"wide", "must be an integer, that int64 can hold"},
		`{"mode":"read","wide":1e999999999}`:          {"wide", "must be an integer, that int64 can hold"},
		`{"mode":"read","wide":1.5}`:                  {"wide", "must be an integer"},
		`{"mode":"read","files":"SeCrEt"}`:            {"files", "must be an array or null"},
		`{"mode":"read","files":[{"name":"a"},{}]}`:   {"files[1]", `required fields are missing: "name"`},
		`{"mode":"read","files":[{"name":"SeCrEt"}]}`: {"files[0].name", `must be a string, at least 1 characters, at most 8 characters, matching "^[a-z.]+$"`},
		`{"mode":"read","files":[{"name":"a","size":""}]}`: {
			"files[0].size", "must be an integer or null"},
		`{"mode":"read","files":[{"name":"a","SeCrEt":1}]}`: {"files[0]", `has an unknown field; the known ones are "name", "size"`},
		`{"mode":"read","env":{"SeCrEt":{"limit":101}}}`:    {"env.*.limit", "must be an integer, at least 1, at most 100"},
		`{"mode":"read","pair":[1]}`:                        {"pair", "must be an array, at least 2 elements, at most 2 elements"},
		`{"mode":"read","at":"SeCrEt"}`:                     {"at", "must be a string, in the format date-time, that time.Time can hold"},
		`{"mode":"read","until":"SeCrEt"}`:                  {"until", "must be a string or null, in the format date-time, that *time.Time can hold"},
		`{"mode":"read","data":"SeCrEt!"}`:                  {"data", "must be a string or null, in base64, that []uint8 can hold"},
		`{"mode":"read","number":"SeCrEt"}`:                 {"number", "must be a number"},
		`{"mode":"read","address":"SeCrEt"}`:                {"address", "must be a string, that netip.Addr can hold"},
		`{"mode":"read","loud":["SeCrEt"]}`:                 {"loud", "must be JSON, that endpoint.Loud can hold"},
		`{"mode":"read","hosts":{"SeCrEt":1}}`:              {"hosts", "must be an object or null, that map[netip.Addr]int can hold"},
	}
	tool := typed[everything](t, nil)
	for text, want := range tests {
		_, err := tool.Run(t.Context(), parameters(t, text))
		var got *ToolParameterError
		if !errors.As(err, &got) || *got != want {
			t.Errorf("%s:\ngot  %v\nwant %v", text, err, &want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s is repeated: %v", text, err)
		}
	}
	for _, field := range []string{"private", "Hidden", "hidden", "paging", "Mode"} {
		_, err := tool.Run(t.Context(), parameters(t, `{"mode":"read","`+field+`":"SeCrEt"}`))
		if err == nil || !strings.HasPrefix(err.Error(), "endpoint: tool parameters: has an unknown field; the known ones are ") {
			t.Errorf("field %s: got %v", field, err)
		}
	}
}

// TestTypedUnknownIgnored: fields that are not known are left out at each
// depth, also those that encoding/json would take for known ones.
func TestTypedUnknownIgnored(t *testing.T) {
	tool := typed[everything](t, &ToolOptions{IgnoreUnknown: true})
	got, err := tool.Run(t.Context(), parameters(t, `{
		"mode":"read", "MODE":"forbidden", "more":1, "env":{"a":{"limit":5,"LIMIT":1000},"b":{"LIMIT":1000}},
		"files":[{"name":"a","Name":"NOT","other":{}}], "any":{"kept":1}, "raw":{"kept":1}, "Hidden":"h", "Plain":"p", "plain":"NOT"}`))
	want := everything{
		Mode: "read", Plain: "p", Env: map[string]paging{"a": {5}, "b": {}}, Files: []fileSpec{{Name: "a"}},
		Any: map[string]any{"kept": json.Number("1")}, Raw: json.RawMessage(`{"kept":1}`),
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := tool.Run(t.Context(), parameters(t, `{"mode":"read","files":[{"Name":"a"}]}`)); err == nil || err.Error() != `endpoint: tool parameter "files[0]": required fields are missing: "name"` {
		t.Errorf("got %v", err)
	}
	if strings.Contains(tool.InputSchema.String(), `"additionalProperties":false`) {
		t.Errorf("the schema is closed: %s", tool.InputSchema)
	}
}

// TestTypedWithoutParameters: a struct without fields takes none; a map takes
// all.
func TestTypedWithoutParameters(t *testing.T) {
	tool := typed[struct{}](t, nil)
	for _, text := range []string{"", "null", "{}"} {
		if _, err := tool.Run(t.Context(), parameters(t, text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := tool.Run(t.Context(), parameters(t, `{"a":1}`)); err == nil || err.Error() != "endpoint: tool parameters: must have no fields" {
		t.Errorf("got %v", err)
	}
	if got, want := tool.InputSchema.String(), `{"type":"object","additionalProperties":false}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	free := typed[map[string]int](t, nil)
	if got, err := free.Run(t.Context(), parameters(t, `{"a":1,"A":2}`)); err != nil || !reflect.DeepEqual(got, map[string]int{"a": 1, "A": 2}) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := free.Run(t.Context(), parameters(t, `{"a":"x"}`)); err == nil || err.Error() != `endpoint: tool parameter "*": must be an integer` {
		t.Errorf("got %v", err)
	}
}

// TestTypedExponents: huge exponents do not take huge memory or time.
func TestTypedExponents(t *testing.T) {
	tool := typed[struct {
		N []float64 `json:"n" minimum:"0"`
	}](t, nil)
	text := `{"n":[` + strings.Repeat(`1e-1000000,`, 10_000) + `1]}`
	v := parameters(t, text)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := tool.Run(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 64<<20 {
		t.Errorf("%d bytes allocated for %d", allocated, len(text))
	}
}

// TestTypedOnDevice: a typed tool is listed with its schema, called with what
// fits, and its failures say what does not.
func TestTypedOnDevice(t *testing.T) {
	type copyFile struct {
		From string `json:"from" jsonschema:"where it is"`
		To   string `json:"to"`
	}
	calls := 0
	made, err := NewTool("copy", func(_ context.Context, p copyFile) (string, error) {
		calls++
		return p.From + "->" + p.To, nil
	}, &ToolOptions{Type: messages.ToolDataCollection, Namespace: "files", Title: "Copy", Description: "copies a file"})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		server, _, _ := runDevice(t, DeviceOptions{Tools: []Tool{made}})
		ask := func(id, tool string, p any) map[string]any {
			t.Helper()
			m := command(id, tool)
			action := m["actions"].([]any)[0].(object)
			action["parameters"], action["tool_type"] = p, "data_collection"
			server.send(m)
			return server.receive()["action_results"].([]any)[0].(map[string]any)
		}
		want := `[{"description":"copies a file","input_schema":{"additionalProperties":false,"properties":{` +
			`"from":{"description":"where it is","type":"string"},"to":{"type":"string"}},"required":["from","to"],"type":"object"},` +
			`"namespace":"files","output_schema":{"type":"string"},"title":"Copy","tool_key":"data_collection::copy","tool_name":"copy","tool_type":"data_collection"}]`
		var infos []map[string]any
		for _, info := range ask("r1", "list_tools", nil)["result"].([]any) {
			infos = append(infos, info.(map[string]any))
		}
		if got := marshal(t, infos); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if r := ask("r2", "copy", object{"from": "a", "to": "b"}); r["status"] != "success" || r["result"] != "a->b" || r["namespace"] != "files" {
			t.Errorf("got %v", r)
		}
		r := ask("r3", "copy", object{"from": "a", "to": 5})
		if r["status"] != "failure" || r["error"] != `endpoint: tool parameter "to": must be a string` || r["namespace"] != "files" || calls != 1 {
			t.Errorf("got %v, %d calls", r, calls)
		}
	})
}

// TestTypedRunError: the results and errors of run are passed on.
func TestTypedRunError(t *testing.T) {
	made, err := NewTool("t", func(context.Context, struct{}) (int, error) { return 7, io.ErrUnexpectedEOF }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := made.Run(t.Context(), messages.Value{}); got != 7 || err != io.ErrUnexpectedEOF {
		t.Errorf("got %v, %v", got, err)
	}
}
