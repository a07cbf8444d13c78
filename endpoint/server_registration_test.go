package endpoint

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// noTasks is a handler for tests in which no task is taken on.
func noTasks(context.Context, *Task) (any, error) { return nil, errors.New("no task was expected") }

// register is a registration of a device.
func register(id string) object { return object{"type": "register", "status": "ok", "client_id": id} }

// TestWrongFirstMessage: whatever a client sends instead of a registration, it
// is told so and disconnected (spec 8, D3).
func TestWrongFirstMessage(t *testing.T) {
	tests := map[string]struct {
		frame transport.Frame
		code  transport.StatusCode
	}{
		"not JSON":        {text("{not json"), transport.StatusInvalidPayload},
		"empty":           {text(""), transport.StatusInvalidPayload},
		"no object":       {text("[]"), transport.StatusPolicyViolation},
		"no type":         {text(`{"status":"ok","client_id":"d"}`), transport.StatusPolicyViolation},
		"no status":       {text(`{"type":"register","client_id":"d"}`), transport.StatusPolicyViolation},
		"unknown type":    {text(`{"type":"REGISTER","status":"ok","client_id":"d"}`), transport.StatusPolicyViolation},
		"unknown role":    {text(`{"type":"register","status":"ok","client_id":"d","client_type":"server"}`), transport.StatusPolicyViolation},
		"no client_id":    {text(`{"type":"register","status":"ok"}`), transport.StatusPolicyViolation},
		"empty client_id": {text(`{"type":"register","status":"ok","client_id":""}`), transport.StatusPolicyViolation},
		"another message": {text(`{"type":"heartbeat","status":"ok","client_id":"d"}`), transport.StatusPolicyViolation},
		"binary":          {transport.Frame{Kind: transport.Binary, Data: []byte(`{"type":"register","status":"ok","client_id":"d"}`)}, transport.StatusUnsupportedData},
		"binary rubbish":  {transport.Frame{Kind: transport.Binary, Data: []byte{0, 1, 2}}, transport.StatusUnsupportedData},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := startServer(t, &ServerOptions{Handler: noTasks})
				p, result := server.connectResult()
				p.sendFrames(test.frame)
				m := p.expect(object{"type": "error", "status": "error"})
				if m["error"] == nil {
					t.Errorf("the error says nothing: %v", m)
				}
				if code := p.expectClose(); code != test.code {
					t.Errorf("closed with %v, want %v", code, test.code)
				}
				var failed *protocol.RegistrationError
				if err := <-result; !errors.As(err, &failed) || failed.Failure != protocol.RegistrationInvalid {
					t.Errorf("Serve returned %v", err)
				}
				server.device("d") // nothing of it is left
			})
		})
	}
}

func text(s string) transport.Frame { return transport.Frame{Kind: transport.Text, Data: []byte(s)} }

// TestFirstMessageIsAnError: it is not answered with an error, but the
// connection is closed.
func TestFirstMessageIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := startServer(t, &ServerOptions{Handler: noTasks}).connect()
		p.send(object{"type": "error", "status": "error", "error": "boom"})
		if code := p.expectClose(); code != transport.StatusPolicyViolation {
			t.Errorf("closed with %v", code)
		}
	})
}

func TestRegistrationDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks})
		p, result := server.connectResult()
		start := time.Now()
		p.expect(object{"type": "error"})
		if code := p.expectClose(); code != transport.StatusPolicyViolation {
			t.Errorf("closed with %v", code)
		}
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("waited %v", waited)
		}
		var failed *protocol.RegistrationError
		if err := <-result; !errors.As(err, &failed) || failed.Failure != protocol.RegistrationTimeout {
			t.Errorf("Serve returned %v", err)
		}
	})
}

// TestRegistrationSize: little is read from who is not registered, more
// afterwards.
func TestRegistrationSize(t *testing.T) {
	const limit = 1000
	padded := func(m object, size int) string {
		m["request"] = ""
		short := len(marshal(t, m))
		m["request"] = strings.Repeat("x", size-short)
		return marshal(t, m)
	}
	for size, code := range map[int]transport.StatusCode{limit - 1: 0, limit: 0, limit + 1: transport.StatusMessageTooBig} {
		synctest.Test(t, func(t *testing.T) {
			server := startServer(t, &ServerOptions{Handler: noTasks, MaxRegistrationSize: limit, MaxMessageSize: 2 * limit})
			p := server.connect()
			synctest.Wait() // for the limit
			p.sendText(padded(register("d"), size))
			if code != 0 {
				if got := p.expectClose(); got != code {
					t.Errorf("%d bytes: closed with %v", size, got)
				}
				return
			}
			p.expect(object{"type": "heartbeat", "status": "ok"})
			p.sendText(padded(object{"type": "heartbeat", "status": "ok"}, 2*limit))
			p.expect(object{"type": "heartbeat", "status": "ok"})
			p.sendText(padded(object{"type": "heartbeat", "status": "ok"}, 2*limit+1))
			if got := p.expectClose(); got != transport.StatusMessageTooBig {
				t.Errorf("closed with %v", got)
			}
		})
	}
}

