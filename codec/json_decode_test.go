package codec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
)

// wrongFields returns "path rule" for each field that err reports.
func wrongFields(err error) []string {
	var invalid *messages.ValidationError
	if !errors.As(err, &invalid) {
		return []string{fmt.Sprint(err)}
	}
	out := make([]string, len(invalid.Fields))
	for i, field := range invalid.Fields {
		out[i] = strings.TrimSpace(field.Path + " " + field.Rule)
	}
	return out
}

func TestDecodeReportsEveryField(t *testing.T) {
	for _, test := range []struct {
		model, text string
		want        []string
	}{
		{"ClientMessage", `{}`, []string{"type required", "status required"}},
		{"ClientMessage", `[]`, []string{"type"}},
		{"ClientMessage", ` null `, []string{"type"}},
		{"ClientMessage", `{"type":"x","status":5,"client_type":null,"session_id":1,"task_name":[],"client_id":{},"target_id":true,` +
			`"request":1,"action_results":{},"timestamp":1,"request_id":1,"prev_response_id":1,"error":1,"metadata":"m"}`,
			[]string{"type enum", "status type", "client_type type", "session_id type", "task_name type", "client_id type",
				"target_id type", "request type", "action_results type", "timestamp type", "request_id type",
				"prev_response_id type", "error type", "metadata type"}},
		{"ClientMessage", `{"type":"","status":null,"action_results":[{"status":"success"},null,{"result":1},{"status":"x","error":1,"namespace":2,"call_id":3},[]]}`,
			[]string{"type enum", "status type", "action_results[1] type", "action_results[2].status required",
				"action_results[3].status enum", "action_results[3].error type", "action_results[3].namespace type",
				"action_results[3].call_id type", "action_results[4] type"}},
		{"ServerMessage", `{"status":"OK","user_request":1,"agent_name":1,"process_name":1,"root_name":1,"actions":[{}],` +
			`"messages":["a",1,null],"error":1,"session_id":1,"task_name":1,"timestamp":1,"response_id":1,"result":1}`,
			[]string{"status enum", "user_request type", "agent_name type", "process_name type", "root_name type",
				"actions[0].tool_name required", "actions[0].tool_type required", "messages[1] type", "messages[2] type",
				"error type", "session_id type", "task_name type", "timestamp type", "response_id type", "type required"}},
		{"ServerMessage", `{"type":"register","status":"ok","actions":"a","messages":{}}`,
			[]string{"type enum", "actions type", "messages type"}},
		{"Command", `{"tool_name":null,"parameters":[],"tool_type":"x","call_id":1}`,
			[]string{"tool_name type", "parameters type", "tool_type enum", "call_id type"}},
		{"Result", `{"result":{}}`, []string{"status required"}},
		{"Rect", `{"x":1.5,"y":"1","width":null,"height":1e20}`,
			[]string{"x type", "y type", "width type", "height type"}},
		{"Rect", `{}`, []string{"x required", "y required", "width required", "height required"}},
		{"ControlInfo", `{"handle":"h","rectangle":{"x":1,"y":2,"width":true},"is_enabled":1,"is_visible":"x"}`,
			[]string{"handle type", "rectangle.width type", "rectangle.height required", "is_enabled type", "is_visible type"}},
		{"ControlInfo", `{"annotation_id":1,"name":1,"title":1,"class_name":1,"rectangle":1,"control_type":1,"automation_id":1,"source":1,"text_content":1}`,
			[]string{"annotation_id type", "name type", "title type", "class_name type", "rectangle type", "control_type type",
				"automation_id type", "source type", "text_content type"}},
		{"WindowInfo", `{"name":1,"process_id":"1","process_name":1,"is_minimized":1,"is_maximized":1,"is_active":1}`,
			[]string{"name type", "process_id type", "process_name type", "is_minimized type", "is_maximized type", "is_active type"}},
		{"AppWindowControlInfo", `{"window_info":{"rectangle":{"x":1}},"controls":[{"name":1},1]}`,
			[]string{"window_info.rectangle.y required", "window_info.rectangle.width required",
				"window_info.rectangle.height required", "controls[0].name type", "controls[1] type"}},
		{"AppWindowControlInfo", `{"window_info":null,"controls":1}`, []string{"window_info type", "controls type"}},
		{"AppWindowControlInfo", `{}`, []string{"window_info required"}},
		{"MCPToolInfo", `{"title":1,"description":1,"input_schema":1,"output_schema":1,"meta":1,"annotations":1}`,
			[]string{"title type", "description type", "input_schema type", "output_schema type", "meta type", "annotations type",
				"tool_key required", "tool_name required", "namespace required", "tool_type required"}},
		{"MCPToolInfo", `{"tool_key":null,"tool_name":1,"namespace":[],"tool_type":{}}`,
			[]string{"tool_key type", "tool_name type", "namespace type", "tool_type type"}},
		{"BinaryMetadata", `{"type":"other","filename":1,"mime_type":1,"checksum":1,"session_id":1,"description":1,"timestamp":1}`,
			[]string{"type enum", "filename type", "mime_type type", "checksum type", "session_id type", "description type",
				"timestamp type", "size required"}},
		{"BinaryMetadata", `{"type":null,"size":9223372036854775808}`, []string{"type type", "size type"}},
		{"FileTransferStart", `{"type":"binary_data","mime_type":1,"session_id":1,"description":1}`,
			[]string{"type enum", "mime_type type", "session_id type", "description type", "filename required",
				"size required", "chunk_size required", "total_chunks required"}},
		{"FileTransferComplete", `{"checksum":1,"session_id":1}`,
			[]string{"checksum type", "session_id type", "filename required", "total_chunks required"}},
		{"ChunkMetadata", `{"checksum":1}`, []string{"checksum type", "chunk_num required", "chunk_size required"}},
	} {
		_, err := codec.JSON{}.Validate(test.model, []byte(test.text))
		if got := wrongFields(err); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s %s:\n got %q\nwant %q", test.model, test.text, got, test.want)
		}
		if !errors.Is(err, messages.ErrInvalid) {
			t.Errorf("%v does not match ErrInvalid", err)
		}
	}
}

