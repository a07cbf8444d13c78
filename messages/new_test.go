package messages_test

import (
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/messages"
)

var uuidForm = regexp.MustCompile(`"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"`)

// checkForm compares the JSON text of m with want, in which "TS" stands for
// the time of a synctest bubble's start and "ID" for a fresh id.
func checkForm(t *testing.T, m any, want string) {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got := uuidForm.ReplaceAllString(string(text), `"ID"`)
	got = strings.ReplaceAll(got, "2000-01-01T00:00:00.000000+00:00", "TS")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestClientConstructors(t *testing.T) {
	info := mustValue(t, map[string]string{"hostname": "h"})
	command := &messages.ServerMessage{Type: messages.ServerCommand, Status: messages.StatusContinue,
		SessionID: "s", ResponseID: "r"}
	dispatch := &messages.ServerMessage{Type: messages.ServerTask, Status: messages.StatusContinue,
		UserRequest: "do", TaskName: "n", SessionID: "s"}
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			m    *messages.ClientMessage
			want string
		}{
			{messages.NewDeviceRegistration("d", messages.PlatformLinux, info),
				`{"type":"register","status":"ok","client_type":"device","client_id":"d","timestamp":"TS",` +
					`"metadata":{"system_info":{"hostname":"h"},"registration_time":"TS","platform":"linux"}}`},
			{messages.NewDeviceRegistration("d", "", messages.Value{}),
				`{"type":"register","status":"ok","client_type":"device","client_id":"d","timestamp":"TS",` +
					`"metadata":{"registration_time":"TS"}}`},
			{messages.NewConstellationRegistration("g", "d"),
				`{"type":"register","status":"ok","client_type":"constellation","client_id":"g@d","target_id":"d",` +
					`"timestamp":"TS","metadata":{"type":"constellation_client","task_name":"g","targeted_device_id":"d",` +
					`"capabilities":["task_distribution","session_management","device_coordination"],"version":"2.0"}}`},
			{messages.NewConstellationRegistration("g", ""),
				`{"type":"register","status":"ok","client_type":"constellation","client_id":"g",` +
					`"timestamp":"TS","metadata":{"type":"constellation_client","task_name":"g",` +
					`"capabilities":["task_distribution","session_management","device_coordination"],"version":"2.0"}}`},
			{messages.NewDeviceHeartbeat("d"),
				`{"type":"heartbeat","status":"ok","client_type":"device","client_id":"d","timestamp":"TS"}`},
			{messages.NewConstellationHeartbeat("g@d", "d"),
				`{"type":"heartbeat","status":"ok","client_type":"constellation","client_id":"g@d","timestamp":"TS",` +
					`"metadata":{"device_id":"d"}}`},
			{messages.NewConstellationHeartbeat("g", ""),
				`{"type":"heartbeat","status":"ok","client_type":"constellation","client_id":"g","timestamp":"TS"}`},
			{messages.NewConstellationTask(messages.TaskRequest{ClientID: "g@d", TargetID: "d", SessionID: "g@t",
				TaskName: "galaxy/g/t", Request: "do", Metadata: info}),
				`{"type":"task","status":"continue","client_type":"constellation","session_id":"g@t",` +
					`"task_name":"galaxy/g/t","client_id":"g@d","target_id":"d","request":"do","timestamp":"TS",` +
					`"metadata":{"hostname":"h"}}`},
			{messages.NewConstellationTask(messages.TaskRequest{ClientID: "g@d", TargetID: "d", Request: "do"}),
				`{"type":"task","status":"continue","client_type":"constellation","session_id":"ID",` +
					`"client_id":"g@d","target_id":"d","request":"do","timestamp":"TS"}`},
			{messages.NewDeviceTask("d", "n", "do", messages.PlatformMobile),
				`{"type":"task","status":"continue","client_type":"device","task_name":"n","client_id":"d","request":"do",` +
					`"timestamp":"TS","request_id":"ID","metadata":{"platform":"mobile"}}`},
			{messages.NewDeviceTask("d", "", "do", ""),
				`{"type":"task","status":"continue","client_type":"device","task_name":"ID","client_id":"d","request":"do",` +
					`"timestamp":"TS","request_id":"ID"}`},
			{messages.NewDispatchedTask("d", messages.PlatformWindows, dispatch),
				`{"type":"task","status":"continue","client_type":"device","session_id":"s","task_name":"n","client_id":"d",` +
					`"request":"do","timestamp":"TS","request_id":"ID","metadata":{"platform":"windows"}}`},
			{messages.NewCommandResults("d", command, nil),
				`{"type":"command_results","status":"continue","client_type":"device","session_id":"s","client_id":"d",` +
					`"action_results":[],"timestamp":"TS","request_id":"ID","prev_response_id":"r"}`},
			{messages.NewCommandResults("d", command, []messages.Result{{Status: messages.ResultSuccess, Result: info, CallID: "c"}}),
				`{"type":"command_results","status":"continue","client_type":"device","session_id":"s","client_id":"d",` +
					`"action_results":[{"status":"success","result":{"hostname":"h"},"call_id":"c"}],"timestamp":"TS",` +
					`"request_id":"ID","prev_response_id":"r"}`},
			{messages.NewDeviceInfoRequest("g@d", "d"),
				`{"type":"device_info_request","status":"ok","client_type":"constellation","client_id":"g@d","target_id":"d",` +
					`"timestamp":"TS","request_id":"ID"}`},
			{messages.NewDeviceInfo("d", info),
				`{"type":"device_info_response","status":"ok","client_type":"device","client_id":"d","timestamp":"TS",` +
					`"metadata":{"hostname":"h"}}`},
			{messages.NewClientError(messages.Device, "d", "boom"),
				`{"type":"error","status":"error","client_type":"device","client_id":"d","timestamp":"TS","error":"boom"}`},
		} {
			checkForm(t, test.m, test.want)
			if err := messages.ValidateClientMessage(test.m); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestServerConstructors(t *testing.T) {
	result := mustValue(t, []map[string]string{{"request": "do", "result": "done"}})
	actions := []messages.Command{
		{ToolName: "a", ToolType: messages.ToolAction},
		{ToolName: "b", ToolType: messages.ToolDataCollection, CallID: "mine"},
	}
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			m     *messages.ServerMessage
			check func(*messages.ServerMessage) error
			want  string
		}{
			{messages.NewRegistrationConfirmation(), messages.ValidateServerMessage,
				`{"type":"heartbeat","status":"ok","timestamp":"TS","response_id":"ID"}`},
			{messages.NewHeartbeatReply(), messages.ValidateServerMessage,
				`{"type":"heartbeat","status":"ok","timestamp":"TS","response_id":"ID"}`},
			{messages.NewTaskAck("s"), messages.ValidateTaskAck,
				`{"type":"heartbeat","status":"ok","session_id":"s","timestamp":"TS","response_id":"ID"}`},
			{messages.NewTaskDispatch("s", "n", "do"), messages.ValidateTaskDispatch,
				`{"type":"task","status":"continue","user_request":"do","session_id":"s","task_name":"n",` +
					`"timestamp":"TS","response_id":"ID"}`},
			{messages.NewTaskDispatch("", "", "do"), messages.ValidateTaskDispatch,
				`{"type":"task","status":"continue","user_request":"do","session_id":"ID","task_name":"ID",` +
					`"timestamp":"TS","response_id":"ID"}`},
			{messages.NewCommand(messages.CommandRequest{SessionID: "s", TaskName: "n", AgentName: "A", ProcessName: "p",
				RootName: "r", Actions: actions}), messages.ValidateServerCommand,
				`{"type":"command","status":"continue","agent_name":"A","process_name":"p","root_name":"r","actions":[` +
					`{"tool_name":"a","tool_type":"action","call_id":"ID"},` +
					`{"tool_name":"b","tool_type":"data_collection","call_id":"mine"}],` +
					`"session_id":"s","task_name":"n","timestamp":"TS","response_id":"ID"}`},
			{messages.NewTaskCompleted("s", result), messages.ValidateTaskEnd,
				`{"type":"task_end","status":"completed","session_id":"s","timestamp":"TS","response_id":"ID",` +
					`"result":[{"request":"do","result":"done"}]}`},
			{messages.NewTaskFailed("s", "lost", messages.Value{}), messages.ValidateTaskEnd,
				`{"type":"task_end","status":"failed","error":"lost","session_id":"s","timestamp":"TS","response_id":"ID"}`},
			{messages.NewDeviceInfoResponse("q", result), messages.ValidateDeviceInfoResponse,
				`{"type":"device_info_response","status":"ok","timestamp":"TS","response_id":"q",` +
					`"result":[{"request":"do","result":"done"}]}`},
			{messages.NewDeviceInfoMissing("q", "d"), messages.ValidateDeviceInfoResponse,
				`{"type":"device_info_response","status":"ok","timestamp":"TS","response_id":"q",` +
					`"result":{"error":"Device d not found or no system info available"}}`},
			{messages.NewServerError("no"), messages.ValidateServerMessage,
				`{"type":"error","status":"error","error":"no","timestamp":"TS","response_id":"ID"}`},
		} {
			checkForm(t, test.m, test.want)
			if err := test.check(test.m); err != nil {
				t.Error(err)
			}
		}
	})
	if actions[0].CallID != "" {
		t.Error("NewCommand changed the caller's list")
	}
}

