package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// The tests of this file are lines of section 9.1: connecting a device of this
// SDK to the reference's server. Its work is in device_work_test.go.

// once makes a device that has one connection and no other.
var once = &endpoint.ReconnectOptions{Off: true}

// quick makes a device that tries again at once.
var quick = &endpoint.ReconnectOptions{Strategy: soon{}}

type soon struct{}

func (soon) NextDelay(int, error) (time.Duration, bool) { return 10 * time.Millisecond, true }

// TestDeviceAddress: the token gets through, percent-encoded; a 403 is final,
// also with reconnection; a failing server and a refused connection are not;
// nothing shows the token (9.1.1).
func TestDeviceAddress(t *testing.T) {
	s := startServer(t)
	s.odd = true // its failing path is reported
	d := s.device(t, endpoint.DeviceOptions{}, websocket.Options{})
	d.stop()
	if err := d.end(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		url, token string
		reconnect  *endpoint.ReconnectOptions
		status     int
		retryable  bool
	}{
		"wrong token": {s.url, "wrong", nil, 403, false},
		"wrong path":  {s.url + "/", key, nil, 403, false},
		"failing":     {"ws://" + s.address + "/broken", key, once, 500, true},
		"refused":     {"ws://" + listener.Addr().String() + "/ws", key, once, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := s.run(t, endpoint.DeviceOptions{URL: test.url, Reconnect: test.reconnect}, websocket.Options{Token: test.token})
			err := d.end(t)
			status := 0
			var answer *websocket.HandshakeError
			if errors.As(err, &answer) {
				status = answer.StatusCode
			}
			if err == nil || status != test.status || transport.Retryable(err) != test.retryable {
				t.Errorf("Run returned %v, retryable %t", err, transport.Retryable(err))
			}
			leaks(t, fmt.Sprint(err))
			for _, line := range d.logs.All() {
				leaks(t, fmt.Sprint(line.Message, line.ContextMap()))
			}
		})
	}
	for _, line := range d.logs.All() {
		leaks(t, fmt.Sprint(line.Message, line.ContextMap()))
	}
}

// TestDevicePings: both sides ping, and answer, while a tool runs, for longer
// than the server's ping timeout (9.1.2).
func TestDevicePings(t *testing.T) {
	s := startServer(t, "--ping-interval", "0.2", "--ping-timeout", "1.5")
	pongs, release := newJournal[time.Duration](), make(chan struct{})
	d := s.device(t, endpoint.DeviceOptions{Tools: []endpoint.Tool{{
		Name: "wait", Run: func(context.Context, messages.Value) (any, error) { <-release; return nil, nil },
	}}}, websocket.Options{PingInterval: 200 * time.Millisecond, Hooks: websocket.Hooks{Ping: pongs.add}})
	s.command("c", object{"tool_name": "wait"})
	d.observes(t, endpoint.EventCommand)
	for range 9 { // 1.8 s
		s.happens("pong")
	}
	for range 5 {
		s.happens("ping")
		pongs.await(t, "pong", func(time.Duration) bool { return true })
	}
	close(release)
	s.answer("c")
}

// TestDeviceLargeMessages: results and parameters of 20 MiB (9.1.2).
func TestDeviceLargeMessages(t *testing.T) {
	const size = 20 << 20
	s := startServer(t)
	s.device(t, endpoint.DeviceOptions{Tools: []endpoint.Tool{{
		Name: "big", Run: func(context.Context, messages.Value) (any, error) { return strings.Repeat("x", size), nil },
	}, {
		Name: "length", Run: func(_ context.Context, p messages.Value) (any, error) {
			var parameters struct{ Text string }
			err := p.Decode(&parameters)
			return len(parameters.Text), err
		},
	}}}, websocket.Options{})
	s.command("big", object{"tool_name": "big"})
	if h := s.await(t, "results", func(h *happening) bool { return h.Event == "received" && h.Size > size }); h.Size > size+1000 {
		t.Errorf("%d bytes came", h.Size)
	}
	s.command("length", object{"tool_name": "length", "parameters": object{"text": strings.Repeat("y", size)}})
	if r := results(t, s.answer("length")); r[0]["result"] != float64(size) {
		t.Errorf("the results are %v", r)
	}
}

