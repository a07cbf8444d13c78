package endpoint

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

func tokens(t *testing.T, all map[string]Principal) Authenticator {
	t.Helper()
	a, err := Tokens(all)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestTokenPlaces: the last ?token= counts, then Authorization: Bearer.
func TestTokenPlaces(t *testing.T) {
	authenticate := tokens(t, map[string]Principal{"right-a": {Name: "a"}, "right-b": {Name: "b"}})
	for _, test := range []struct {
		query, header, name string
		err                 error
	}{
		{"token=right-a", "", "a", nil},
		{"token=right-a&token=right-b", "", "b", nil},
		{"token=right-b", "Bearer right-a", "b", nil},
		{"", "Bearer right-a", "a", nil},
		{"", "bearer right-b", "b", nil},
		{"", "", "", ErrUnauthenticated},
		{"token=", "", "", ErrUnauthenticated},
		{"token=%zz", "", "", ErrUnauthenticated},
		{"", "Bearer ", "", ErrUnauthenticated},
		{"", "Basic right-a", "", ErrUnauthenticated},
		{"TOKEN=right-a", "", "", ErrUnauthenticated},
		{"token=right-a&token=wrong", "", "", ErrForbidden},
		{"token=right-", "", "", ErrForbidden},
		{"token=right-aa", "", "", ErrForbidden},
		{"token=%C3%A4", "", "", ErrForbidden},
		{"", "Bearer right-a ", "", ErrForbidden},
	} {
		r := httptest.NewRequest(http.MethodGet, "/ws?"+test.query, nil)
		if test.header != "" {
			r.Header["Authorization"] = []string{test.header}
		}
		p, err := authenticate(r)
		if !errors.Is(err, test.err) || (p == nil) != (test.name == "") || p != nil && p.Name != test.name {
			t.Errorf("%+v: got %+v, %v", test, p, err)
		}
	}
	for _, wrong := range []map[string]Principal{{"": {Name: "a"}}, {"x": {}}} {
		if _, err := Tokens(wrong); !errors.Is(err, ErrInvalidOptions) {
			t.Errorf("Tokens(%v) returned %v", wrong, err)
		}
	}
}

// TestEveryTokenIsCompared: whichever token is shown, every hash is compared with
// all its bytes, so that the time tells nothing about where the match is.
func TestEveryTokenIsCompared(t *testing.T) {
	const count = 50
	compared := 0
	table := tokenTable{compare: func(a, b []byte) int {
		compared++
		if len(a) != sha256.Size || len(b) != sha256.Size {
			t.Errorf("compared %d with %d bytes", len(a), len(b))
		}
		return subtle.ConstantTimeCompare(a, b)
	}}
	for i := range count {
		table.hashes = append(table.hashes, sha256.Sum256(fmt.Append(nil, "token ", i)))
	}
	for _, test := range []struct {
		token string
		want  int
	}{
		{"token 0", 0}, {"token 25", 25}, {"token 49", 49}, {"token 50", -1}, {"", -1}, {strings.Repeat("x", 1<<20), -1},
	} {
		compared = 0
		if got := table.find(test.token); got != test.want || compared != count {
			t.Errorf("%.20q: found at %d after %d comparisons", test.token, got, compared)
		}
	}
}

// TestWrongCredentials: without credentials 401, with wrong ones 403, before the
// upgrade, whatever is wrong about them, in the same words.
func TestWrongCredentials(t *testing.T) {
	var failure error
	r := &recorder{}
	server := startServer(t, &ServerOptions{Handler: noTasks, Observer: r.observe, Authenticate: func(r *http.Request) (*Principal, error) {
		token, ok := RequestToken(r)
		switch {
		case !ok:
			return nil, fmt.Errorf("nothing there: %w", ErrUnauthenticated)
		case token == "expired":
			return nil, errors.New("expired yesterday")
		case token == "nobody":
			return nil, nil
		case token == "nameless":
			return &Principal{}, nil
		default:
			return nil, ErrForbidden
		}
	}})
	url := overHTTP(t, server)
	for _, token := range []string{"", "wrong", "expired", "nobody", "nameless"} {
		r := httpRequest(t, url, "token="+token,
			"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 100)
		n, _ := response.Body.Read(body)
		_ = response.Body.Close()
		code, challenge, text := http.StatusForbidden, "", "forbidden\n"
		if token == "" {
			code, challenge, text = http.StatusUnauthorized, `Bearer realm="aip"`, "unauthorized\n"
		}
		if response.StatusCode != code || response.Header.Get("WWW-Authenticate") != challenge || string(body[:n]) != text {
			t.Errorf("%q got %d %q %q", token, response.StatusCode, response.Header.Get("WWW-Authenticate"), body[:n])
		}
	}
	rejected := r.of(EventRejected)
	if len(rejected) != 5 || !errors.Is(rejected[0].Err, ErrUnauthenticated) {
		t.Fatalf("observed %+v", rejected)
	}
	for _, e := range rejected[1:] {
		if failure = e.Err; !errors.Is(failure, ErrForbidden) {
			t.Errorf("observed %v", failure)
		}
	}
}

// TestServeWantsAPrincipal: with an Authenticator, a connection that came past it
// is not served.
func TestServeWantsAPrincipal(t *testing.T) {
	server := startServer(t, &ServerOptions{Handler: noTasks, Authenticate: tokens(t, nil)})
	for want, p := range map[error]*Principal{ErrUnauthenticated: nil, errNamelessPrincipal: {}} {
		c, result := server.as(p)
		if code := c.expectClose(); code != transport.StatusPolicyViolation {
			t.Errorf("closed with %v", code)
		}
		if err := <-result; !errors.Is(err, want) {
			t.Errorf("Serve returned %v", err)
		}
	}
	server.registered(&Principal{Name: "dev"}, register("dev"))
	if _, err := NewServer(&ServerOptions{Handler: noTasks, Token: "x", Authenticate: tokens(t, nil)}); !errors.Is(err, ErrInvalidOptions) {
		t.Errorf("NewServer returned %v", err)
	}
}

// TestCredentialsAreNotShown: whatever happens to a connection, its token is in
// no log, no event and no error.
func TestCredentialsAreNotShown(t *testing.T) {
	const right, wrong = "right-f00f00f00f00", "wrong-c0ffeec0ffee"
	core, logs := zapobserver.New(zapcore.DebugLevel)
	r := &recorder{}
	server := startServer(t, &ServerOptions{
		Handler: noTasks, Logger: zap.New(core), Observer: r.observe,
		Authenticate: tokens(t, map[string]Principal{right: {Name: "dev"}}),
	})
	url := overHTTP(t, server)
	for _, token := range []string{right, wrong} {
		for _, headers := range [][]string{nil, {"Origin", "https://evil.example"}, {"Connection", "Upgrade", "Upgrade", "websocket"}} {
			answerTo(t, http.DefaultClient, httpRequest(t, url, "token="+token, headers...))
			answerTo(t, http.DefaultClient, httpRequest(t, url, "", append([]string{"Authorization", "Bearer " + token}, headers...)...))
		}
	}
	// One client is registered, and one refused.
	for _, id := range []string{"dev", "other"} {
		ctx, stop := context.WithCancel(soon(t))
		device, err := NewDevice(&DeviceOptions{
			ID: id, URL: url, Token: right, Reconnect: &ReconnectOptions{Off: true}, Logger: zap.New(core),
			Platform: messages.PlatformLinux, Observer: func(e Event) {
				r.observe(e)
				if e.Kind == EventRegistered {
					stop()
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		err = device.Run(ctx)
		if text := fmt.Sprintf("%+v", err); strings.Contains(text, right) || (err == nil) != (id == "dev") {
			t.Errorf("Run returned %s", text)
		}
		stop()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) == 0 || logs.Len() == 0 {
		t.Fatal("nothing was observed")
	}
	for _, secret := range []string{right, wrong} {
		for _, e := range r.events {
			if text := fmt.Sprintf("%+v", e); strings.Contains(text, secret) {
				t.Errorf("an event shows it: %s", text)
			}
		}
		for _, entry := range logs.All() {
			if text := fmt.Sprintf("%+v %+v", entry.Entry, entry.ContextMap()); strings.Contains(text, secret) {
				t.Errorf("the log shows it: %s", text)
			}
		}
	}
	if text := fmt.Sprintf("%+v", server.Clients()); strings.Contains(text, right) {
		t.Errorf("the registry shows it: %s", text)
	}
}

// TestAPIWantsAuthority: with an Authenticator, the HTTP API is for principals
// that may use it, and for no others, although they may register.
func TestAPIWantsAuthority(t *testing.T) {
	server := startServer(t, &ServerOptions{Handler: noTasks, Authenticate: tokens(t, map[string]Principal{
		"device": {Name: "dev", ClientIDs: []string{"*"}, Roles: anyRole}, "operator": {Name: "op", API: true},
	})})
	web := httptest.NewServer(server.API())
	t.Cleanup(web.Close)
	for _, test := range []struct {
		header, value string
		code          int
	}{
		{"X-API-Key", "operator", http.StatusOK},
		{"Authorization", "Bearer operator", http.StatusOK},
		{"X-API-Key", "device", http.StatusUnauthorized},
		{"Authorization", "Bearer device", http.StatusUnauthorized},
		{"X-API-Key", "wrong", http.StatusUnauthorized},
		{"X-API-Key", "", http.StatusUnauthorized},
	} {
		r, err := http.NewRequest(http.MethodGet, web.URL+"/api/clients", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(test.header, test.value)
		if got := answerTo(t, web.Client(), r).StatusCode; got != test.code {
			t.Errorf("%s: %q got %d", test.header, test.value, got)
		}
	}
}

// TestPrincipalFromMiddleware: HTTP middleware that authenticates by itself says
// on whose behalf a connection is, unless the server asks its own Authenticator.
func TestPrincipalFromMiddleware(t *testing.T) {
	for want, authenticate := range map[string]Authenticator{
		"middleware": nil,
		"own":        func(*http.Request) (*Principal, error) { return &Principal{Name: "own"}, nil },
	} {
		events := make(chan Event, 10)
		server := startServer(t, &ServerOptions{Handler: noTasks, Observer: func(e Event) { events <- e }, Authenticate: authenticate})
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			server.ServeHTTP(w, r.WithContext(WithPrincipal(r.Context(), &Principal{Name: "middleware"})))
		}))
		t.Cleanup(web.Close)
		device, err := NewDevice(&DeviceOptions{ID: "dev", URL: "ws" + strings.TrimPrefix(web.URL, "http"), Reconnect: &ReconnectOptions{Off: true}})
		if err != nil {
			t.Fatal(err)
		}
		err = device.Run(soon(t))
		if e := <-events; err == nil || e.Kind != EventRejected || e.Principal != want || !errors.Is(e.Err, ErrNotAuthorized) {
			t.Errorf("%s: Run returned %v, observed %+v", want, err, e)
		}
	}
}
