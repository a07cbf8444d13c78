package messages_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/aip-go/aip/messages"
)

// wrong returns "path rule" for each field that err reports.
func wrong(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var invalid *messages.ValidationError
	if !errors.As(err, &invalid) || !errors.Is(err, messages.ErrInvalid) {
		t.Fatalf("%T %v is no ValidationError", err, err)
	}
	out := make([]string, len(invalid.Fields))
	for i, field := range invalid.Fields {
		out[i] = field.Path + " " + field.Rule
		if field.Message == "" || !strings.Contains(err.Error(), field.Message) || !strings.Contains(err.Error(), invalid.Model) {
			t.Errorf("%+v is not told in %q", field, err)
		}
	}
	return out
}

func TestValidate(t *testing.T) {
	list := mustValue(t, []int{1})
	object := mustValue(t, map[string]int{"a": 1})
	for name, test := range map[string]struct {
		m    interface{ Validate() error }
		want []string
	}{
		"client":       {&messages.ClientMessage{Type: "task", Status: "ok", Metadata: object, ActionResults: []messages.Result{}}, nil},
		"client empty": {&messages.ClientMessage{}, []string{"type required", "status required"}},
		"client all": {&messages.ClientMessage{Type: "command", Status: "OK", ClientType: "server", Metadata: list,
			ActionResults: []messages.Result{{Status: "none"}, {}, {Status: "x"}}},
			[]string{"type enum", "status enum", "client_type enum", "action_results[1].status required",
				"action_results[2].status enum", "metadata object"}},
		"client nil":   {(*messages.ClientMessage)(nil), []string{" required"}},
		"server":       {&messages.ServerMessage{Type: "task", Status: "ok", Result: list, Messages: []string{""}}, nil},
		"server empty": {&messages.ServerMessage{}, []string{"type required", "status required"}},
		"server all": {&messages.ServerMessage{Type: "register", Status: "x", Actions: []messages.Command{{ToolType: "action"}, {Parameters: list}}},
			[]string{"type enum", "status enum", "actions[1].parameters object", "actions[1].tool_type required"}},
		"server nil":      {(*messages.ServerMessage)(nil), []string{" required"}},
		"command":         {&messages.Command{ToolType: "data_collection", Parameters: object}, nil},
		"command null":    {&messages.Command{ToolType: "action", Parameters: mustValue(t, nil)}, nil},
		"command all":     {&messages.Command{ToolType: "tool", Parameters: list}, []string{"parameters object", "tool_type enum"}},
		"result":          {&messages.Result{Status: "skipped"}, nil},
		"result enum":     {&messages.Result{Status: "ok"}, []string{"status enum"}},
		"tool":            {&messages.MCPToolInfo{Meta: object}, nil},
		"tool all":        {&messages.MCPToolInfo{InputSchema: list, OutputSchema: list, Meta: list, Annotations: list}, []string{"input_schema object", "output_schema object", "meta object", "annotations object"}},
		"binary":          {&messages.BinaryMetadata{Type: "binary_data"}, nil},
		"binary unset":    {&messages.BinaryMetadata{}, nil},
		"binary other":    {&messages.BinaryMetadata{Type: "other"}, []string{"type enum"}},
		"start":           {&messages.FileTransferStart{Type: "file_transfer_start"}, nil},
		"start other":     {&messages.FileTransferStart{Type: "binary_data"}, []string{"type enum"}},
		"complete":        {&messages.FileTransferComplete{Type: "file_transfer_complete"}, nil},
		"complete other":  {&messages.FileTransferComplete{Type: "file_transfer_start"}, []string{"type enum"}},
		"nil of any type": {(*messages.BinaryMetadata)(nil), []string{" required"}},
	} {
		if got := wrong(t, test.m.Validate()); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// A long list of wrong elements is not described in full.
func TestValidateBoundsTheReport(t *testing.T) {
	m := &messages.ServerMessage{Type: "command", Actions: make([]messages.Command, 1000)}
	got := wrong(t, m.Validate())
	if len(got) != 101 || got[0] != "status required" || got[99] != "actions[98].tool_type required" || got[100] != " more" {
		t.Errorf("%d fields: %q", len(got), got)
	}
	if err := messages.ValidateServerCommand(m); !strings.HasSuffix(err.Error(), "message has 901 more wrong fields; response_id is required") {
		t.Errorf("the error is %.200s", err)
	}
}

// An error goes to logs and to the peer: it holds nothing of what it refuses.
func TestValidateDoesNotEcho(t *testing.T) {
	const secret = "hunter2"
	m := &messages.ClientMessage{Type: secret, Status: secret, ClientType: secret, Metadata: mustValue(t, secret),
		ActionResults: []messages.Result{{Status: secret, Error: secret}}}
	if err := m.Validate(); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("the error is %v", err)
	}
}

func TestValidateFlows(t *testing.T) {
	type client = messages.ClientMessage
	type server = messages.ServerMessage
	action := []messages.Command{{ToolType: "action"}}
	for name, test := range map[string]struct {
		err  error
		want []string
	}{
		"registration":            {messages.ValidateRegistration(&client{Type: "register", Status: "ok", ClientID: "d"}), nil},
		"registration all":        {messages.ValidateRegistration(&client{Type: "task"}), []string{"status required", "type enum", "client_id required"}},
		"registration no type":    {messages.ValidateRegistration(&client{Status: "ok", ClientID: "d"}), []string{"type required"}},
		"registration nil":        {messages.ValidateRegistration(nil), []string{" required"}},
		"task":                    {messages.ValidateTaskRequest(&client{Type: "task", Status: "continue", ClientID: "d", Request: "do"}), nil},
		"task constellation":      {messages.ValidateTaskRequest(&client{Type: "task", Status: "continue", ClientType: "constellation", ClientID: "g", Request: "do"}), []string{"target_id required"}},
		"task all":                {messages.ValidateTaskRequest(&client{Type: "x", Status: "x"}), []string{"type enum", "status enum", "client_id required", "request required"}},
		"results":                 {messages.ValidateCommandResults(&client{Type: "command_results", Status: "ok", PrevResponseID: "r", ActionResults: []messages.Result{}}), nil},
		"results all":             {messages.ValidateCommandResults(&client{Type: "command_results", Status: "ok"}), []string{"prev_response_id required", "action_results required"}},
		"results element":         {messages.ValidateCommandResults(&client{Type: "command_results", Status: "ok", PrevResponseID: "r", ActionResults: make([]messages.Result, 1)}), []string{"action_results[0].status required"}},
		"info request":            {messages.ValidateDeviceInfoRequest(&client{Type: "device_info_request", Status: "ok", ClientType: "constellation", RequestID: "q"}), nil},
		"info request all":        {messages.ValidateDeviceInfoRequest(&client{Type: "device_info_request", Status: "ok"}), []string{"client_type enum", "request_id required"}},
		"by type register":        {messages.ValidateClientMessage(&client{Type: "register", Status: "ok"}), []string{"client_id required"}},
		"by type task":            {messages.ValidateClientMessage(&client{Type: "task", Status: "ok", ClientID: "d"}), []string{"request required"}},
		"by type results":         {messages.ValidateClientMessage(&client{Type: "command_results", Status: "ok", PrevResponseID: "r"}), []string{"action_results required"}},
		"by type info":            {messages.ValidateClientMessage(&client{Type: "device_info_request", Status: "ok", RequestID: "q"}), []string{"client_type enum"}},
		"by type heartbeat":       {messages.ValidateClientMessage(&client{Type: "heartbeat", Status: "ok"}), nil},
		"by type unknown":         {messages.ValidateClientMessage(&client{Type: "nope", Status: "ok"}), []string{"type enum"}},
		"by type nil":             {messages.ValidateClientMessage(nil), []string{" required"}},
		"server command":          {messages.ValidateServerMessage(&server{Type: "command", Status: "continue", Actions: action, ResponseID: "r"}), nil},
		"server command all":      {messages.ValidateServerMessage(&server{Type: "command", Status: "continue"}), []string{"actions required", "response_id required"}},
		"server command empty":    {messages.ValidateServerCommand(&server{Type: "command", Status: "continue", Actions: []messages.Command{}, ResponseID: "r"}), []string{"actions required"}},
		"server command type":     {messages.ValidateServerCommand(&server{Type: "task", Status: "continue", Actions: action, ResponseID: "r"}), []string{"type enum"}},
		"server command nil":      {messages.ValidateServerCommand(nil), []string{" required"}},
		"server other":            {messages.ValidateServerMessage(&server{Type: "task_end", Status: "ok"}), nil},
		"server unknown":          {messages.ValidateServerMessage(&server{Type: "nope", Status: "ok"}), []string{"type enum"}},
		"server nil":              {messages.ValidateServerMessage(nil), []string{" required"}},
		"dispatch":                {messages.ValidateTaskDispatch(&server{Type: "task", Status: "continue", UserRequest: "do"}), nil},
		"dispatch all":            {messages.ValidateTaskDispatch(&server{Type: "command", Status: "continue"}), []string{"type enum", "user_request required"}},
		"ack":                     {messages.ValidateTaskAck(&server{Type: "heartbeat", Status: "ok", SessionID: "s"}), nil},
		"ack all":                 {messages.ValidateTaskAck(&server{Type: "heartbeat", Status: "error"}), []string{"status enum", "session_id required"}},
		"end":                     {messages.ValidateTaskEnd(&server{Type: "task_end", Status: "failed", SessionID: "s"}), nil},
		"end all":                 {messages.ValidateTaskEnd(&server{Type: "task_end", Status: "ok"}), []string{"status enum", "session_id required"}},
		"info response":           {messages.ValidateDeviceInfoResponse(&server{Type: "device_info_response", Status: "ok", ResponseID: "q"}), nil},
		"info response all":       {messages.ValidateDeviceInfoResponse(&server{Type: "error", Status: "ok"}), []string{"type enum", "response_id required"}},
		"one report for one path": {messages.ValidateTaskEnd(&server{}), []string{"type required", "status required", "session_id required"}},
	} {
		if got := wrong(t, test.err); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	m := messages.NewDeviceHeartbeat("device-1")
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidateServerCommand(b *testing.B) {
	m := messages.NewCommand(messages.CommandRequest{Actions: []messages.Command{{ToolName: "echo", ToolType: messages.ToolAction}}})
	b.ReportAllocs()
	for b.Loop() {
		if err := messages.ValidateServerCommand(m); err != nil {
			b.Fatal(err)
		}
	}
}
