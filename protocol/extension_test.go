package protocol

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		as(c, messages.Constellation)
		m := NewMetricsMiddleware()
		if got := m.Snapshot(); got.MessagesSent != 0 || got.MessageTypes == nil {
			t.Errorf("at first: %+v", got)
		}
		c.Extend(m)
		ctx := context.Background()
		takes := time.Second
		s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, r *messages.ClientMessage) error {
			time.Sleep(takes)
			takes += 2 * time.Second
			return AnswerDeviceInfo(ctx, s, r, value(t, 1))
		})
		s.Handle(messages.ClientHeartbeat, func(context.Context, *messages.ClientMessage) error { return nil })
		running(t, s)
		wait := start(ctx, c)
		for range 3 {
			_, err := RequestDeviceInfo(ctx, c, "d")
			must(t, err)
		}
		must(t, SendHeartbeat(ctx, c))
		raw(t, s.Transport(), "nonsense")
		c.Handle(messages.ServerHeartbeat, func(context.Context, *messages.ServerMessage) error { return errors.New("no") })
		must(t, AnswerHeartbeat(ctx, s))
		synctest.Wait()
		_ = c.Send(ctx, nil)
		must(t, c.sendUnit(ctx, []byte(`{"type":"binary_data","size":3}`), []byte("abc")))
		must(t, c.SendRaw(ctx, []byte(`{"type":"heartbeat","status":"ok"}`)))
		must(t, s.Close())
		must(t, wait())
		got := m.Snapshot()
		wantTypes := map[string]uint64{"device_info_request": 3, "heartbeat": 2, "binary_data": 1}
		if got.MessagesSent != 6 || got.MessagesReceived != 4 || got.ConnectionsEstablished != 1 || got.ConnectionsClosed != 1 ||
			!maps.Equal(got.MessageTypes, wantTypes) || got.BytesSent == 0 || got.BytesReceived == 0 {
			t.Errorf("got %+v", got)
		}
		if got.Errors != 2 { // what was invalid, and the handler
			t.Errorf("%d errors", got.Errors)
		}
		if got.Latencies != 3 || got.MinLatency != time.Second || got.MaxLatency != 5*time.Second || got.AvgLatency != 3*time.Second {
			t.Errorf("latencies: %+v", got)
		}
		got.MessageTypes["mine"] = 1
		m.Reset()
		if got := m.Snapshot(); got.MessagesSent != 0 || got.Latencies != 0 || len(got.MessageTypes) != 0 {
			t.Errorf("after the reset: %+v", got)
		}
	})
}

func TestMetricsTimesCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := flowPair(t, messages.Device)
		m := NewMetricsMiddleware()
		s.Extend(m)
		c.Handle(messages.ServerCommand, func(ctx context.Context, command *messages.ServerMessage) error {
			time.Sleep(2 * time.Second)
			return NewCommandAnswer(c, command).Fail(ctx, "x")
		})
		_, err := SendCommand(context.Background(), s, twoCommands())
		must(t, err)
		if got := m.Snapshot(); got.Latencies != 1 || got.AvgLatency != 2*time.Second {
			t.Errorf("got %+v", got)
		}
	})
}

func TestMetricsAreBounded(t *testing.T) {
	m := NewMetricsMiddleware()
	for i := range 10 * maxAsked {
		m.MessageSent(MessageInfo{Type: "device_info_request", RequestID: fmt.Sprint(i)})
		m.MessageSent(MessageInfo{Type: fmt.Sprint("type", i)})
		if i%3 == 0 {
			m.MessageReceived(MessageInfo{ResponseID: fmt.Sprint(i)})
		}
	}
	if len(m.asked) > maxAsked || len(m.oldest) > maxAsked || len(m.metrics.MessageTypes) > maxTypes+1 {
		t.Errorf("%d ids, %d in order, %d types", len(m.asked), len(m.oldest), len(m.metrics.MessageTypes))
	}
	if got := m.Snapshot(); got.MessageTypes[otherTypes] == 0 || got.MessagesSent != 20*maxAsked {
		t.Errorf("got %+v", got)
	}
}

func TestLogging(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	c, s := newPair(t, nil, nil)
	c.Extend(NewLoggingMiddleware(zap.New(core), nil))
	ctx := context.Background()
	request := messages.NewDeviceTask("dev", "job", "the secret request", "linux")
	request.SessionID = "s1"
	must(t, c.Send(ctx, request))
	must(t, s.Send(ctx, messages.NewTaskFailed("s1", "the secret reason", messages.Value{})))
	_, err := c.Receive(ctx)
	must(t, err)
	raw(t, s.Transport(), "the secret nonsense")
	_, err = c.Receive(ctx)
	if !errors.Is(err, ErrMessage) {
		t.Fatal(err)
	}
	must(t, s.Close())
	_, _ = c.Receive(ctx)
	var lines []string
	for _, entry := range logs.All() {
		line := fmt.Sprint(entry.Level, " ", entry.Message, " ", entry.ContextMap())
		if strings.Contains(line, "secret") {
			t.Errorf("contents in the log: %s", line)
		}
		lines = append(lines, fmt.Sprint(entry.Level, " ", entry.Message))
	}
	want := "debug [CONN] connection established, debug [OUT], debug [IN], warn [ERROR] receive, debug [DISC] connection closed"
	if got := strings.Join(lines, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	out := logs.FilterMessage("[OUT]").All()[0].ContextMap()
	if out["type"] != "task" || out["session_id"] != "s1" || out["request_id"] != request.RequestID ||
		out["client_id"] != "dev" || out["task_name"] != "job" || out["status"] != "continue" || out["size"].(int64) == 0 {
		t.Errorf("logged %v", out)
	}
	if _, has := out["prev_response_id"]; has {
		t.Errorf("an unset field is logged: %v", out)
	}
}

func TestLoggingContents(t *testing.T) {
	for _, test := range []struct {
		limit int
		want  string
	}{{0, `{"type":"ü…"}`}, {-1, `{"type":"ü…"}`}, {9, `{"type":"`}, {10, `{"type":"`}, {11, `{"type":"ü`}, {12, `{"type":"ü`}} {
		core, logs := observer.New(zap.DebugLevel)
		level := zapcore.InfoLevel
		l := NewLoggingMiddleware(zap.New(core), &LoggingOptions{Level: &level, Contents: true, MaxContents: test.limit})
		l.MessageSent(MessageInfo{Type: "x", Data: []byte(`{"type":"ü…"}`)})
		entry := logs.All()[0]
		if entry.Level != zap.InfoLevel || entry.ContextMap()["message"] != test.want {
			t.Errorf("limit %d: %v", test.limit, entry)
		}
	}
	core, logs := observer.New(zap.InfoLevel)
	NewLoggingMiddleware(zap.New(core), nil).MessageSent(MessageInfo{})
	NewLoggingMiddleware(nil, nil).MessageSent(MessageInfo{})
	if logs.Len() != 0 {
		t.Errorf("logged below the level: %v", logs.All())
	}
}

// TestSendAllocates: without middleware, extensions and validation, sending
// costs next to nothing beyond what the transport costs. (Under the race
// detector the pool of buffers forgets some.)
func TestSendAllocates(t *testing.T) {
	c, err := NewClient(sink{}, &Options{SkipValidation: true})
	must(t, err)
	m := messages.NewDeviceHeartbeat("dev")
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() { must(t, c.Send(ctx, m)) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

// sink is a transport that takes everything in.
type sink struct{ transport.Transport }

func (sink) Send(context.Context, []byte) error { return nil }