func TestDecodeNotAnObject(t *testing.T) {
	for _, name := range codec.Models() {
		for _, text := range []string{`[]`, `[{}]`, `null`, `"x"`, `5`} {
			_, err := codec.JSON{}.Validate(name, []byte(text))
			if got := wrongFields(err); !reflect.DeepEqual(got, []string{"type"}) {
				t.Errorf("%s from %s: %q", name, text, got)
			}
		}
	}
}

// A key given again replaces the value before it, and what was wrong with it.
func TestDecodeLastKeyWins(t *testing.T) {
	for _, test := range []struct{ model, text, want string }{
		{"ClientMessage", `{"type":5,"status":"x","type":"task","status":"ok","action_results":[null,{}],"action_results":null,` +
			`"metadata":[],"metadata":{"a":1},"client_id":1,"client_id":"c","client_\u0069d":"d"}`,
			`{"type":"task","status":"ok","client_type":"device","client_id":"d","metadata":{"a":1}}`},
		{"ServerMessage", `{"type":"task","status":"ok","result":1,"result":null,"messages":["a"],"messages":[],"error":"e","error":null}`,
			`{"type":"task","status":"ok","messages":[]}`},
		{"AppWindowControlInfo", `{"window_info":{"title":"a","rectangle":1},"window_info":{"name":"b"},"controls":[1],"controls":[]}`,
			`{"window_info":{"name":"b"},"controls":[]}`},
		{"BinaryMetadata", `{"size":"x","size":1,"a":1,"b":2,"a":3}`, `{"type":"binary_data","size":1,"a":3,"b":2}`},
	} {
		m := codec.NewModel(test.model)
		if err := (codec.JSON{}).Decode([]byte(test.text), m); err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if got, err := (codec.JSON{}).Append(nil, m); err != nil || string(got) != test.want {
			t.Errorf("%s:\n got %s, %v\nwant %s", test.text, got, err, test.want)
		}
	}
}