// TestRegistrationIsRefused: duplicate ids and targets that are not there are
// refused as the reference does, and nobody else notices.
func TestRegistrationIsRefused(t *testing.T) {
	tests := map[string]object{
		"id of a device":        register("dev"),
		"id of a constellation": register("con"),
		"other role":            {"type": "register", "status": "ok", "client_type": "constellation", "client_id": "dev"},
		"target not there":      {"type": "register", "status": "ok", "client_type": "constellation", "client_id": "c2", "target_id": "ghost"},
		"target is no device":   {"type": "register", "status": "ok", "client_type": "constellation", "client_id": "c2", "target_id": "con"},
	}
	for name, registration := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := startServer(t, &ServerOptions{Handler: noTasks})
				first := server.device("dev")
				server.constellation("con", "dev")
				p, result := server.connectResult()
				p.send(registration)
				p.expect(object{"type": "error", "status": "error"})
				if code := p.expectClose(); code != transport.StatusNormal {
					t.Errorf("closed with %v", code)
				}
				var failed *protocol.RegistrationError
				if err := <-result; !errors.As(err, &failed) || failed.Failure != protocol.RegistrationRefused {
					t.Errorf("Serve returned %v", err)
				}
				first.send(object{"type": "heartbeat", "status": "ok"})
				first.expect(object{"type": "heartbeat", "status": "ok"})
				if n := len(server.Clients()); n != 2 {
					t.Errorf("%d clients are registered", n)
				}
			})
		})
	}
}

// TestIDIsFreeAgain: an id is taken as long as its connection lasts, however
// that begins and ends (spec 8, D2).
func TestIDIsFreeAgain(t *testing.T) {
	ends := map[string]func(*peer){
		"closed":               func(p *peer) { p.expect(object{"type": "heartbeat"}); p.close() },
		"closed at once":       func(p *peer) { p.close() },
		"lost":                 func(p *peer) { p.tr.(transport.Aborter).Abort(errors.New("cut")) },
		"closed with an error": func(p *peer) { _ = p.tr.(transport.CodeCloser).CloseWith(transport.StatusInternalError, "") },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := startServer(t, &ServerOptions{Handler: noTasks})
				for range 3 {
					p, result := server.connectResult()
					p.send(register("d"))
					end(p)
					<-result
				}
				server.device("d")
			})
		})
	}
}

// TestOddMetadata: what a device says about itself in an odd form does no harm
// (spec 8, D2).
func TestOddMetadata(t *testing.T) {
	for _, metadata := range []string{
		`null`, `{}`, `{"system_info":"text"}`, `{"system_info":[1]}`, `{"system_info":null,"platform":null}`,
		`{"platform":7}`, `{"platform":""}`, `{"platform":["linux"],"system_info":5}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			server := startServer(t, &ServerOptions{Handler: noTasks})
			p := server.connect()
			p.sendText(`{"type":"register","status":"ok","client_id":"d","metadata":` + metadata + `}`)
			p.expect(object{"type": "heartbeat", "status": "ok"})
			info := server.Clients()[0]
			if info.ID != "d" || info.Role != messages.Device || info.Platform != "windows" || !info.SystemInfo.IsZero() {
				t.Errorf("%s: the server knows %+v", metadata, info)
			}
		})
	}
}

func TestClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks})
		server.device("b")
		server.device("a")
		server.constellation("c", "b")
		var got []string
		for _, c := range server.Clients() {
			got = append(got, strings.Join([]string{c.ID, string(c.Role), c.Target, c.Platform, c.SystemInfo.String()}, " "))
			if !c.Since.Equal(time.Now()) {
				t.Errorf("%s is registered since %v", c.ID, c.Since)
			}
		}
		want := `a device  linux {"hostname":"host of a"}|b device  linux {"hostname":"host of b"}|c constellation b  `
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("got %s", s)
		}
	})
}

// gatedTransport holds back what is sent until the gate is open.
type gatedTransport struct {
	transport.Transport
	gate chan struct{}
}

func (g *gatedTransport) Unwrap() transport.Transport { return g.Transport }

func (g *gatedTransport) Send(ctx context.Context, data []byte) error {
	select {
	case <-g.gate:
		return g.Transport.Send(ctx, data)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestNothingPrecedesTheConfirmation: a command for a device that has
// registered, but does not know it yet, waits (spec 9.3.2).
func TestNothingPrecedesTheConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: recordedHandler})
		client, inner := transport.NewPair(nil)
		defer client.Close()
		gated := &gatedTransport{inner, make(chan struct{})}
		go func() { _ = server.Serve(context.Background(), gated) }()
		device := &peer{t, client}
		device.send(register("d"))
		synctest.Wait()

		constellation := server.constellation("c", "d")
		constellation.task("d", "s", "work")
		constellation.expect(object{"type": "heartbeat", "session_id": "s"})
		synctest.Wait()
		close(gated.gate)
		device.expect(object{"type": "heartbeat", "status": "ok", "session_id": nil})
		device.answerCommand("done")
		device.answerCommand("done")
		constellation.expect(object{"type": "task_end", "status": "completed"})
	})
}

func TestMaxConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks, MaxConnections: 2})
		server.device("a")
		second, _ := server.connectResult()
		synctest.Wait()
		third, result := server.connectResult()
		if code := third.expectClose(); code != transport.StatusTryAgainLater {
			t.Errorf("closed with %v", code)
		}
		if err := <-result; !errors.Is(err, ErrTooManyConnections) {
			t.Errorf("Serve returned %v", err)
		}
		second.close()
		synctest.Wait()
		server.device("b")
	})
}

func TestNewServerOptions(t *testing.T) {
	for name, options := range map[string]*ServerOptions{"nil": nil, "no handler": {}} {
		if _, err := NewServer(options); !errors.Is(err, ErrInvalidOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
