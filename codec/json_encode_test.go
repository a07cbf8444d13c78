package codec_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
)

func TestAppendStyles(t *testing.T) {
	value := messages.TrustedValue([]byte(" {\"b\\u00e9\" : [ 1.50 , null ],\n\"a\":1e2} "))
	extra := messages.Object{{Key: "é", Value: value}, {Key: "n"}}
	for _, test := range []struct {
		m                  any
		compact, reference string
	}{
		{&messages.ClientMessage{},
			`{"type":"","status":""}`,
			`{"type":"","status":"","client_type":"device","session_id":null,"task_name":null,"client_id":null,"target_id":null,` +
				`"request":null,"action_results":null,"timestamp":null,"request_id":null,"prev_response_id":null,"error":null,"metadata":null}`},
		{&messages.ClientMessage{Type: "task", Status: "ok", ClientType: "constellation", SessionID: "s", TaskName: "n", ClientID: "c",
			TargetID: "t", Request: "<é\n\"", ActionResults: []messages.Result{{Status: "none"}, {Status: "success", Error: "e", Result: value,
				Namespace: "ns", CallID: "id"}}, Timestamp: "ts", RequestID: "q", PrevResponseID: "p", Error: "e", Metadata: value},
			`{"type":"task","status":"ok","client_type":"constellation","session_id":"s","task_name":"n","client_id":"c","target_id":"t",` +
				`"request":"<é\n\"","action_results":[{"status":"none"},{"status":"success","error":"e","result":` + value.String() +
				`,"namespace":"ns","call_id":"id"}],"timestamp":"ts","request_id":"q","prev_response_id":"p","error":"e","metadata":` + value.String() + `}`,
			`{"type":"task","status":"ok","client_type":"constellation","session_id":"s","task_name":"n","client_id":"c","target_id":"t",` +
				`"request":"<é\n\"","action_results":[{"status":"none","error":null,"result":null,"namespace":null,"call_id":null},` +
				`{"status":"success","error":"e","result":{"bé":[1.50,null],"a":1e2},"namespace":"ns","call_id":"id"}],"timestamp":"ts",` +
				`"request_id":"q","prev_response_id":"p","error":"e","metadata":{"bé":[1.50,null],"a":1e2}}`},
		{&messages.ServerMessage{Type: "command", Status: "continue", Actions: []messages.Command{{}, {ToolName: "t", Parameters: value,
			ToolType: "action", CallID: "c"}}, Messages: []string{"a", ""}, Result: messages.TrustedValue([]byte("null"))},
			`{"type":"command","status":"continue","actions":[{"tool_name":"","tool_type":""},{"tool_name":"t","parameters":` + value.String() +
				`,"tool_type":"action","call_id":"c"}],"messages":["a",""],"result":null}`,
			`{"type":"command","status":"continue","user_request":null,"agent_name":null,"process_name":null,"root_name":null,` +
				`"actions":[{"tool_name":"","parameters":null,"tool_type":"","call_id":null},{"tool_name":"t",` +
				`"parameters":{"bé":[1.50,null],"a":1e2},"tool_type":"action","call_id":"c"}],"messages":["a",""],"error":null,` +
				`"session_id":null,"task_name":null,"timestamp":null,"response_id":null,"result":null}`},
		{&messages.ServerMessage{Type: "command", Status: "ok", Actions: []messages.Command{}, Messages: []string{}},
			`{"type":"command","status":"ok","actions":[],"messages":[]}`,
			`{"type":"command","status":"ok","user_request":null,"agent_name":null,"process_name":null,"root_name":null,"actions":[],` +
				`"messages":[],"error":null,"session_id":null,"task_name":null,"timestamp":null,"response_id":null,"result":null}`},
		{&messages.ControlInfo{Handle: new(int64(0)), Rectangle: &messages.Rect{X: -1, Width: 2}, IsEnabled: new(false)},
			`{"handle":0,"rectangle":{"x":-1,"y":0,"width":2,"height":0},"is_enabled":false}`,
			`{"annotation_id":null,"name":null,"title":null,"handle":0,"class_name":null,"rectangle":{"x":-1,"y":0,"width":2,"height":0},` +
				`"control_type":null,"automation_id":null,"is_enabled":false,"is_visible":null,"source":null,"text_content":null}`},
		{&messages.AppWindowControlInfo{Controls: []messages.ControlInfo{{}, {}}},
			`{"window_info":{},"controls":[{},{}]}`,
			`{"window_info":{"annotation_id":null,"name":null,"title":null,"handle":null,"class_name":null,"rectangle":null,` +
				`"control_type":null,"automation_id":null,"is_enabled":null,"is_visible":null,"source":null,"text_content":null,` +
				`"process_id":null,"process_name":null,"is_minimized":null,"is_maximized":null,"is_active":null},"controls":[` +
				strings.TrimSuffix(strings.Repeat(`{"annotation_id":null,"name":null,"title":null,"handle":null,"class_name":null,"rectangle":null,`+
					`"control_type":null,"automation_id":null,"is_enabled":null,"is_visible":null,"source":null,"text_content":null},`, 2), ",") + `]}`},
		{&messages.MCPToolInfo{ToolKey: "action::t", Meta: value},
			`{"tool_key":"action::t","tool_name":"","namespace":"","tool_type":"","meta":` + value.String() + `}`,
			`{"tool_key":"action::t","tool_name":"","title":null,"namespace":"","tool_type":"","description":null,"input_schema":null,` +
				`"output_schema":null,"meta":{"bé":[1.50,null],"a":1e2},"annotations":null}`},
		{&messages.BinaryMetadata{Filename: "é", Size: 5, Extra: extra},
			`{"type":"binary_data","filename":"é","size":5,"é":` + value.String() + `,"n":null}`,
			`{"type": "binary_data", "filename": "\u00e9", "size": 5, "\u00e9": {"b\u00e9": [1.50, null], "a": 1e2}, "n": null}`},
		// The start and the end of a file, as the reference sends them.
		{&messages.FileTransferStart{Filename: "f.txt", Size: 7, ChunkSize: 3, TotalChunks: 3, MIMEType: "text/plain"},
			`{"type":"file_transfer_start","filename":"f.txt","size":7,"chunk_size":3,"total_chunks":3,"mime_type":"text/plain"}`,
			`{"type": "file_transfer_start", "filename": "f.txt", "size": 7, "chunk_size": 3, "total_chunks": 3, "mime_type": "text/plain"}`},
		{&messages.FileTransferStart{},
			`{"type":"file_transfer_start","filename":"","size":0,"chunk_size":0,"total_chunks":0}`,
			`{"type": "file_transfer_start", "filename": "", "size": 0, "chunk_size": 0, "total_chunks": 0, "mime_type": null}`},
		{&messages.FileTransferComplete{Filename: "f.txt", TotalChunks: 3, Checksum: "7ac66c0f148de9519b8bd264312c4d64"},
			`{"type":"file_transfer_complete","filename":"f.txt","total_chunks":3,"checksum":"7ac66c0f148de9519b8bd264312c4d64"}`,
			`{"type": "file_transfer_complete", "filename": "f.txt", "total_chunks": 3, "checksum": "7ac66c0f148de9519b8bd264312c4d64"}`},
		{&messages.FileTransferComplete{SessionID: "s"},
			`{"type":"file_transfer_complete","filename":"","total_chunks":0,"session_id":"s"}`,
			`{"type": "file_transfer_complete", "filename": "", "total_chunks": 0, "session_id": "s"}`},
		{&messages.ChunkMetadata{ChunkNum: 1, Extra: messages.Object{{Key: "x", Value: messages.TrustedValue([]byte(`"{"`))}}},
			`{"chunk_num":1,"chunk_size":0,"x":"{"}`,
			`{"chunk_num": 1, "chunk_size": 0, "x": "{"}`},
	} {
		for style, want := range map[codec.Style]string{codec.Compact: test.compact, codec.Reference: test.reference} {
			got, err := codec.JSON{Style: style}.Append([]byte("before{"), test.m)
			if err != nil || string(got) != "before{"+want {
				t.Errorf("%T in style %d:\n got %s, %v\nwant before{%s", test.m, style, got, err, want)
			}
		}
	}
}

