package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// tool is an action for tests.
func tool(name string, run func(context.Context, messages.Value) (any, error)) Tool {
	return Tool{Name: name, Run: run}
}

// runDevice runs a device whose server is the test. It is registered and has
// no heartbeats, unless the options say otherwise. The channel gets Run's
// result; the device is stopped at the end of the test.
func runDevice(t *testing.T, options DeviceOptions) (server *peer, device *Device, result <-chan error) {
	t.Helper()
	return runDeviceOn(t, options, nil)
}

func runDeviceOn(t *testing.T, options DeviceOptions, memory *transport.MemoryOptions) (server *peer, device *Device, result <-chan error) {
	t.Helper()
	ours, theirs := transport.NewPair(memory)
	options.ID, options.Dial = "d", dialer(ours)
	if options.Reconnect == nil {
		options.Reconnect = &ReconnectOptions{Off: true}
	}
	if options.HeartbeatInterval == 0 {
		options.HeartbeatInterval = -1
	}
	device, err := NewDevice(&options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		ended <- device.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
		_ = theirs.Close()
	})
	server = &peer{t, theirs}
	server.expect(object{"type": "register", "status": "ok", "client_type": "device", "client_id": "d"})
	server.send(object{"type": "heartbeat", "status": "ok"})
	return server, device, ended
}

// command is a COMMAND with the given actions.
func command(id string, tools ...string) object {
	actions := []any{}
	for i, name := range tools {
		actions = append(actions, object{"tool_name": name, "tool_type": "action", "call_id": fmt.Sprint("c", i)})
	}
	return object{
		"type": "command", "status": "continue", "agent_name": "LinuxAgent", "session_id": "s", "task_name": "t",
		"response_id": id, "actions": actions,
	}
}

// results waits for the answer to a command and returns it in short: status,
// result, error and namespace of each.
func (p *peer) results(id string) string {
	p.t.Helper()
	m := p.expect(object{
		"type": "command_results", "status": "continue", "client_type": "device", "client_id": "d", "session_id": "s", "prev_response_id": id,
	})
	if m["request_id"] == nil {
		p.t.Errorf("the answer has no request_id: %v", m)
	}
	var list []string
	for i, result := range m["action_results"].([]any) {
		r := result.(map[string]any)
		if want := fmt.Sprint("c", i); r["call_id"] != want {
			p.t.Errorf("result %d is of call %v", i, r["call_id"])
		}
		short := fmt.Sprint(r["status"])
		for _, key := range []string{"result", "error", "namespace"} {
			if value, ok := r[key]; ok {
				short += fmt.Sprintf(" %s=%v", key, value)
			}
		}
		list = append(list, short)
	}
	return strings.Join(list, "; ")
}

// TestCommands: whatever a command asks for, it is answered once, in the
// reference's terms (spec 3.5, 9.1.6).
func TestCommands(t *testing.T) {
	options := DeviceOptions{CommandTimeout: time.Second, Tools: []Tool{
		{Name: "one", Namespace: "numbers", Run: func(context.Context, messages.Value) (any, error) { return 1, nil }},
		tool("zero", func(context.Context, messages.Value) (any, error) { return 0, nil }),
		tool("nothing", func(context.Context, messages.Value) (any, error) { return nil, nil }),
		tool("list", func(context.Context, messages.Value) (any, error) { return []string{}, nil }),
		{Name: "fail", Namespace: "numbers", Run: func(context.Context, messages.Value) (any, error) { return 1, errors.New("no luck") }},
		tool("mute", func(context.Context, messages.Value) (any, error) { return nil, errors.New("") }),
		tool("panic", func(context.Context, messages.Value) (any, error) { panic("secret") }),
		tool("unencodable", func(context.Context, messages.Value) (any, error) { return make(chan int), nil }),
		tool("wait", func(ctx context.Context, _ messages.Value) (any, error) { <-ctx.Done(); return nil, ctx.Err() }),
		tool("deaf", func(context.Context, messages.Value) (any, error) { <-time.After(time.Hour); return 1, nil }),
		{Name: "look", Type: messages.ToolDataCollection, Run: func(context.Context, messages.Value) (any, error) { return "seen", nil }},
	}}
	skipped := "; skipped error=" + skippedText
	tests := []struct {
		tools []string
		want  string
	}{
		{[]string{"one"}, "success result=1 namespace=numbers"},
		{[]string{"zero", "one"}, "success result=0; success result=1 namespace=numbers"},
		{[]string{"nothing"}, "success result=<nil>"},
		{[]string{"list"}, "success result=[]"},
		{[]string{""}, "success result=No action taken."},
		{[]string{"", "fail", "one", ""}, "success result=No action taken.; failure error=no luck namespace=numbers" + skipped + skipped},
		{[]string{"mute"}, "failure error=the tool failed without a reason"},
		{[]string{"panic", "one"}, "failure error=" + errToolPanic.Error() + skipped},
		{[]string{"unencodable"}, "failure error=the result cannot be sent: messages: value: json: unsupported type: chan int"},
		{[]string{"unknown", "one"}, `failure error=there is no action tool "unknown"; list_tools lists those there are` + skipped},
		{[]string{"look"}, `failure error=there is no action tool "look"; list_tools lists those there are`},
		{[]string{"wait", "one"}, "failure error=" + errToolTimeout.Error() + skipped},
		{[]string{"deaf", "one"}, "failure error=" + errToolTimeout.Error() + skipped},
		{nil, ""},
	}
	synctest.Test(t, func(t *testing.T) {
		server, _, _ := runDevice(t, options)
		for i, test := range tests {
			id := fmt.Sprint("r", i)
			server.send(command(id, test.tools...))
			if got := server.results(id); got != test.want {
				t.Errorf("%v: got  %s\nwant %s", test.tools, got, test.want)
			}
		}
	})
}

