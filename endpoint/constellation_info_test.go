package endpoint

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// answerInfo waits for the question about a device, past heartbeats, and
// answers it.
func answerInfo(p *peer, info object) {
	p.t.Helper()
	m := p.receiveInfoRequest()
	p.send(object{"type": "device_info_response", "status": "ok", "response_id": m["request_id"], "result": info})
	p.skipHeartbeats()
}

// skipHeartbeats receives the heartbeats that have come.
func (p *peer) skipHeartbeats() {
	p.t.Helper()
	synctest.Wait()
	for p.waiting() > 0 {
		p.expect(object{"type": "heartbeat"})
	}
}

func (p *peer) receiveInfoRequest() object {
	p.t.Helper()
	m := p.receive()
	for m["type"] == "heartbeat" {
		m = p.receive()
	}
	if m["type"] != "device_info_request" {
		p.t.Fatalf("got %v", m)
	}
	return m
}

// informed connects for a device, whose server knows this about it.
func informed(t *testing.T, c *Constellation, x *exchange, device string, info object) *peer {
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- c.Connect(soon(t), device, "ws://x/ws") }()
	p := x.registration(device)
	p.send(object{"type": "heartbeat", "status": "ok"})
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	answerInfo(p, info)
	return p
}

// TestInfoAfterRegistration: the server is asked once, tasks wait for that, and
// the answer is kept.
func TestInfoAfterRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		c, x := newConstellation(t, ConstellationOptions{InfoTimeout: time.Minute, Observer: r.observe})
		connected := make(chan error, 1)
		go func() { connected <- c.Connect(soon(t), "d", "ws://x/ws") }()
		p := x.registration("d")
		p.send(object{"type": "heartbeat", "status": "ok"})
		if err := <-connected; err != nil {
			t.Fatal(err)
		}
		run := c.queue("t")
		m := p.receiveInfoRequest()
		if m["target_id"] != "d" || m["client_type"] != "constellation" {
			t.Errorf("got %v", m)
		}
		p.skipHeartbeats()
		p.expectNothing(10 * time.Second)
		if _, known := c.Info("d"); known {
			t.Error("something is known too early")
		}
		p.send(object{"type": "device_info_response", "status": "ok", "response_id": m["request_id"], "result": object{
			"platform": "linux", "platform_type": "computer", "supported_features": []string{"cli", "gui"}, "cpu_count": 4,
			"custom_metadata": object{"tags": []string{"lab"}, "floor": 3}, "tags": []string{"fast", "lab"},
		}})
		p.takes("t")
		p.ends("t")
		run.succeeds(t)

		info, known := c.Info("d")
		if !known || info.System.Platform != "linux" || info.System.CPUCount != 4 || !slices.Equal(info.Tags, []string{"fast", "lab", "lab"}) {
			t.Errorf("the info is %+v", info)
		}
		if got := info.Capabilities(); !slices.Equal(got, []string{"cli", "computer", "fast", "gui", "lab", "linux"}) {
			t.Errorf("the capabilities are %v", got)
		}
		info.System.SupportedFeatures[0], info.Tags[0] = "changed", "changed"
		if status, _ := c.Status("d"); status.Info.System.SupportedFeatures[0] != "cli" || status.Info.Tags[0] != "fast" {
			t.Errorf("the status is %+v", status)
		}
		if got := r.of(EventDeviceInfo); len(got) != 1 || got[0].DeviceID != "d" {
			t.Errorf("observed %v", got)
		}
		if _, known := c.Info("other"); known {
			t.Error("something is known of a device that is not there")
		}
	})
}