// TestDeviceCompression: compression is offered when it is asked for, and works
// then; no subprotocol is (9.1.2).
func TestDeviceCompression(t *testing.T) {
	for _, compression := range []bool{false, true} {
		t.Run(fmt.Sprintf("compression %t", compression), func(t *testing.T) {
			s := startServer(t)
			s.device(t, endpoint.DeviceOptions{}, websocket.Options{Compression: compression})
			h := s.happens("handshake")
			if strings.HasPrefix(h.Offered, "permessage-deflate") != compression || len(h.Subprotos) != 0 {
				t.Errorf("offered %q, subprotocols %q", h.Offered, h.Subprotos)
			}
			text := strings.Repeat("ä compressible text ", 500)
			s.command("c", object{"tool_name": "echo", "parameters": object{"text": text}})
			if r := results(t, s.answer("c")); r[0]["result"].(object)["text"] != text {
				t.Error("the text came back changed")
			}
		})
	}
}

// TestDeviceRegistration: the first frame is a registration as the server
// expects it, with the system information as an object (9.1.3), and an offer to
// resume in its metadata, which such a server does not know.
func TestDeviceRegistration(t *testing.T) {
	s := startServer(t)
	s.device(t, endpoint.DeviceOptions{}, websocket.Options{})
	m := s.receives("register", with("status", "ok"), with("client_type", "device"), with("client_id", "dev"))
	metadata := m["metadata"].(object)
	info, ok := metadata["system_info"].(object)
	if !ok || metadata["platform"] != "linux" || info["device_id"] != "dev" || info["schema_version"] != "1.0" {
		t.Errorf("the metadata is %v", metadata)
	}
	if metadata["io.aip.resume"] == nil {
		t.Errorf("no offer in %v", metadata)
	}
	if online := s.call("GET", "/api/clients", nil); fmt.Sprint(online["online_clients"]) != "[dev]" {
		t.Errorf("the server knows %v", online)
	}
}

// TestDeviceNoNumbers: towards a server that did not agree to resume, frames
// have no seq and no ack, nor any other field that the server's model does not
// know, and tasks and heartbeats go on after a loss (9.1.3, 9.1.12).
func TestDeviceNoNumbers(t *testing.T) {
	s := startServer(t)
	d := s.device(t, endpoint.DeviceOptions{HeartbeatInterval: 50 * time.Millisecond, Reconnect: quick}, websocket.Options{})
	for round := range 2 {
		s.receives("register")
		id := fmt.Sprint("round ", round)
		s.command(id, object{"tool_name": "echo", "parameters": object{"a": 1}})
		s.answer(id)
		s.receives("heartbeat")
		s.do("close", object{"client": "dev", "code": 1011})
		d.observes(t, endpoint.EventRegistered)
		s.await(t, "registration", func(h *happening) bool { return h.Event == "registered" })
	}
	if n := s.count(is("unknown")); n != 0 {
		t.Errorf("%d frames with unknown fields", n)
	}
}

// TestDeviceRegistrationFails: silence ends by the device's own deadline; an
// answer that is none, an error and a close are failures (9.1.4).
func TestDeviceRegistrationFails(t *testing.T) {
	for mode, test := range map[string]struct {
		failure   protocol.RegistrationFailure
		retryable bool
	}{
		"silent": {protocol.RegistrationTimeout, true},
		"wrong":  {protocol.RegistrationInvalid, false},
		"close":  {protocol.RegistrationLost, true},
	} {
		t.Run(mode, func(t *testing.T) {
			s := startServer(t, "--registration", mode)
			d := s.run(t, endpoint.DeviceOptions{Reconnect: once, RegistrationTimeout: 500 * time.Millisecond}, websocket.Options{})
			err := d.end(t)
			var failed *protocol.RegistrationError
			if !errors.As(err, &failed) || failed.Failure != test.failure || transport.Retryable(err) != test.retryable {
				t.Errorf("Run returned %v, retryable %t", err, transport.Retryable(err))
			}
		})
	}
}