func TestSystemInfo(t *testing.T) {
	info := messages.SystemInfo{
		DeviceID: "devX", Platform: "linux", OSVersion: "#1 SMP", CPUCount: 2, MemoryTotalGB: 15.556, Hostname: "vm<é",
		IPAddress: "192.0.2.2", SupportedFeatures: []string{"gui", "cli"}, PlatformType: "computer",
	}
	want := `{"device_id":"devX","platform":"linux","os_version":"#1 SMP","cpu_count":2,"memory_total_gb":15.56,` +
		`"hostname":"vm<é","ip_address":"192.0.2.2","supported_features":["gui","cli"],"platform_type":"computer",` +
		`"schema_version":"1.0","custom_metadata":{}}`
	if got := info.Value().String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	custom := messages.SystemInfo{MemoryTotalGB: math.Inf(1), SchemaVersion: "2", CustomMetadata: mustValue(t, map[string]int{"a": 1})}
	var got struct {
		MemoryTotalGB     float64  `json:"memory_total_gb"`
		SchemaVersion     string   `json:"schema_version"`
		SupportedFeatures []string `json:"supported_features"`
		CustomMetadata    map[string]int
	}
	if err := custom.Value().Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.MemoryTotalGB != 0 || got.SchemaVersion != "2" || got.SupportedFeatures == nil {
		t.Errorf("decoded %+v", got)
	}
	if !strings.HasSuffix(custom.Value().String(), `"custom_metadata":{"a":1}}`) {
		t.Errorf("got %s", custom.Value())
	}
}