func TestAppendRepairsUTF8(t *testing.T) {
	m := &messages.Result{Status: "failure", Error: "a\xff\xfeb"}
	for _, style := range []codec.Style{codec.Compact, codec.Reference} {
		got, err := codec.JSON{Style: style}.Append(nil, m)
		if err != nil || !bytes.Contains(got, []byte("\"a\ufffd\ufffdb\"")) {
			t.Errorf("got %s, %v", got, err)
		}
	}
}

// A member of Extra never stands beside or in for a declared field.
func TestAppendExtraIsUndeclared(t *testing.T) {
	for _, m := range []any{&messages.BinaryMetadata{}, &messages.FileTransferStart{}, &messages.FileTransferComplete{}, &messages.ChunkMetadata{}} {
		v := reflect.ValueOf(m).Elem()
		var declared, extra messages.Object
		for i := range v.NumField() {
			if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); name != "-" {
				declared.Set(name, messages.TrustedValue([]byte(`"stray"`)))
			}
		}
		extra = append(extra, messages.Member{Key: "Size"})
		for _, style := range []codec.Style{codec.Compact, codec.Reference} {
			c := codec.JSON{Style: style}
			v.FieldByName("Extra").Set(reflect.ValueOf(extra))
			want, err := c.Append(nil, m)
			if err != nil || !bytes.Contains(want, []byte(`"Size"`)) {
				t.Errorf("%T: %s, %v", m, want, err)
			}
			v.FieldByName("Extra").Set(reflect.ValueOf(append(declared, extra...)))
			if got, err := c.Append(nil, m); err != nil || string(got) != string(want) {
				t.Errorf("%T: %s, %v, want %s", m, got, err, want)
			}
		}
	}
}