// TestDeviceDuplicate: a device that is registered already is told so, and may
// try again; it gets in when the other one is gone (9.1.4).
func TestDeviceDuplicate(t *testing.T) {
	s := startServer(t)
	first := s.device(t, endpoint.DeviceOptions{}, websocket.Options{})
	second := s.run(t, endpoint.DeviceOptions{Reconnect: once}, websocket.Options{})
	err := second.end(t)
	var (
		refused *protocol.RegistrationError
		remote  *protocol.RemoteError
	)
	if !errors.As(err, &refused) || refused.Failure != protocol.RegistrationRefused || !errors.As(err, &remote) ||
		!strings.Contains(remote.Message, "dev") || !transport.Retryable(err) {
		t.Fatalf("Run returned %v", err)
	}
	if after, ok := refused.RetryAfter(); !ok || after <= 0 {
		t.Errorf("it may try again after %v, %t", after, ok)
	}
	first.stop()
	if left := s.happens("left"); left.Client != "dev" || left.Code != 1000 {
		t.Errorf("the server saw %+v", left)
	}
	s.device(t, endpoint.DeviceOptions{}, websocket.Options{})
}

// TestDeviceLoss: a server that closes, or is killed, in the middle of a
// command ends the command and is reported as what it is; without reconnection
// Run returns it (9.1.12).
func TestDeviceLoss(t *testing.T) {
	for name, test := range map[string]struct {
		cut  func(*pyServer)
		want error
		code transport.StatusCode
	}{
		"close":     {func(s *pyServer) { s.do("close", object{"client": "dev", "code": 1000}) }, io.EOF, 1000},
		"going":     {func(s *pyServer) { s.do("close", object{"client": "dev", "code": 1001}) }, io.EOF, 1001},
		"violation": {func(s *pyServer) { s.do("close", object{"client": "dev", "code": 1008}) }, nil, 1008},
		"end":       {func(s *pyServer) { s.stop() }, nil, 1012},
		"kill":      {func(s *pyServer) { s.kill() }, io.ErrUnexpectedEOF, 1006},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			cancelled := make(chan struct{})
			d := s.device(t, endpoint.DeviceOptions{Reconnect: once, Tools: []endpoint.Tool{{
				Name: "wait", Run: func(ctx context.Context, _ messages.Value) (any, error) {
					<-ctx.Done()
					close(cancelled)
					return nil, ctx.Err()
				},
			}}}, websocket.Options{})
			s.command("c", object{"tool_name": "wait"})
			d.observes(t, endpoint.EventCommand)
			test.cut(s)
			<-cancelled
			err := d.end(t)
			var end *transport.CloseError
			if !errors.As(err, &end) || end.Code != test.code || !end.Remote && name != "kill" || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("Run returned %v (%+v)", err, end)
			}
		})
	}
}

// TestDeviceComesBack: after a close, and after a new server took the place of a
// killed one, the device registers again by itself; what ran before is not
// answered on the new connection (9.1.12).
func TestDeviceComesBack(t *testing.T) {
	s := startServer(t)
	d := s.device(t, endpoint.DeviceOptions{Reconnect: quick, Tools: []endpoint.Tool{{
		Name: "wait", Run: func(ctx context.Context, _ messages.Value) (any, error) { <-ctx.Done(); return nil, ctx.Err() },
	}}}, websocket.Options{})
	s.command("old", object{"tool_name": "wait"})
	d.observes(t, endpoint.EventCommand)
	s.do("close", object{"client": "dev", "code": 1001})
	s.await(t, "registration", func(h *happening) bool { return h.Event == "registered" })
	s.command("new", object{"tool_name": "echo"})
	s.answer("new")
	if n := s.received("command_results", with("prev_response_id", "old")); n != 0 {
		t.Errorf("%d late answers came", n)
	}
}