// TestInfoFails: however it does, tasks go on, and what is known stays.
func TestInfoFails(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(p *peer, request object)
		after  time.Duration
	}{
		"refused": {func(p *peer, _ object) { p.send(object{"type": "error", "status": "error", "error": "no"}) }, 0},
		"unknown": {func(p *peer, m object) {
			p.send(object{"type": "device_info_response", "status": "ok", "response_id": m["request_id"], "result": object{"error": "not found"}})
		}, 0},
		"not an object": {func(p *peer, m object) {
			p.send(object{"type": "device_info_response", "status": "ok", "response_id": m["request_id"], "result": 7})
		}, 0},
		"too large": {func(p *peer, m object) {
			p.send(object{"type": "device_info_response", "status": "ok", "response_id": m["request_id"], "result": object{"x": strings.Repeat("x", maxInfoSize)}})
		}, 0},
		"not answered": {func(*peer, object) {}, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				options := reconnecting()
				options.InfoTimeout = 10 * time.Second
				c, x := newConstellation(t, options)
				p := informed(t, c, x, "d", object{"platform": "linux"})
				cut(p)
				p = x.again("d")
				start := time.Now()
				run := c.queue("t")
				test.answer(p, p.receiveInfoRequest())
				p.takes("t")
				if took := time.Since(start); took != test.after {
					t.Errorf("the task came after %v", took)
				}
				p.ends("t")
				run.succeeds(t)
				if info, known := c.Info("d"); !known || info.System.Platform != "linux" {
					t.Errorf("the info is %+v", info)
				}
			})
		})
	}
}

// TestInfoOfAResumedSession: it is not asked for again.
func TestInfoOfAResumedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: commanding(1)})
		work := &worker{takes: time.Minute}
		w.device(DeviceOptions{Tools: []Tool{work.tool()}})
		c, events := w.constellation(ConstellationOptions{})
		task := run(c, TaskRequest{Request: "work"})
		waiting := run(c, TaskRequest{Request: "work"})
		w.cable("con@dev").cut()
		<-time.After(time.Second)
		if status, _ := c.Status("dev"); status.State != DeviceBusy || status.Queued != 1 {
			t.Errorf("the status is %+v", status)
		}
		task.succeeds(t)
		waiting.succeeds(t)
		if got := events.of(EventRegistered); len(got) != 2 || !got[1].Resumed {
			t.Errorf("observed %v", got)
		}
		if n := len(events.of(EventDeviceInfo)); n != 1 {
			t.Errorf("the server was asked %d times", n)
		}
		checkStates(t, events)
	})
}

// TestReadDeviceInfo: what is not what it should be is left out.
func TestReadDeviceInfo(t *testing.T) {
	for text, want := range map[string][]string{
		`{}`: nil,
		`{"platform":7,"supported_features":"cli","tags":[1],"custom_metadata":[]}`:                nil,
		`{"platform":"unknown","platform_type":"","supported_features":["",null,"a"]}`:             {"a"},
		`{"platform":"linux","supported_features":["a","a"],"custom_metadata":{"tags":["b","a"]}}`: {"a", "b", "linux"},
	} {
		value, err := messages.NewValue(json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}
		info := readDeviceInfo(value)
		if got := info.Capabilities(); !slices.Equal(got, want) || info.Raw.String() != text {
			t.Errorf("%s: the capabilities are %v", text, got)
		}
	}
}

// FuzzDeviceInfo: whatever a server answers can be read.
func FuzzDeviceInfo(f *testing.F) {
	f.Add(`{"platform":"linux","cpu_count":2,"supported_features":["cli"],"custom_metadata":{"tags":["lab"]},"tags":["x"]}`)
	f.Add(`{"cpu_count":1e400,"memory_total_gb":"x","custom_metadata":{"tags":{}}}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, text string) {
		value, err := messages.NewValue(json.RawMessage(text))
		if err != nil {
			return
		}
		info := readDeviceInfo(value)
		words := info.Capabilities()
		if !slices.IsSorted(words) || slices.Contains(words, "") {
			t.Errorf("the capabilities are %q", words)
		}
		if !info.has(words) || info.has([]string{""}) {
			t.Error("the capabilities are not those that it has")
		}
	})
}
