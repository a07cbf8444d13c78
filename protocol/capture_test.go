package protocol

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// captured is one line of a recorded conversation with the reference.
type captured struct {
	Conn int    `json:"conn"`
	From string `json:"from"`
	Text string `json:"text"`
}

// capture returns the text frames of a recorded conversation.
func capture(t testing.TB, file string) []captured {
	t.Helper()
	f, err := os.Open("testdata/captures/" + file)
	must(t, err)
	defer f.Close()
	var frames []captured
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var frame captured
		must(t, json.Unmarshal(lines.Bytes(), &frame))
		if frame.Text != "" {
			frames = append(frames, frame)
		}
	}
	must(t, lines.Err())
	return frames
}

// pick returns the first captured frame of that connection, sender and type
// for which all of the given members have the given values.
func pick(t testing.TB, frames []captured, conn int, from, kind string, members map[string]any) string {
	t.Helper()
next:
	for _, frame := range frames {
		var m map[string]any
		if frame.Conn != conn || frame.From != from || json.Unmarshal([]byte(frame.Text), &m) != nil || m["type"] != kind {
			continue
		}
		for key, want := range members {
			if !reflect.DeepEqual(m[key], want) {
				continue next
			}
		}
		return frame.Text
	}
	t.Fatalf("no %s from the %s of connection %d", kind, from, conn)
	return ""
}

// decoded returns a captured frame as a message.
func decoded[M Message](t testing.TB, text string) *M {
	t.Helper()
	m := new(M)
	must(t, json.Unmarshal([]byte(text), m))
	return m
}

