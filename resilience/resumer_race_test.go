package resilience_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

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
		registers := func(end transport.Transport, prev string) {
			offer := fmt.Sprintf(`{"v":1,"max_s":60,"max_bytes":1000%s}`, prev)
			message := `{"type":"register","status":"ok","client_id":"d","metadata":{"io.aip.resume":` + offer + `}}`
			if err := end.Send(t.Context(), []byte(message)); err != nil {
				t.Fatal(err)
			}
		}
		admit := func(end transport.Transport) *protocol.Registration {
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
		client, server := transport.NewPair(nil)
		again, later := transport.NewPair(nil)
		resumed := make(chan error, 1)
		first := hooked{server, func() {
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
			registers(again, fmt.Sprintf(`,"prev":%q,"rx":0`, answer.Result[resilience.ResumeExtension].ID))
			registration := admit(later)
			go func() { resumed <- resumer.Claim(registration, "").Resume(t.Context(), later, registration) }()
			synctest.Wait()
		}}
		registers(client, "")
		session, err := resumer.Confirm(t.Context(), first, admit(first), "")
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
