package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

var (
	deviceRole        = []messages.ClientType{messages.Device}
	constellationRole = []messages.ClientType{messages.Constellation}
	anyRole           = []messages.ClientType{messages.Device, messages.Constellation}
)

// anyone is a principal that may register as anything.
func anyone(name string) *Principal {
	return &Principal{Name: name, ClientIDs: []string{"*"}, Roles: anyRole}
}

// as connects on behalf of p. The connection's result goes to the channel.
func (s *testServer) as(p *Principal) (*peer, <-chan error) {
	client, server := transport.NewPair(nil)
	result := make(chan error, 1)
	go func() { result <- s.Serve(WithPrincipal(context.Background(), p), server) }()
	s.t.Cleanup(func() { _ = client.Close() })
	return &peer{s.t, client}, result
}

// registered connects on behalf of p and registers.
func (s *testServer) registered(p *Principal, registration object) *peer {
	s.t.Helper()
	c, _ := s.as(p)
	c.send(registration)
	c.expect(object{"type": "heartbeat", "status": "ok"})
	return c
}

// constellationOf is a registration of a constellation.
func constellationOf(id, target string) object {
	m := object{"type": "register", "status": "ok", "client_type": "constellation", "client_id": id}
	if target != "" {
		m["target_id"] = target
	}
	return m
}

// expectRefusal waits for the error and the close of a registration that is
// refused, and returns the text. What no other attempt can change is refused for
// good.
func (p *peer) expectRefusal() string {
	p.t.Helper()
	text := fmt.Sprint(p.expect(object{"type": "error", "status": "error"})["error"])
	want := transport.StatusNormal
	if text == notAuthorized || text == invalidID {
		want = transport.StatusPolicyViolation
	}
	if code := p.expectClose(); code != want {
		p.t.Errorf("%q: closed with %v", text, code)
	}
	return text
}

// isRefused checks what Serve returned of a refused registration.
func isRefused(err, cause error) bool {
	var failed *protocol.RegistrationError
	return errors.As(err, &failed) && failed.Failure == protocol.RegistrationRefused && errors.Is(err, cause)
}

// httpRequest returns a request for /ws with a query and headers, by name and value.
func httpRequest(t *testing.T, url, query string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http"+strings.TrimPrefix(url, "ws")+"?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// answerTo returns the answer to a request. Its body is closed.
func answerTo(t *testing.T, client *http.Client, r *http.Request) *http.Response {
	t.Helper()
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response
}