// Only the same key takes back what was wrong, not one that looks like its
// path in the report.
func TestDecodeOtherKeysTakeNothingBack(t *testing.T) {
	for _, test := range []struct {
		model, text string
		want        []string
	}{
		{"ClientMessage", `{"error":1,"status":"ok","type":"task","error_text":"x","ERROR":"x","":"x","type":"x"}`, []string{"error type", "type enum"}},
		{"ClientMessage", `{"type":"command_results","status":"ok","action_results":[{}],"action_results[0]":1}`, []string{"action_results[0].status required"}},
		{"ClientMessage", `{"type":"command_results","status":"ok","action_results":[{}],"action_results[0].status":1}`, []string{"action_results[0].status required"}},
		{"ClientMessage", `{"type":"command_results","status":"ok","action_results":[{},5],"[0]":1,"[1]":1}`, []string{"action_results[0].status required", "action_results[1] type"}},
		{"ServerMessage", `{"type":"command","status":"ok","messages":[5],"messages[0]":1}`, []string{"messages[0] type"}},
		{"ControlInfo", `{"rectangle":{"x":1,"y":1,"width":1},"rectangle.height":1}`, []string{"rectangle.height required"}},
		{"ControlInfo", `{"rectangle":{"x":"","y":1,"width":1,"height":1,"rectangle.x":1,"rectangle":1},"x":1}`, []string{"rectangle.x type"}},
		{"AppWindowControlInfo", `{"window_info":{"rectangle":5},"window_info.rectangle":null}`, []string{"window_info.rectangle type"}},
	} {
		_, err := codec.JSON{}.Validate(test.model, []byte(test.text))
		if got := wrongFields(err); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s %s:\n got %q\nwant %q", test.model, test.text, got, test.want)
		}
	}
}

// A list of many wrong elements is not described in full.
func TestDecodeBoundsTheReport(t *testing.T) {
	text := `{"type":"command_results","status":"ok","client_id":1,"action_results":[` +
		strings.TrimSuffix(strings.Repeat(`{},`, 1000), ",") + `],"error":1}`
	_, err := codec.JSON{}.Validate("ClientMessage", []byte(text))
	fields := wrongFields(err)
	if len(fields) != 103 || fields[1] != "action_results[0].status required" || fields[101] != "action_results more" || fields[102] != "error type" {
		t.Errorf("%d fields: %q", len(fields), fields)
	}
	if !strings.Contains(err.Error(), "action_results has 900 more wrong elements") {
		t.Errorf("the error is %.200s", err)
	}
	if _, err := (codec.JSON{}).Validate("ClientMessage", []byte(strings.Replace(text, `,"error":1`, `,"action_results":[],"client_id":""`, 1))); err != nil {
		t.Errorf("replaced by an empty list: %v", err)
	}
}

