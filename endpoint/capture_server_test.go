package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// recordedSystem is what the recording's device said about itself.
var recordedSystem = &messages.SystemInfo{
	DeviceID: "devX", Platform: "linux", OSVersion: "#1 SMP PREEMPT_DYNAMIC @0", CPUCount: 2, Hostname: "vm",
	IPAddress: "192.0.2.2", PlatformType: "computer",
	SupportedFeatures: []string{"gui", "cli", "browser", "file_system", "office", "linux_apps"},
}

// echoTool does what the recording's stub of a tool did.
var echoTool = Tool{
	Name: "execute_command",
	Run: func(_ context.Context, parameters messages.Value) (any, error) {
		return map[string]messages.Value{"echo": parameters}, nil
	},
}

// dialer returns a Dialer that yields t, once.
func dialer(t transport.Transport) Dialer {
	return func(context.Context, string) (transport.Transport, error) { return t, nil }
}

// TestCapturedServerForDevice plays the server's side of the recording against
// our device, which has to send what the reference's device sent.
func TestCapturedServerForDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := transport.NewPair(nil)
		device, err := NewDevice(&DeviceOptions{
			ID: "devX", Platform: messages.PlatformLinux, SystemInfo: recordedSystem, Tools: []Tool{echoTool},
			Dial: dialer(ours), HeartbeatInterval: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		ended := make(chan error, 1)
		go func() { ended <- device.Run(ctx) }()

		p, start := &peer{t, theirs}, time.Time{}
		for _, f := range readCapture(t, "task_flow.jsonl") {
			if f.Conn != 1 {
				continue
			}
			switch {
			case f.From == "client" && f.Text != "":
				got := p.receive()
				if start.IsZero() {
					start = time.Now().Add(-f.at())
				}
				compareClient(t, f.line, parse(t, f.Text), got)
			case f.From == "server" && f.Text != "":
				<-time.After(time.Until(start.Add(f.at())))
				p.sendText(f.Text)
			case f.From == "client" && f.Close != nil:
				stop()
				if code := p.expectClose(); code != transport.StatusNormal {
					t.Errorf("the device closed with %v", code)
				}
			}
		}
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// compareClient compares a message of our client with a recorded one. Request
// ids are the client's own.
func compareClient(t *testing.T, line int, want, got object) {
	t.Helper()
	if (want["request_id"] == nil) != (got["request_id"] == nil) {
		t.Errorf("line %d: request_id is %v, recorded is %v", line, got["request_id"], want["request_id"])
	}
	for _, m := range []object{want, got} {
		delete(m, "request_id")
		if metadata, ok := m["metadata"].(map[string]any); ok {
			delete(metadata, "registration_time")
			// It is offered, and the recorded server does not know it.
			delete(metadata, resilience.ResumeExtension)
		}
		results, _ := m["action_results"].([]any)
		for _, result := range results {
			for key, value := range result.(map[string]any) {
				if value == nil {
					delete(result.(map[string]any), key)
				}
			}
		}
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("line %d:\n got %v\nwant %v", line, got, want)
	}
}

// TestCapturedServerForConstellation plays the server's side of the recording
// against our constellation, which has to send what the reference's sent.
func TestCapturedServerForConstellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := transport.NewPair(nil)
		constellation, err := NewConstellation(&ConstellationOptions{
			Name: "gx", Dial: dialer(ours), HeartbeatInterval: 500 * time.Millisecond, NoDeviceInfo: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		user := make(chan error, 1)
		go func() { user <- recordedUser(constellation) }()

		p, known := &peer{t, theirs}, ids{}
		for _, f := range readCapture(t, "task_flow.jsonl") {
			if f.Conn != 2 || f.Text == "" {
				continue
			}
			m := parse(t, f.Text)
			switch {
			case m["type"] == "heartbeat" && f.From == "client":
				// Heartbeats are answered as they come: by receiveBetween.
			case m["type"] == "error":
				// This refused a heartbeat that claimed the wrong role. Ours
				// claims the right one (spec 8, D9), so the server acks it.
			case f.From == "client":
				got := p.receiveBetween()
				known.learn(m["request_id"], got["request_id"])
				compareClient(t, f.line, m, got)
			default:
				p.sendText(translateText(t, known, f.Text))
			}
		}
		if err := <-user; err != nil {
			t.Error(err)
		}
		for {
			_, err := p.next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("the constellation ended with %v", err)
				}
				break
			}
		}
	})
}

// receiveBetween returns the next message that is no heartbeat, and answers
// those.
func (p *peer) receiveBetween() object {
	p.t.Helper()
	for {
		m := p.receive()
		if m["type"] != "heartbeat" {
			return m
		}
		if m["client_type"] != "constellation" {
			p.t.Errorf("heartbeat claims the role %v", m["client_type"])
		}
		p.send(object{"type": "heartbeat", "status": "ok", "response_id": "ack"})
	}
}

// recordedUser does with a constellation what the recording's program did.
func recordedUser(c *Constellation) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Connect(ctx, "devX", "ws://server/ws"); err != nil {
		return err
	}
	info, err := c.DeviceInfo(ctx, "devX")
	if err != nil {
		return err
	}
	if want := recordedSystem.Value().String(); info.String() == "" || parseInfo(info) != parseInfo(recordedSystem.Value()) {
		return fmt.Errorf("device info is %s, want %s", info, want)
	}
	for _, id := range []string{"t0", "t1", "q0", "q1"} {
		result, err := c.Run(ctx, "devX", TaskRequest{ID: id, Name: "galaxy/gx/" + id, Request: "do it"})
		if err != nil {
			return err
		}
		var rounds []struct {
			Request string            `json:"request"`
			Result  []messages.Result `json:"result"`
		}
		if err := result.Result.Decode(&rounds); err != nil {
			return err
		}
		if result.SessionID != "gx@"+id || len(rounds) != 2 || rounds[1].Result[0].Status != messages.ResultSuccess {
			return fmt.Errorf("task %s ended with %+v", id, result)
		}
	}
	return c.Close()
}

// parseInfo returns what a system info says, in a comparable form.
func parseInfo(v messages.Value) string {
	var m map[string]any
	if err := v.Decode(&m); err != nil {
		return err.Error()
	}
	m["memory_total_gb"] = nil // 0.0 and 0.00 are the same
	return fmt.Sprint(m)
}
