package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// Protects: credentials. They reach the server, percent-encoded where that is
// due, and no error and no log.
func TestCredentialsStaySecret(t *testing.T) {
	const token = "se cr+et/ü&x"
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zapcore.DebugLevel)
			var mu sync.Mutex
			var hooked []string
			opts := func() *websocket.Options {
				return &websocket.Options{
					Engine: engine, Token: token, Logger: zap.New(core), Header: http.Header{"X-Own": {"mine"}},
					Authorize: func(_ context.Context, r *http.Request) error {
						r.Header.Set("Authorization", "Bearer "+token)
						return nil
					},
					Hooks: websocket.Hooks{Dial: func(url string, _ time.Duration, err error) {
						mu.Lock()
						defer mu.Unlock()
						hooked = append(hooked, fmt.Sprint(url, err))
					}},
				}
			}
			var seen *http.Request
			url, accept := loopback(t, func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
				seen = r
				if r.URL.Path == "/refuse" {
					w.WriteHeader(http.StatusForbidden)
					return nil, errors.New("refused")
				}
				if r.URL.Path == "/redirect" {
					http.Redirect(w, r, "ftp://elsewhere/?"+r.URL.RawQuery, http.StatusFound)
					return nil, errors.New("redirected")
				}
				return websocket.Accept(w, r, &websocket.AcceptOptions{Options: opts()})
			})
			client := websocket.New(opts())
			if err := client.Connect(t.Context(), url+"/ws?a=b&token=other"); err != nil {
				t.Fatal(err)
			}
			server, err := accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := seen.URL.Query()["token"]; len(got) != 2 || got[1] != token {
				t.Errorf("the server got the tokens %q", got)
			}
			if strings.Contains(seen.URL.RawQuery, "+") {
				t.Errorf("the query %q has a plus sign", seen.URL.RawQuery)
			}
			if seen.Header.Get("Authorization") != "Bearer "+token || seen.Header.Get("X-Own") != "mine" {
				t.Errorf("the server got the header %v", seen.Header)
			}
			var errs []error
			closeAll(t, client, server)
			for _, address := range []string{
				url + "/refuse?token=" + "hidden", "http" + strings.TrimPrefix(url, "ws") + "/redirect", "ws://user:hidden@127.0.0.1:1/?hidden",
				"ws://%hidden", "ftp://x/?hidden", "ws://x:hidden/", "ws://127.0.0.1:1/#hidden",
			} {
				client := websocket.New(opts())
				errs = append(errs, client.Connect(t.Context(), address))
				errs = append(errs, client.Send(t.Context(), nil), client.Connect(t.Context(), address))
			}
			texts := hooked
			for _, err := range errs {
				texts = append(texts, fmt.Sprint(err))
			}
			for _, entry := range logs.All() {
				texts = append(texts, fmt.Sprint(entry.Message, entry.ContextMap()))
			}
			if logs.Len() < 4 {
				t.Errorf("only %d lines were logged", logs.Len())
			}
			for _, text := range texts {
				for _, secret := range []string{"hidden", token, "se%20cr", "se+cr", "cr%2Bet", "other"} {
					if strings.Contains(text, secret) {
						t.Errorf("%q contains %q", text, secret)
					}
				}
			}
		})
	}
}

// talkative fails and tells all it knows.
type talkative struct{}

func (talkative) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("no luck with %s, %s", r.URL, r.URL.Query().Get("token"))
}

// Protects: credentials from the errors of somebody's transport, whichever of
// them contain others.
func TestTalkativeTransport(t *testing.T) {
	for _, token := range []string{"se cret", "secret", ""} {
		client := websocket.New(&websocket.Options{Token: token, HTTPClient: &http.Client{Transport: talkative{}}})
		err := client.Connect(t.Context(), "ws://user:pass%20word@server/?key=hidden")
		if err == nil || !strings.Contains(err.Error(), "no luck") {
			t.Errorf("Connect: %v", err)
		}
		for _, secret := range []string{"se cret", "se%20cret", "se+cret", "secret", "hidden", "pass%20word", "pass word"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q contains %q", err, secret)
			}
		}
	}
}

