package endpoint

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

func TestDeviceHeartbeats(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{0: 25 * time.Second, time.Second: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := transport.NewPair(nil)
			device, err := NewDevice(&DeviceOptions{ID: "d", Reconnect: &ReconnectOptions{Off: true}, Dial: dialer(ours), HeartbeatInterval: interval})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			result := make(chan error, 1)
			go func() { result <- device.Run(ctx) }()
			p := &peer{t, theirs}
			p.expect(object{"type": "register"})
			p.send(object{"type": "heartbeat", "status": "ok"})
			synctest.Wait()
			for range 3 {
				start := time.Now()
				ctx, cancel := context.WithTimeout(ctx, time.Minute)
				text, err := theirs.Receive(ctx)
				cancel()
				if err != nil {
					t.Fatal(err)
				}
				if m := parse(t, string(text)); m["type"] != "heartbeat" || m["client_type"] != "device" || m["client_id"] != "d" || time.Since(start) != want {
					t.Errorf("after %v came %v", time.Since(start), m)
				}
			}
			stop()
			if err := <-result; err != nil {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}

// TestDeviceRunReturns: the device ends with its connection, and says how.
func TestDeviceRunReturns(t *testing.T) {
	tests := map[string]struct {
		end       func(*peer)
		want      error
		retryable bool
	}{
		"closed":   {func(p *peer) { p.close() }, io.EOF, true},
		"leaving":  {func(p *peer) { _ = p.tr.(transport.CodeCloser).CloseWith(transport.StatusGoingAway, "") }, io.EOF, true},
		"lost":     {func(p *peer) { p.tr.(transport.Aborter).Abort(errors.New("cut")) }, io.ErrUnexpectedEOF, true},
		"violated": {func(p *peer) { _ = p.tr.(transport.CodeCloser).CloseWith(transport.StatusPolicyViolation, "") }, nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, device, result := runDevice(t, DeviceOptions{})
				synctest.Wait()
				test.end(server)
				err := <-result
				if err == nil || test.want != nil && !errors.Is(err, test.want) || transport.Retryable(err) != test.retryable {
					t.Errorf("Run returned %v", err)
				}
				if _, err := device.SendFile(soon(t), "x", nil); !errors.Is(err, ErrNotConnected) {
					t.Errorf("SendFile returned %v", err)
				}
			})
		})
	}
}

// TestDeviceRegistrationFails: only a heartbeat that says ok is a confirmation
// (spec 8, D20).
func TestDeviceRegistrationFails(t *testing.T) {
	tests := map[string]struct {
		reply   string
		failure protocol.RegistrationFailure
	}{
		"refused":        {`{"type":"error","status":"error","error":"already there"}`, protocol.RegistrationRefused},
		"a command":      {`{"type":"command","status":"ok","response_id":"r","actions":[]}`, protocol.RegistrationInvalid},
		"not ok":         {`{"type":"heartbeat","status":"failed"}`, protocol.RegistrationInvalid},
		"not JSON":       {`hello`, protocol.RegistrationInvalid},
		"nothing":        {``, protocol.RegistrationTimeout},
		"end (see code)": {`close`, protocol.RegistrationLost},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := transport.NewPair(nil)
				device, err := NewDevice(&DeviceOptions{ID: "d", Reconnect: &ReconnectOptions{Off: true}, Dial: dialer(ours)})
				if err != nil {
					t.Fatal(err)
				}
				result := make(chan error, 1)
				go func() { result <- device.Run(context.Background()) }()
				p := &peer{t, theirs}
				p.expect(object{"type": "register"})
				switch test.reply {
				case "":
				case "close":
					p.close()
				default:
					p.sendText(test.reply)
				}
				var failed *protocol.RegistrationError
				if err := <-result; !errors.As(err, &failed) || failed.Failure != test.failure {
					t.Errorf("Run returned %v", err)
				}
				if test.reply != "close" {
					p.expectClose()
				}
			})
		})
	}
}

func TestDeviceRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, device, _ := runDevice(t, DeviceOptions{})
		if err := device.Run(context.Background()); !errors.Is(err, ErrAlreadyRunning) {
			t.Errorf("Run returned %v", err)
		}
	})
}

// TestDeviceRunsAgain: a device can be run again.
func TestDeviceRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := make(chan transport.Transport, 2)
		device, err := NewDevice(&DeviceOptions{ID: "d", Reconnect: &ReconnectOptions{Off: true}, HeartbeatInterval: -1, Dial: func(context.Context, string) (transport.Transport, error) {
			ours, theirs := transport.NewPair(nil)
			ends <- theirs
			return ours, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			result := make(chan error, 1)
			go func() { result <- device.Run(context.Background()) }()
			p := &peer{t, <-ends}
			p.expect(object{"type": "register"})
			p.send(object{"type": "heartbeat", "status": "ok"})
			p.send(command("r", ""))
			p.results("r")
			p.close()
			if err := <-result; !errors.Is(err, io.EOF) {
				t.Errorf("Run returned %v", err)
			}
		}
	})
}

func TestDeviceDialFails(t *testing.T) {
	refused := errors.New("refused")
	device, err := NewDevice(&DeviceOptions{ID: "d", URL: "ws://x/ws", Reconnect: &ReconnectOptions{Off: true}, Dial: func(_ context.Context, url string) (transport.Transport, error) {
		if url != "ws://x/ws" {
			t.Errorf("dialled %q", url)
		}
		return nil, refused
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := device.Run(context.Background()); !errors.Is(err, refused) {
			t.Errorf("Run returned %v", err)
		}
	}
}

func TestNewDeviceOptions(t *testing.T) {
	run := func(context.Context, messages.Value) (any, error) { return nil, nil }
	text, err := messages.NewValue("text")
	if err != nil {
		t.Fatal(err)
	}
	tools := map[string][]Tool{
		"no name":    {{Run: run}},
		"no Run":     {{Name: "a"}},
		"wrong type": {{Name: "a", Type: "x", Run: run}},
		"twice":      {{Name: "a", Run: run}, {Name: "a", Type: messages.ToolAction, Run: run}},
		"bad schema": {{Name: "a", Run: run, InputSchema: text}},
	}
	options := map[string]*DeviceOptions{"nil": nil, "no id": {URL: "ws://x"}, "no URL": {ID: "d"}}
	for name, list := range tools {
		options[name] = &DeviceOptions{ID: "d", URL: "ws://x", Tools: list}
	}
	for name, o := range options {
		if _, err := NewDevice(o); !errors.Is(err, ErrInvalidOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	own := []Tool{{Name: "list_tools", Run: run}, {Name: "a", Run: run}, {Name: "a", Type: messages.ToolDataCollection, Run: run}}
	if _, err := NewDevice(&DeviceOptions{ID: "d", URL: "ws://x", Tools: own}); err != nil {
		t.Error(err)
	}
}
