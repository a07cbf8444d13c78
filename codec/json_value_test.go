package codec_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// declared tells, for each model, its optional fields ("s" for a string, "o"
// for anything else) and the models nested in it. Absent, null and, for a
// string, empty are the same in an optional field.
var declared = map[string]map[string]string{
	"ClientMessage": {"client_type": "o", "session_id": "s", "task_name": "s", "client_id": "s", "target_id": "s",
		"request": "s", "action_results": "Result", "timestamp": "s", "request_id": "s", "prev_response_id": "s",
		"error": "s", "metadata": "o"},
	"ServerMessage": {"user_request": "s", "agent_name": "s", "process_name": "s", "root_name": "s",
		"actions": "Command", "messages": "o", "error": "s", "session_id": "s", "task_name": "s",
		"timestamp": "s", "response_id": "s", "result": "o"},
	"Command": {"parameters": "o", "call_id": "s"},
	"Result":  {"error": "s", "result": "o", "namespace": "s", "call_id": "s"},
	"ControlInfo": {"annotation_id": "s", "name": "s", "title": "s", "handle": "o", "class_name": "s",
		"rectangle": "o", "control_type": "s", "automation_id": "s", "is_enabled": "o", "is_visible": "o",
		"source": "s", "text_content": "s"},
	"WindowInfo": {"annotation_id": "s", "name": "s", "title": "s", "handle": "o", "class_name": "s",
		"rectangle": "o", "control_type": "s", "automation_id": "s", "is_enabled": "o", "is_visible": "o",
		"source": "s", "text_content": "s", "process_id": "o", "process_name": "s", "is_minimized": "o",
		"is_maximized": "o", "is_active": "o"},
	"AppWindowControlInfo": {"window_info": "WindowInfo", "controls": "ControlInfo"},
	"MCPToolInfo": {"title": "s", "description": "s", "input_schema": "o", "output_schema": "o", "meta": "o",
		"annotations": "o"},
	"BinaryMetadata": {"filename": "s", "mime_type": "s", "checksum": "s", "session_id": "s",
		"description": "s", "timestamp": "s"},
	"FileTransferStart":    {"mime_type": "s", "session_id": "s", "description": "s"},
	"FileTransferComplete": {"checksum": "s", "session_id": "s"},
	"ChunkMetadata":        {"checksum": "s"},
}

// sameValue reports whether two texts of a model are the same JSON value, by
// the rule at declared. Integers are compared digit by digit, other numbers as
// float64.
func sameValue(t testing.TB, model string, a, b []byte) bool {
	t.Helper()
	return reflect.DeepEqual(modelValue(t, model, a), modelValue(t, model, b))
}

func modelValue(t testing.TB, model string, data []byte) any {
	t.Helper()
	var v any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("not JSON: %v: %s", err, data)
	}
	return withoutUnset(model, withFloats(v))
}

// withoutUnset drops the optional fields of a model that are not set.
func withoutUnset(model string, v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = withoutUnset(model, v[i])
		}
	case map[string]any:
		for key, kind := range declared[model] {
			value, ok := v[key]
			switch {
			case !ok:
			case value == nil, kind == "s" && value == "":
				delete(v, key)
			case kind != "s" && kind != "o":
				v[key] = withoutUnset(kind, value)
			}
		}
	}
	return v
}

// withFloats replaces the numbers that are not written as integers.
func withFloats(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = withFloats(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = withFloats(v[key])
		}
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			f, err := strconv.ParseFloat(v.String(), 64)
			if err == nil {
				return f
			}
		}
	}
	return v
}