// Protects: credentials in the URL from the site that a server redirects to,
// which would get them as the referrer.
func TestRedirectTellsNothing(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		p := newPlace(t, nil)
		serveHTTP(t, p.network.Listen("elsewhere:80"), http.RedirectHandler("http://other/", http.StatusFound))
		requests := make(chan *http.Request, 1)
		serveHTTP(t, p.network.Listen("other:80"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests <- r
			w.WriteHeader(http.StatusForbidden)
		}))
		for _, own := range []string{"", "http://mine/"} {
			header := http.Header{}
			if own != "" {
				header.Set("Referer", own)
			}
			client := p.client(&websocket.Options{Engine: engine, Token: "secret", Header: header})
			if err := client.Connect(t.Context(), "ws://elsewhere/?key=hidden"); err == nil {
				t.Error("Connect succeeded")
			}
			if r := <-requests; r.Referer() != own || r.URL.RawQuery != "" {
				t.Errorf("the other site is told %q, %q; want %q", r.Referer(), r.URL, own)
			}
		}
	})
}

// Protects: credentials in headers, which net/http shows again to the same host,
// from a redirect that leaves TLS.
func TestRedirectStaysInTLS(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			var shown atomic.Int64
			plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				shown.Add(1)
				w.WriteHeader(http.StatusForbidden)
			}))
			defer plain.Close()
			secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
			defer secure.Close()
			client := websocket.New(&websocket.Options{
				Engine: engine, HTTPClient: secure.Client(), Header: http.Header{"Authorization": {"Bearer secret"}},
			})
			err := client.Connect(t.Context(), "wss"+strings.TrimPrefix(secure.URL, "https"))
			var refused *websocket.HandshakeError
			if !errors.As(err, &refused) || refused.StatusCode != http.StatusFound || transport.Retryable(err) {
				t.Errorf("Connect: %v", err)
			}
			if n := shown.Load(); n != 0 {
				t.Errorf("%d requests without TLS", n)
			}
		})
	}
}

// Protects: servers that redirect in a circle from clients that follow.
func TestRedirectLoop(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		p := newPlace(t, nil)
		var requests atomic.Int64
		serveHTTP(t, p.network.Listen("loop:80"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1) > 100 {
				w.WriteHeader(http.StatusForbidden) // The test would not end.
				return
			}
			http.Redirect(w, r, "/", http.StatusFound)
		}))
		client := p.client(&websocket.Options{Engine: engine})
		err := client.Connect(t.Context(), "ws://loop/")
		var refused *websocket.HandshakeError
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusFound || transport.Retryable(err) {
			t.Errorf("Connect: %v, retryable %v", err, transport.Retryable(err))
		}
		if n := requests.Load(); n != 10 {
			t.Errorf("%d requests", n)
		}

		// The client's own policy applies.
		requests.Store(0)
		own := *p.http
		own.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("no redirects") }
		p.http = &own
		if err := p.client(&websocket.Options{Engine: engine}).Connect(t.Context(), "ws://loop/"); err == nil || requests.Load() != 1 {
			t.Errorf("Connect with a policy: %v, %d requests", err, requests.Load())
		}
	})
}

// Protects: credentials that change: they are asked for at every Connect.
func TestCredentialsPerAttempt(t *testing.T) {
	calls := 0
	fault := errors.New("no credentials today")
	var tokens []string
	url, accept := loopback(t, func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
		tokens = append(tokens, r.URL.Query().Get("token"))
		return websocket.Accept(w, r, nil)
	})
	client := websocket.New(&websocket.Options{Authorize: func(ctx context.Context, r *http.Request) error {
		calls++
		if calls == 2 {
			return fault
		}
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("Authorize is not bounded")
		}
		query := r.URL.Query()
		query.Set("token", fmt.Sprint("fresh ", calls))
		r.URL.RawQuery = query.Encode()
		return nil
	}})
	for i := range 3 {
		err := client.Connect(t.Context(), url)
		if i == 1 {
			is(t, "Connect", err, fault)
			if err := client.Reset(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		server, err := accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		usable(t, client, server)
		closeAll(t, client, server)
	}
	if fmt.Sprint(tokens) != "[fresh 1 fresh 3]" {
		t.Errorf("the server got %q", tokens)
	}
}
