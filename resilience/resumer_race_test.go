package resilience_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// registers sends the registration of a client that asks for a session; prev is
// what continues an earlier one.
func registers(t *testing.T, end transport.Transport, prev string) {
	t.Helper()
	offer := fmt.Sprintf(`{"v":1,"max_s":60,"max_bytes":1000%s}`, prev)
	message := `{"type":"register","status":"ok","client_id":"d","metadata":{"io.aip.resume":` + offer + `}}`
	if err := end.Send(t.Context(), []byte(message)); err != nil {
		t.Fatal(err)
	}
}

// admit receives a registration.
func admit(t *testing.T, end transport.Transport) *protocol.Registration {
	t.Helper()
	p, err := protocol.NewServer(end, nil)
	if err != nil {
		t.Fatal(err)
	}
	registration, err := protocol.AwaitRegistration(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return registration
}

// Protects: a client that comes back at once, while the server still closes its
// session: there is room for another one, and the old one cannot be resumed.
func TestRetire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resumer, err := resilience.NewResumer(nil)
		if err != nil {
			t.Fatal(err)
		}
		var sessions []*resilience.Session
		confirm := func() (client transport.Transport, err error) {
			client, server := transport.NewPair(nil)
			registers(t, client, "")
			session, err := resumer.Confirm(t.Context(), server, admit(t, server), "")
			if err == nil {
				sessions = append(sessions, session)
			}
			return client, err
		}
		first, err := confirm()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := confirm(); !errors.Is(err, resilience.ErrBusy) {
			t.Errorf("a second session beside the first: %v", err)
		}
		token := resumeToken(t, first)
		sessions[0].Retire()
		if _, err := confirm(); err != nil {
			t.Errorf("a second session after the first was retired: %v", err)
		}
		again, later := transport.NewPair(nil)
		registers(t, again, fmt.Sprintf(`,"prev":%q,"rx":0`, token))
		if resumer.Claim(admit(t, later), "") != nil {
			t.Error("the session that was retired can be resumed")
		}
		for _, s := range sessions {
			closeAll(t, s)
		}
	})
}

// resumeToken receives the confirmation of a registration and returns the token
// that continues its session.
func resumeToken(t *testing.T, client transport.Transport) string {
	t.Helper()
	data, err := client.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Result map[string]struct {
			ID string `json:"id"`
		} `json:"result"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Result[resilience.ResumeExtension].ID
}

// hooked calls after when it has sent a message.
type hooked struct {
	transport.Transport
	after func()
}

func (h hooked) Send(ctx context.Context, data []byte) error {
	err := h.Transport.Send(ctx, data)
	h.after()
	return err
}

// Protects: a client that is so quick that it comes back on its second connection
// before the server serves its first one: the second one counts.
func TestResumeBeforeTheFirstConnectionIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resumer, err := resilience.NewResumer(nil)
		if err != nil {
			t.Fatal(err)
		}
		client, server := transport.NewPair(nil)
		again, later := transport.NewPair(nil)
		resumed := make(chan error, 1)
		first := hooked{server, func() {
			registers(t, again, fmt.Sprintf(`,"prev":%q,"rx":0`, resumeToken(t, client)))
			registration := admit(t, later)
			go func() { resumed <- resumer.Claim(registration, "").Resume(t.Context(), later, registration) }()
			synctest.Wait()
		}}
		registers(t, client, "")
		session, err := resumer.Confirm(t.Context(), first, admit(t, first), "")
		if err != nil {
			t.Fatal(err)
		}
		if err := <-resumed; err != nil {
			t.Fatal(err)
		}
		if _, err := again.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := session.Send(t.Context(), []byte(`{"type":"task"}`)); err != nil {
			t.Fatal(err)
		}
		if data, err := again.Receive(t.Context()); err != nil || string(data) != `{"type":"task","seq":1,"ack":0}` {
			t.Errorf("received %q, %v", data, err)
		}
		closeAll(t, session, client, again)
	})
}