// TestCommandParameters: a tool gets the parameters, numbers unharmed.
func TestCommandParameters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _, _ := runDevice(t, DeviceOptions{Tools: []Tool{echoTool}})
		m := command("r", "execute_command")
		m["actions"].([]any)[0].(object)["parameters"] = object{"n": 1}
		server.sendText(strings.Replace(marshal(t, m), `{"n":1}`, `{"n":12345678901234567890}`, 1))
		got := server.receive()
		if text := marshal(t, got["action_results"]); !strings.Contains(text, `"echo":{"n":1234567890123456`) {
			t.Errorf("the result is %s", text)
		}
	})
}

// TestCommandsInOrder: commands run one after the other, in the order in which
// they came, while other messages are still taken in.
func TestCommandsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		running := 0
		server, _, _ := runDevice(t, DeviceOptions{Observer: r.observe, Tools: []Tool{
			tool("work", func(context.Context, messages.Value) (any, error) {
				running++
				defer func() { running-- }()
				<-time.After(time.Second)
				return running, nil
			}),
		}})
		const n = 10
		for i := range n {
			server.send(command(fmt.Sprint("r", i), "work"))
		}
		server.send(object{"type": "heartbeat", "status": "ok"})
		synctest.Wait()
		if beats := r.of(EventHeartbeat); len(beats) != 1 {
			t.Error("nothing is read while a command runs")
		}
		for i := range n {
			if got := server.results(fmt.Sprint("r", i)); got != "success result=1" {
				t.Errorf("command %d: %s", i, got)
			}
		}
	})
}

// TestTaskEndStopsCommands: the end of a task ends its tools, and its commands
// are answered nevertheless; those of other tasks go on.
func TestTaskEndStopsCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _, _ := runDevice(t, DeviceOptions{Tools: []Tool{
			tool("wait", func(ctx context.Context, _ messages.Value) (any, error) { <-ctx.Done(); return nil, ctx.Err() }),
			tool("one", func(context.Context, messages.Value) (any, error) { return 1, nil }),
		}})
		server.send(command("r1", "wait", "one"))
		server.send(command("r2", "one"))
		other := command("r3", "one")
		other["session_id"] = "other"
		server.send(other)
		server.send(object{"type": "task_end", "status": "failed", "session_id": "s"})
		if got := server.results("r1"); got != "failure error="+errTaskEnded.Error()+"; skipped error="+skippedText {
			t.Error(got)
		}
		if got := server.results("r2"); got != "failure error="+errTaskEnded.Error() {
			t.Error(got)
		}
		server.expect(object{"type": "command_results", "session_id": "other", "prev_response_id": "r3"})
	})
}

// TestStuckTools: tools that go on after their time are limited in number, and
// Run waits for them.
func TestStuckTools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		server, _, result := runDevice(t, DeviceOptions{CommandTimeout: time.Second, Tools: []Tool{
			tool("stuck", func(context.Context, messages.Value) (any, error) { <-free; return nil, nil }),
		}})
		for i := range maxLeftoverTools + 2 {
			want := errToolTimeout
			if i >= maxLeftoverTools {
				want = errTooManyTools
			}
			id := fmt.Sprint("r", i)
			server.send(command(id, "stuck"))
			if got := server.results(id); got != "failure error="+want.Error() {
				t.Errorf("command %d: %s", i, got)
			}
		}
		// What could not be run may come again.
		again := fmt.Sprint("r", maxLeftoverTools+1)
		server.send(command(again, "stuck"))
		if got := server.results(again); got != "failure error="+errTooManyTools.Error() {
			t.Error(got)
		}
		server.close()
		synctest.Wait()
		select {
		case err := <-result:
			t.Errorf("Run returned %v while tools run", err)
		default:
		}
		close(free)
		if err := <-result; !errors.Is(err, io.EOF) {
			t.Errorf("Run returned %v", err)
		}
	})
}