// Marshalling with encoding/json leaves out what is not set and keeps an empty
// list, which the protocol tells from none.
func TestMarshalIsCompact(t *testing.T) {
	for _, test := range []struct {
		m    any
		want string
	}{
		{messages.ClientMessage{}, `{"type":"","status":""}`},
		{messages.ClientMessage{ActionResults: []messages.Result{}}, `{"type":"","status":"","action_results":[]}`},
		{messages.ServerMessage{}, `{"type":"","status":""}`},
		{messages.ServerMessage{Actions: []messages.Command{}, Messages: []string{}}, `{"type":"","status":"","actions":[],"messages":[]}`},
		{messages.Command{}, `{"tool_name":"","tool_type":""}`},
		{messages.Result{}, `{"status":""}`},
		{messages.ControlInfo{}, `{}`},
		{messages.WindowInfo{IsActive: new(false), ProcessID: new(int64(0))}, `{"process_id":0,"is_active":false}`},
		{messages.AppWindowControlInfo{}, `{"window_info":{}}`},
		{messages.MCPToolInfo{}, `{"tool_key":"","tool_name":"","namespace":"","tool_type":""}`},
		{messages.BinaryMetadata{}, `{"size":0}`},
		{messages.FileTransferStart{}, `{"filename":"","size":0,"chunk_size":0,"total_chunks":0}`},
		{messages.FileTransferComplete{}, `{"filename":"","total_chunks":0}`},
		{messages.ChunkMetadata{}, `{"chunk_num":0,"chunk_size":0}`},
	} {
		checkForm(t, test.m, test.want)
	}
	if role := (&messages.ClientMessage{}).Role(); role != messages.Device {
		t.Errorf("the default role is %q", role)
	}
	if role := (&messages.ClientMessage{ClientType: messages.Constellation}).Role(); role != messages.Constellation {
		t.Errorf("the role is %q", role)
	}
}