// A free-form value is kept as it came: digits that no number type holds, and
// keys given twice, of which whoever decodes it takes the last.
func TestDecodeKeepsFreeFormText(t *testing.T) {
	digits := strings.Repeat("1234567890", 500)
	text := `{"status":"none","result":{"n":` + digits + `,"f":1E+2,"z":-0,"k":{"a":1},"k":{"b":2}}}`
	var r messages.Result
	if err := (codec.JSON{}).Decode([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	for _, style := range []codec.Style{codec.Compact, codec.Reference} {
		if got, err := (codec.JSON{Style: style}).Append(nil, &r); err != nil || !strings.Contains(string(got), r.Result.String()) {
			t.Errorf("style %d: %s, %v", style, got, err)
		}
	}
	var got map[string]any
	if err := r.Result.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"n": json.Number(digits), "f": json.Number("1E+2"), "z": json.Number("-0"), "k": map[string]any{"b": json.Number("2")}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %v", got)
	}
}

// A list of wrong elements costs less memory than its text: nothing of it is
// kept.
func TestDecodeWrongElementsCostNoMemory(t *testing.T) {
	const count = 300_000
	for _, test := range []struct{ model, head, element, tail string }{
		{"ClientMessage", `{"type":"command_results","status":"ok","action_results":[`, `0`, `]}`},
		{"ClientMessage", `{"type":"command_results","status":"ok","action_results":[`, `{}`, `]}`},
		{"ServerMessage", `{"type":"command","status":"ok","actions":[`, `{}`, `]}`},
		{"ServerMessage", `{"type":"command","status":"ok","messages":[`, `0`, `]}`},
		{"AppWindowControlInfo", `{"window_info":{},"controls":[`, `0`, `]}`},
	} {
		text := []byte(test.head + strings.Repeat(test.element+",", count) + test.element + test.tail)
		m := codec.NewModel(test.model)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := codec.JSON{}.Decode(text, m)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, messages.ErrInvalid) {
			t.Errorf("%s: %v", test.head, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > uint64(len(text)) {
			t.Errorf("%s%s...: %d bytes of text cost %d", test.head, test.element, len(text), used)
		}
	}
}

func TestDecodeIntegers(t *testing.T) {
	for text, want := range map[string]int64{
		`5`: 5, `-5`: -5, `0`: 0, `-0`: 0, `5.0`: 5, `1e3`: 1000, `-2.50e1`: -25, `0.0`: 0, `-0.0`: 0, `1E0`: 1,
		`9223372036854775807`: 1<<63 - 1, `-9223372036854775808`: -1 << 63, `9007199254740993`: 9007199254740993, `1e-400`: 0, `1.5e-1000000000000`: 0, `0e1000000000`: 0, `100e-2`: 1, `-9223372036854774784.0`: -9223372036854774784,
	} {
		var m messages.ChunkMetadata
		if err := (codec.JSON{}).Decode([]byte(`{"chunk_num":0,"chunk_size":`+text+`}`), &m); err != nil || m.ChunkSize != want {
			t.Errorf("%s: %d, %v", text, m.ChunkSize, err)
		}
	}
	for _, text := range []string{`5.5`, `1e20`, `1e400`, `9223372036854775808`, `9223372036854775808.0`, `-9223372036854775809`,
		// As the reference, which takes -2^63 as an integer only.
		`-9223372036854775808.0`, `-9.223372036854775808e18`,
		`1e1000000000`, `-1e1000000000`, `"5"`, `true`, `null`, `[]`} {
		var m messages.ChunkMetadata
		if err := (codec.JSON{}).Decode([]byte(`{"chunk_num":0,"chunk_size":`+text+`}`), &m); !errors.Is(err, messages.ErrInvalid) {
			t.Errorf("%s: %d, %v", text, m.ChunkSize, err)
		}
	}
}

func TestDecodeSyntaxError(t *testing.T) {
	for text, offset := range map[string]int{
		``: 0, `{`: 1, `{"type":"heartbeat","status":"ok"} x`: 35, "\ufeff{}": 0, `{"type":"x","unknown":{"a":01}}`: 28,
		`{"type":tru}`: 8, `{"action_results":[{"status":"none",}]}`: 36, `{"metadata":{"a":"\ud800"}}`: 18, "{\"error\":\"\xff\"}": 10,
	} {
		_, err := codec.JSON{}.Validate("ClientMessage", []byte(text))
		var syntax *codec.SyntaxError
		if !errors.As(err, &syntax) || syntax.Offset != offset || syntax.Reason == "" {
			t.Errorf("%q: %v, want a SyntaxError at %d", text, err, offset)
		}
		if errors.Is(err, messages.ErrInvalid) {
			t.Errorf("%q: %v matches ErrInvalid", text, err)
		}
	}
}

func TestDecodeLimits(t *testing.T) {
	deep := func(arrays int, inside string) []byte {
		return []byte(`{"type":"heartbeat","status":"ok","metadata":{"k":` + strings.Repeat("[", arrays) + inside + strings.Repeat("]", arrays) + `}}`)
	}
	for _, test := range []struct {
		c      codec.JSON
		arrays int
		inside string
		want   error
	}{
		// The reference: a value may lie in 200, the message and the metadata included.
		{codec.JSON{}, 198, "1", nil},
		{codec.JSON{}, 199, "", nil},
		{codec.JSON{}, 199, "1", codec.ErrTooDeep},
		{codec.JSON{}, 198, "{}", nil},
		{codec.JSON{}, 198, "[null]", codec.ErrTooDeep},
		{codec.JSON{}, 200, "", codec.ErrTooDeep},
		{codec.JSON{MaxDepth: 2}, 0, "1", nil},
		{codec.JSON{MaxDepth: 2}, 1, "", nil},
		{codec.JSON{MaxDepth: 2}, 1, "1", codec.ErrTooDeep},
		{codec.JSON{MaxDepth: 1}, 0, "1", codec.ErrTooDeep},
		{codec.JSON{MaxDepth: -1}, 100_000, "1", nil},
		{codec.JSON{MaxSize: len(deep(9, "1"))}, 9, "1", nil},
		{codec.JSON{MaxSize: len(deep(9, "1")) - 1}, 9, "1", codec.ErrTooLarge},
		{codec.JSON{MaxSize: -1}, 9, "1", nil},
	} {
		var m messages.ClientMessage
		err := test.c.Decode(deep(test.arrays, test.inside), &m)
		if !errors.Is(err, test.want) {
			t.Errorf("%+v, %s in %d arrays: %v, want %v", test.c, test.inside, test.arrays, err, test.want)
		}
		if (err == nil) == m.Metadata.IsZero() {
			t.Errorf("%+v, %s in %d arrays: %v, and metadata of %d bytes", test.c, test.inside, test.arrays, err, m.Metadata.Len())
		}
	}
	// Depth counts wherever it is, in what is ignored, replaced and typed.
	for _, text := range []string{
		`{"x":` + strings.Repeat("[", 201) + strings.Repeat("]", 201) + `}`,
		`{"x":` + strings.Repeat("[", 200) + "1" + strings.Repeat("]", 200) + `}`,
		`{"metadata":{"x":` + strings.Repeat("[", 199) + "1" + strings.Repeat("]", 199) + `},"metadata":{}}`,
		`{"action_results":[{"result":` + strings.Repeat("[", 199) + strings.Repeat("]", 199) + `}]}`,
		`{"action_results":` + strings.Repeat(`[`, 300),
	} {
		if _, err := (codec.JSON{}).Validate("ClientMessage", []byte(text)); !errors.Is(err, codec.ErrTooDeep) {
			t.Errorf("%.40s: %v, want ErrTooDeep", text, err)
		}
	}
	if err := (codec.JSON{}).Decode(make([]byte, codec.DefaultMaxSize+1), new(messages.Rect)); !errors.Is(err, codec.ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
}

// Nothing of a decoded message shares memory with the input.
func TestDecodeCopies(t *testing.T) {
	for model, text := range map[string]string{
		"ClientMessage": `{"type":"task","status":"ok","client_type":"device","client_id":"abc","request":"a\nb","action_results":[` +
			`{"status":"none","result":"r","call_id":"c"}],"metadata":{"k":[1,2]}}`,
		"ServerMessage":  `{"type":"command","status":"ok","actions":[{"tool_name":"t","tool_type":"action"}],"messages":["m","\t"],"result":{"a":1}}`,
		"MCPToolInfo":    `{"tool_key":"k","tool_name":"t","namespace":"n","tool_type":"action","meta":{"a":1}}`,
		"BinaryMetadata": `{"type":"binary_data","filename":"f","size":1,"extra":"e","\u0022":2}`,
	} {
		data := []byte(text)
		m := codec.NewModel(model)
		if err := (codec.JSON{}).Decode(data, m); err != nil {
			t.Errorf("%s: %v", model, err)
			continue
		}
		for i := range data {
			data[i] = 'x'
		}
		want := strings.Replace(text, `"\u0022"`, `"\""`, 1)
		if got, err := (codec.JSON{}).Append(nil, m); err != nil || string(got) != want {
			t.Errorf("%s became %s, %v", model, got, err)
		}
	}
}

// On an error the target is as it was; on success nothing of it is left.
func TestDecodeReplaces(t *testing.T) {
	before := messages.ServerMessage{Type: "task", Error: "old", Messages: []string{"old"}, Result: messages.TrustedValue([]byte("1"))}
	for _, text := range []string{`{"type":"heartbeat"}`, `{"type":"heartbeat","status":"ok"`, `[]`} {
		m := before
		if err := (codec.JSON{}).Decode([]byte(text), &m); err == nil || !reflect.DeepEqual(m, before) {
			t.Errorf("%s: %v, and the message is %+v", text, err, m)
		}
	}
	m := before
	if err := (codec.JSON{}).Decode([]byte(`{"type":"heartbeat","status":"ok"}`), &m); err != nil ||
		!reflect.DeepEqual(m, messages.ServerMessage{Type: "heartbeat", Status: "ok"}) {
		t.Errorf("%v, and the message is %+v", err, m)
	}
}

// A binary model that does not say its type is of the one it can be.
func TestDecodeFillsTheType(t *testing.T) {
	var data messages.BinaryMetadata
	var start messages.FileTransferStart
	var complete messages.FileTransferComplete
	for text, m := range map[string]any{
		`{"size":1}`: &data,
		`{"filename":"f","size":1,"chunk_size":1,"total_chunks":1}`: &start,
		`{"filename":"f","total_chunks":1}`:                         &complete,
	} {
		if err := (codec.JSON{}).Decode([]byte(text), m); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if data.Type != "binary_data" || start.Type != "file_transfer_start" || complete.Type != "file_transfer_complete" {
		t.Errorf("types %q, %q and %q", data.Type, start.Type, complete.Type)
	}
}

func TestDecodeManyExtraFields(t *testing.T) {
	var text strings.Builder
	text.WriteString(`{"size":1`)
	for i := range 100 {
		fmt.Fprintf(&text, `,"k%d":%d`, i%50, i)
	}
	text.WriteString(`,"\u006b0":null}`)
	var m messages.BinaryMetadata
	if err := (codec.JSON{}).Decode([]byte(text.String()), &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Extra) != 50 {
		t.Fatalf("%d extra fields", len(m.Extra))
	}
	for i, member := range m.Extra {
		want := fmt.Sprint(i + 50)
		if i == 0 {
			want = "null"
		}
		if member.Key != fmt.Sprintf("k%d", i) || member.Value.String() != want {
			t.Errorf("field %d is %s: %s", i, member.Key, member.Value)
		}
	}
}

func TestNotAModel(t *testing.T) {
	wrong := []any{nil, 5, messages.ClientMessage{}, new(string)}
	for _, name := range codec.Models() {
		wrong = append(wrong, reflect.Zero(reflect.TypeOf(codec.NewModel(name))).Interface())
	}
	for _, m := range wrong {
		if err := (codec.JSON{}).Decode([]byte(`{}`), m); !errors.Is(err, codec.ErrModel) {
			t.Errorf("Decode into %T: %v", m, err)
		}
		if out, err := (codec.JSON{}).Append([]byte("x"), m); !errors.Is(err, codec.ErrModel) || string(out) != "x" {
			t.Errorf("Append of %T: %q, %v", m, out, err)
		}
	}
	if _, err := (codec.JSON{}).Validate("clientmessage", nil); !errors.Is(err, codec.ErrModel) {
		t.Errorf("Validate: %v", err)
	}
	if names := codec.Models(); len(names) != 13 {
		t.Errorf("models: %v", names)
	}
	for _, name := range codec.Models() {
		if m := codec.NewModel(name); reflect.TypeOf(m).Elem().Name() != name {
			t.Errorf("NewModel(%s) is a %T", name, m)
		}
	}
}

// No part of the input is in an error: errors go to logs and to the peer.
func TestDecodeDoesNotEcho(t *testing.T) {
	const secret = "hunter2"
	for _, text := range []string{
		`{"type":"hunter2","status":"hunter2","client_type":"hunter2","metadata":"hunter2","hunter2":1}`,
		`{"hunter2"}`, `hunter2`, `{"type":hunter2}`,
	} {
		if _, err := (codec.JSON{}).Validate("ClientMessage", []byte(text)); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Unknown fields, and known ones in another case, are ignored.
func TestDecodeIgnoresUnknown(t *testing.T) {
	for model, text := range map[string]string{
		"ClientMessage":        `{"type":"task","status":"ok","client_type":"device"}`,
		"ServerMessage":        `{"type":"task","status":"ok"}`,
		"Command":              `{"tool_name":"","tool_type":"action"}`,
		"Result":               `{"status":"none"}`,
		"Rect":                 `{"x":1,"y":2,"width":3,"height":4}`,
		"ControlInfo":          `{"name":"n"}`,
		"WindowInfo":           `{"name":"n","is_active":true}`,
		"AppWindowControlInfo": `{"window_info":{}}`,
		"MCPToolInfo":          `{"tool_key":"","tool_name":"","namespace":"","tool_type":""}`,
	} {
		more := strings.Replace(text, "{", `{"unknown":{"type":[1]},"Type":1,"STATUS":null,"Name":2,"request_ID":{},`, 1)
		m := codec.NewModel(model)
		if err := (codec.JSON{}).Decode([]byte(more), m); err != nil {
			t.Errorf("%s: %v", model, err)
			continue
		}
		if got, err := (codec.JSON{}).Append(nil, m); err != nil || string(got) != text {
			t.Errorf("%s: %s, %v, want %s", model, got, err, text)
		}
	}
}