func TestAppendErrors(t *testing.T) {
	m := &messages.ChunkMetadata{}
	size := len(`{"chunk_num":0,"chunk_size":0}`)
	for _, test := range []struct {
		c    codec.JSON
		want error
	}{
		{codec.JSON{MaxSize: size}, nil},
		{codec.JSON{MaxSize: size - 1}, codec.ErrTooLarge},
		{codec.JSON{MaxSize: -1}, nil},
		{codec.JSON{Style: 2}, codec.ErrStyle},
		{codec.JSON{Style: -1}, codec.ErrStyle},
	} {
		got, err := test.c.Append([]byte("before"), m)
		if !errors.Is(err, test.want) || !strings.HasPrefix(string(got), "before") || (err != nil && len(got) != len("before")) {
			t.Errorf("%+v: %q, %v, want %v", test.c, got, err, test.want)
		}
	}
	if name := (codec.JSON{}).Name(); name != "json" {
		t.Errorf("the name is %q", name)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	command := messages.NewCommand(messages.CommandRequest{SessionID: "s", Actions: []messages.Command{
		{ToolName: "t", Parameters: messages.TrustedValue([]byte(`{"a":[1,"b"]}`)), ToolType: messages.ToolAction}}})
	models := []any{
		messages.NewDeviceHeartbeat("device-1"), messages.NewHeartbeatReply(), command,
		messages.NewCommandResults("device-1", command, []messages.Result{{Status: messages.ResultSuccess}}),
		&messages.BinaryMetadata{Size: 5, Extra: messages.Object{{Key: "chunk_num", Value: messages.TrustedValue([]byte("1"))}}},
		&messages.Result{Result: messages.TrustedValue([]byte(`"caf\u00e9\n"`))}, &messages.WindowInfo{ProcessID: new(int64(5))},
	}
	for _, style := range []codec.Style{codec.Compact, codec.Reference} {
		var c codec.Codec = codec.JSON{Style: style}
		buf := make([]byte, 0, 4096)
		for _, m := range models {
			if n := testing.AllocsPerRun(100, func() { buf, _ = c.Append(buf[:0], m) }); n != 0 {
				t.Errorf("%T in style %d: %v allocations", m, style, n)
			}
		}
	}
}
