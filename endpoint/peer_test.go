package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"testing"
	"time"

	"github.com/aip-go/aip/transport"
)

// patience bounds every wait of a test. Under synctest it costs nothing.
const patience = 20 * time.Second

// object is a message as JSON, without nulls and timestamps.
type object map[string]any

// peer is the other end of a connection, driven by a test.
type peer struct {
	t  testing.TB
	tr transport.Transport
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// send sends a message.
func (p *peer) send(m object) {
	p.t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		p.t.Fatal(err)
	}
	p.sendText(string(text))
}

func (p *peer) sendText(text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.tr.Send(ctx, []byte(text)); err != nil {
		p.t.Fatalf("sending %s: %v", text, err)
	}
}

func (p *peer) sendFrames(frames ...transport.Frame) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.tr.(transport.FrameTransport).SendFrames(ctx, frames...); err != nil {
		p.t.Fatal(err)
	}
}

// receive returns the next message.
func (p *peer) receive() object {
	p.t.Helper()
	m, err := p.next()
	if err != nil {
		p.t.Fatalf("receiving: %v", err)
	}
	return m
}

func (p *peer) next() (object, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	text, err := p.tr.Receive(ctx)
	if err != nil {
		return nil, err
	}
	return parse(p.t, string(text)), nil
}

// expect returns the next message, which has to have these fields.
func (p *peer) expect(fields object) object {
	p.t.Helper()
	m := p.receive()
	for key, want := range fields {
		if got := m[key]; got != want {
			p.t.Fatalf("field %s is %v, want %v, in %v", key, got, want, m)
		}
	}
	return m
}

// expectClose waits for the end of the connection and returns its code.
func (p *peer) expectClose() transport.StatusCode {
	p.t.Helper()
	m, err := p.next()
	if err == nil {
		p.t.Fatalf("got %v, want the end of the connection", m)
	}
	var end *transport.CloseError
	if !errors.As(err, &end) {
		p.t.Fatalf("got %v, want a CloseError", err)
	}
	return end.Code
}

// expectNothing checks that no message comes for a while. It is for synctest.
func (p *peer) expectNothing(d time.Duration) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if text, err := p.tr.Receive(ctx); err == nil {
		p.t.Fatalf("got %s, want nothing", text)
	} else if !errors.Is(err, context.DeadlineExceeded) {
		p.t.Fatalf("got %v, want nothing", err)
	}
}

// waiting returns how many messages have come.
func (p *peer) waiting() int {
	return p.tr.(transport.Backlogger).Backlog().ReceiveMessages
}

func (p *peer) close() {
	p.t.Helper()
	if err := p.tr.Close(); err != nil && !errors.Is(err, io.EOF) {
		p.t.Error(err)
	}
}

// parse returns a message without nulls and timestamps.
func parse(t testing.TB, text string) object {
	t.Helper()
	var m object
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	maps.DeleteFunc(m, func(key string, value any) bool { return value == nil || key == "timestamp" })
	return m
}

// testServer is a server with the means to connect to it.
type testServer struct {
	*Server
	t testing.TB
}

// startServer starts a server that is closed at the end of the test. It watches
// its clients for silence only if the options say so.
func startServer(t testing.TB, options *ServerOptions) *testServer {
	t.Helper()
	if options.SilenceTimeout == 0 {
		options.SilenceTimeout = -1 // Tests are silent for as long as it takes.
	}
	s, err := NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &testServer{Server: s, t: t}
}

// connect returns the client's end of a new connection.
func (s *testServer) connect() *peer {
	p, _ := s.connectResult()
	return p
}

// connectResult does so and returns where Serve's result goes.
func (s *testServer) connectResult() (*peer, <-chan error) {
	client, server := transport.NewPair(nil)
	result := make(chan error, 1)
	go func() { result <- s.Serve(context.Background(), server) }()
	s.t.Cleanup(func() { _ = client.Close() })
	return &peer{s.t, client}, result
}

// device connects and registers a device.
func (s *testServer) device(id string) *peer {
	p := s.connect()
	p.send(object{"type": "register", "status": "ok", "client_id": id, "metadata": object{
		"platform": "linux", "system_info": object{"hostname": "host of " + id},
	}})
	p.expect(object{"type": "heartbeat", "status": "ok"})
	return p
}

// constellation connects and registers a constellation.
func (s *testServer) constellation(id, target string) *peer {
	p := s.connect()
	p.send(object{"type": "register", "status": "ok", "client_type": "constellation", "client_id": id, "target_id": target})
	p.expect(object{"type": "heartbeat", "status": "ok"})
	return p
}

// task asks for a task.
func (p *peer) task(target, session, request string) {
	p.t.Helper()
	p.send(object{
		"type": "task", "status": "continue", "client_type": "constellation",
		"target_id": target, "session_id": session, "request": request,
	})
}

// answerCommand waits for a command and answers it with success.
func (p *peer) answerCommand(result any) object {
	p.t.Helper()
	command := p.expect(object{"type": "command", "status": "continue"})
	p.answer(command, result)
	return command
}

// answer answers a command with success.
func (p *peer) answer(command object, result any) {
	p.t.Helper()
	results := []any{}
	for _, action := range command["actions"].([]any) {
		results = append(results, object{"status": "success", "result": result, "call_id": action.(map[string]any)["call_id"]})
	}
	p.send(object{
		"type": "command_results", "status": "continue", "session_id": command["session_id"],
		"prev_response_id": command["response_id"], "action_results": results,
	})
}