// sameWire checks that the next frame at the peer's transport is the captured
// one, apart from unset fields, times, and the ids that each message has anew.
func sameWire(t testing.TB, peer transport.Transport, want string, differ ...string) {
	t.Helper()
	got, err := peer.Receive(context.Background())
	must(t, err)
	a, b := normal(t, got), normal(t, []byte(want))
	for _, key := range differ {
		if reflect.DeepEqual(a[key], b[key]) {
			t.Errorf("%s was expected to differ: %v", key, a[key])
		}
		delete(a, key)
		delete(b, key)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// normal returns a message without what never is the same twice.
func normal(t testing.TB, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	must(t, json.Unmarshal(text, &m))
	for key, v := range m {
		switch {
		case v == nil || v == "":
			delete(m, key)
		case key == "timestamp", key == "request_id" && m["type"] != "device_info_request" || key == "response_id" && m["type"] != "device_info_response":
			m[key] = "…"
		}
	}
	for _, list := range []string{"actions", "action_results"} {
		elements, _ := m[list].([]any)
		for _, element := range elements {
			for key, v := range element.(map[string]any) {
				if v == nil || v == "" {
					delete(element.(map[string]any), key)
				}
			}
		}
	}
	if metadata, ok := m["metadata"].(map[string]any); ok && metadata["registration_time"] != nil {
		metadata["registration_time"] = "…"
	}
	return m
}

func TestCapturedClient(t *testing.T) {
	flow := capture(t, "task_flow.jsonl")
	refusals := capture(t, "refusals_and_losses.jsonl")
	ctx := context.Background()

	t.Run("device", func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		peer := s.Transport()
		register := pick(t, flow, 1, "client", "register", nil)
		info, _ := objectOf(t, decoded[messages.ClientMessage](t, register).Metadata).Get("system_info")
		raw(t, peer, "%s", pick(t, flow, 1, "server", "heartbeat", nil))
		must(t, RegisterDevice(ctx, c, "devX", messages.PlatformLinux, info))
		sameWire(t, peer, register)
		must(t, SendHeartbeat(ctx, c))
		sameWire(t, peer, pick(t, flow, 1, "client", "heartbeat", nil))

		text := pick(t, flow, 1, "client", "command_results", nil)
		command := decoded[messages.ServerMessage](t, pick(t, flow, 1, "server", "command", nil))
		must(t, NewCommandAnswer(c, command).Send(ctx, decoded[messages.ClientMessage](t, text).ActionResults))
		sameWire(t, peer, text)
	})

	t.Run("dispatched task", func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		as(c, messages.Device)
		running(t, c)
		peer := s.Transport()
		dispatch := decoded[messages.ServerMessage](t, pick(t, refusals, 6, "server", "task", nil))
		go func() {
			task, err := AnswerTaskDispatch(ctx, c, dispatch, messages.PlatformLinux)
			if err == nil {
				task.Release()
			}
		}()
		got, err := peer.Receive(ctx)
		must(t, err)
		want := normal(t, []byte(pick(t, refusals, 6, "client", "task", nil)))
		want["client_type"], want["client_id"] = "device", "dev" // what the script left out
		want["session_id"] = dispatch.SessionID                  // better than null
		want["timestamp"] = "…"
		if !reflect.DeepEqual(normal(t, got), want) {
			t.Errorf("got %s, want %v", got, want)
		}
		must(t, s.SendAck(ctx, dispatch.SessionID))
	})

	t.Run("constellation", func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		peer := s.Transport()
		raw(t, peer, "%s", pick(t, flow, 2, "server", "heartbeat", nil))
		must(t, RegisterConstellation(ctx, c, "gx", "devX"))
		sameWire(t, peer, pick(t, flow, 2, "client", "register", nil))
		must(t, SendHeartbeat(ctx, c))
		sameWire(t, peer, pick(t, flow, 2, "client", "heartbeat", nil), "client_type") // the reference's is wrong (D9)

		running(t, c)
		request := pick(t, flow, 2, "client", "device_info_request", nil)
		answer := pick(t, flow, 2, "server", "device_info_response", nil)
		infos := make(chan messages.Value, 1)
		go func() {
			info, err := RequestDeviceInfo(ctx, c, "devX")
			if err != nil {
				t.Error(err)
			}
			infos <- info
		}()
		got, err := peer.Receive(ctx)
		must(t, err)
		asked := decoded[messages.ClientMessage](t, string(got))
		a, b := normal(t, got), normal(t, []byte(request))
		a["request_id"] = b["request_id"]
		if !reflect.DeepEqual(a, b) {
			t.Errorf("got  %s\nwant %s", got, request)
		}
		response := decoded[messages.ServerMessage](t, answer)
		response.ResponseID = asked.RequestID
		must(t, s.Send(ctx, response))
		if info := <-infos; info.String() != response.Result.String() {
			t.Errorf("info %s", info)
		}

		text := pick(t, flow, 2, "client", "task", nil)
		ends := make(chan *messages.ServerMessage, 1)
		go func() {
			end, err := RunTask(ctx, c, messages.NewConstellationTask(messages.TaskRequest{
				ClientID: "gx@devX", TargetID: "devX", SessionID: "gx@t0", TaskName: "galaxy/gx/t0", Request: "do it",
			}))
			if err != nil {
				t.Error(err)
			}
			ends <- end
		}()
		sameWire(t, peer, text)
		raw(t, peer, "%s", pick(t, flow, 2, "server", "heartbeat", map[string]any{"session_id": "gx@t0"}))
		end := pick(t, flow, 2, "server", "task_end", map[string]any{"session_id": "gx@t0"})
		raw(t, peer, "%s", end)
		if got, want := <-ends, decoded[messages.ServerMessage](t, end); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestCapturedServer(t *testing.T) {
	flow := capture(t, "task_flow.jsonl")
	refusals := capture(t, "refusals_and_losses.jsonl")
	ctx := context.Background()
	c, s := newPair(t, nil, nil)
	peer := c.Transport()

	raw(t, peer, "%s", pick(t, flow, 1, "client", "register", nil))
	registration, err := AwaitRegistration(ctx, s)
	must(t, err)
	if registration.ClientID != "devX" || registration.ClientType != messages.Device || registration.Platform != "linux" ||
		!registration.SystemInfo.IsObject() {
		t.Errorf("registration %+v", registration)
	}
	must(t, registration.Confirm(ctx))
	sameWire(t, peer, pick(t, flow, 1, "server", "heartbeat", nil))
	must(t, AnswerHeartbeat(ctx, s))
	sameWire(t, peer, pick(t, flow, 1, "server", "heartbeat", nil))

	request := decoded[messages.ClientMessage](t, pick(t, flow, 2, "client", "task", nil))
	must(t, s.SendAck(ctx, request.SessionID))
	sameWire(t, peer, pick(t, flow, 2, "server", "heartbeat", map[string]any{"session_id": "gx@t0"}))

	running(t, s)
	command := pick(t, flow, 1, "server", "command", nil)
	model := decoded[messages.ServerMessage](t, command)
	results := make(chan []messages.Result, 1)
	sent := messages.NewCommand(messages.CommandRequest{
		SessionID: "gx@t0", TaskName: "galaxy_gx_t0", AgentName: "LinuxAgent", Actions: model.Actions,
	})
	sent.ResponseID = model.ResponseID
	go func() {
		got, err := SendCommand(ctx, s, sent)
		if err != nil {
			t.Error(err)
		}
		results <- got
	}()
	sameWire(t, peer, command)
	answer := pick(t, flow, 1, "client", "command_results", nil)
	raw(t, peer, "%s", answer)
	if got, want := <-results, decoded[messages.ClientMessage](t, answer).ActionResults; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}

	end := pick(t, flow, 2, "server", "task_end", nil)
	must(t, CompleteTask(ctx, s, "gx@t0", decoded[messages.ServerMessage](t, end).Result))
	sameWire(t, peer, end)

	info := pick(t, refusals, 4, "server", "device_info_response", nil)
	ask := decoded[messages.ClientMessage](t, pick(t, refusals, 4, "client", "device_info_request", nil))
	must(t, AnswerDeviceInfo(ctx, s, ask, decoded[messages.ServerMessage](t, info).Result))
	sameWire(t, peer, info)

	failure := pick(t, refusals, 1, "server", "error", nil)
	must(t, s.SendError(ctx, decoded[messages.ServerMessage](t, failure).Error, nil))
	sameWire(t, peer, failure)

	dispatch := pick(t, refusals, 6, "server", "task", nil)
	taken := make(chan error, 1)
	order := messages.NewTaskDispatch("e43c4aca-67c1-4538-b970-dc08f6ca9bdc", "job-1", "say hi")
	go func() {
		task, err := DispatchTask(ctx, s, order)
		if err == nil && task.Request != "say hi" {
			t.Errorf("task %+v", task)
		}
		taken <- err
	}()
	sameWire(t, peer, dispatch)
	raw(t, peer, "%s", pick(t, refusals, 6, "client", "task", nil))
	must(t, <-taken)
}

func objectOf(t testing.TB, v messages.Value) messages.Object {
	t.Helper()
	var o messages.Object
	must(t, v.Decode(&o))
	return o
}