// TestInvalidCommand: a command that is not understood is answered too (spec 8,
// D10), anything else that is not is not.
func TestInvalidCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		server, _, _ := runDevice(t, DeviceOptions{Observer: r.observe})
		server.sendText(`{"type":"command","status":"continue","session_id":"s","response_id":"r","actions":[{"tool_name":5}]}`)
		m := server.expect(object{"type": "command_results", "session_id": "s", "prev_response_id": "r"})
		if m["error"] == nil || len(m["action_results"].([]any)) != 0 {
			t.Errorf("got %v", m)
		}
		for _, odd := range []string{
			"{not json", "", `{"type":"nope","status":"ok"}`, `{"type":"command","status":"continue","actions":5}`,
			`{"type":"error","status":"error","error":"boom"}`, `{"type":"task","status":"continue"}`,
			`{"type":"device_info_response","status":"ok","response_id":"x"}`, `{"type":"task_end","status":"completed"}`,
		} {
			server.sendText(odd)
		}
		server.sendFrames(transport.Frame{Kind: transport.Binary, Data: []byte(`{"type":"heartbeat","status":"ok"}`)})
		server.expectNothing(time.Hour)
		server.send(command("q", ""))
		if got := server.results("q"); got != "success result=No action taken." {
			t.Error(got)
		}
		if refused := r.of(EventRefused); len(refused) != 7 {
			t.Errorf("observed %d events: %+v", len(refused), refused)
		}
	})
}

// TestResultsTooLarge: results that no message can carry become failures.
func TestResultsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _, _ := runDeviceOn(t, DeviceOptions{Tools: []Tool{
			tool("large", func(context.Context, messages.Value) (any, error) { return strings.Repeat("x", 5000), nil }),
		}}, &transport.MemoryOptions{MaxMessageSize: 2000})
		server.send(command("r", "large", ""))
		want := "failure error=" + errResultTooLong.Error()
		if got := server.results("r"); got != want+"; "+want {
			t.Error(got)
		}
	})
}

// TestListTools: the built-in command lists the tools, all or some.
func TestListTools(t *testing.T) {
	schema, err := messages.NewValue(map[string]string{"type": "object"})
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(context.Context, messages.Value) (any, error) { return nil, nil }
	synctest.Test(t, func(t *testing.T) {
		server, _, _ := runDevice(t, DeviceOptions{Tools: []Tool{
			{Name: "b", Namespace: "n", Run: nothing, Description: "does b", InputSchema: schema},
			{Name: "a", Namespace: "m", Type: messages.ToolDataCollection, Run: nothing},
		}})
		for _, test := range []struct {
			parameters object
			want       string
		}{
			{nil, "action::b data_collection::a"},
			{object{"tool_type": "action", "remove_meta": true}, "action::b"},
			{object{"namespace": "m"}, "data_collection::a"},
			{object{"namespace": "x"}, ""},
		} {
			for _, toolType := range []string{"action", "data_collection"} {
				m := command("r"+test.want+toolType+marshal(t, test.parameters), "list_tools")
				action := m["actions"].([]any)[0].(object)
				action["parameters"], action["tool_type"] = test.parameters, toolType
				server.send(m)
				result := server.receive()["action_results"].([]any)[0].(map[string]any)
				var keys []string
				for _, info := range result["result"].([]any) {
					keys = append(keys, info.(map[string]any)["tool_key"].(string))
				}
				if got := strings.Join(keys, " "); got != test.want {
					t.Errorf("%v: got %q, want %q", test.parameters, got, test.want)
				}
			}
		}
	})
}

// TestDispatchedTask: a task from elsewhere is taken on with its session (spec
// 9.1.8).
func TestDispatchedTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _, _ := runDevice(t, DeviceOptions{Platform: messages.PlatformMobile})
		server.send(object{"type": "task", "status": "continue", "user_request": "say hi", "session_id": "s", "task_name": "job-1", "response_id": "r"})
		m := server.expect(object{
			"type": "task", "status": "continue", "client_type": "device", "client_id": "d", "request": "say hi",
			"session_id": "s", "task_name": "job-1",
		})
		if platform := m["metadata"].(map[string]any)["platform"]; m["request_id"] == nil || platform != "mobile" {
			t.Errorf("the device sent %v", m)
		}
	})
}

// TestDeviceInfoIsPushed: a server that asks is answered.
func TestDeviceInfoIsPushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _, _ := runDevice(t, DeviceOptions{SystemInfo: recordedSystem})
		server.send(object{"type": "device_info_request", "status": "ok"})
		m := server.expect(object{"type": "device_info_response", "status": "ok", "client_id": "d"})
		if m["metadata"].(map[string]any)["hostname"] != "vm" {
			t.Errorf("the device sent %v", m)
		}
	})
}
