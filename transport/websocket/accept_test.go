package websocket_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// handshake returns a request that Accept has nothing against.
func handshake() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://server.example/ws", nil)
	r.Header.Set("Connection", "keep-alive, Upgrade")
	r.Header.Set("Upgrade", "WebSocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
	return r
}

// refused checks that Accept refuses a request, with this status and error.
func refused(t *testing.T, r *http.Request, opts *websocket.AcceptOptions, status int, want error) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	_, err := websocket.Accept(w, r, opts)
	var refusal *websocket.AcceptError
	if !errors.As(err, &refusal) || refusal.StatusCode != status {
		t.Errorf("Accept: %v, want status %d", err, status)
	}
	is(t, "Accept", err, want)
	if w.Code != status {
		t.Errorf("answered with %d, want %d: %s", w.Code, status, w.Body)
	}
	return w
}

// Protects: requests that are no handshakes: each gets the right answer.
func TestAcceptRefusesNonHandshakes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
		header string // of the answer
	}{
		"plain request":    {func(r *http.Request) { r.Header = http.Header{} }, http.StatusUpgradeRequired, "Upgrade"},
		"other upgrade":    {func(r *http.Request) { r.Header.Set("Upgrade", "h2c") }, http.StatusUpgradeRequired, "Upgrade"},
		"POST":             {func(r *http.Request) { r.Method = http.MethodPost }, http.StatusMethodNotAllowed, "Allow"},
		"HTTP/1.0":         {func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0 }, http.StatusUpgradeRequired, ""},
		"HTTP/2":           {func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0 }, http.StatusHTTPVersionNotSupported, ""},
		"old version":      {func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }, http.StatusUpgradeRequired, "Sec-WebSocket-Version"},
		"no key":           {func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") }, http.StatusBadRequest, ""},
		"two keys":         {func(r *http.Request) { r.Header.Add("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==") }, http.StatusBadRequest, ""},
		"key too short":    {func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "AAAA") }, http.StatusBadRequest, ""},
		"key is no base64": {func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "?") }, http.StatusBadRequest, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := handshake()
			c.change(r)
			w := refused(t, r, nil, c.status, websocket.ErrNotWebSocket)
			if c.header != "" && w.Header().Get(c.header) == "" {
				t.Errorf("the answer has no %s header", c.header)
			}
		})
	}
	t.Run("no hijacking", func(t *testing.T) {
		refused(t, handshake(), nil, http.StatusNotImplemented, errors.ErrUnsupported)
	})
	t.Run("hijacking fails", func(t *testing.T) {
		fault := errors.New("the fault")
		w := httptest.NewRecorder()
		_, err := websocket.Accept(unhijackable{w, fault}, handshake(), nil)
		var refusal *websocket.AcceptError
		if !errors.As(err, &refusal) || !errors.Is(err, fault) || refusal.StatusCode != w.Code || w.Code != http.StatusInternalServerError {
			t.Errorf("Accept: %v, answered with %d", err, w.Code)
		}
	})
	t.Run("bad options", func(t *testing.T) {
		w := refused(t, handshake(), &websocket.AcceptOptions{Options: &websocket.Options{CloseTimeout: -1}}, http.StatusInternalServerError, transport.ErrInvalidOptions)
		if strings.Contains(w.Body.String(), "CloseTimeout") {
			t.Errorf("the client is told %q", w.Body)
		}
		refused(t, handshake(), &websocket.AcceptOptions{OriginPatterns: []string{"["}}, http.StatusInternalServerError, transport.ErrInvalidOptions)
	})
}

// unhijackable is a writer whose connection cannot be taken over just now.
type unhijackable struct {
	http.ResponseWriter
	err error
}

func (w unhijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, w.err }

// Protects: users of browsers. Pages of other sites are refused unless they are
// allowed, by host and by scheme.
func TestOrigin(t *testing.T) {
	for _, c := range []struct {
		origin   string
		tls      bool
		patterns []string
		any      bool
		ok       bool
	}{
		{origin: "", ok: true},
		{origin: "http://server.example", ok: true},
		{origin: "https://SERVER.example", ok: true},
		{origin: "https://server.example", tls: true, ok: true},
		{origin: "http://server.example", tls: true, ok: false},
		{origin: "http://server.example:8080", ok: false},
		{origin: "http://other.example", ok: false},
		{origin: "http://server.example.evil.example", ok: false},
		{origin: "null", ok: false},
		{origin: "file://", ok: false},
		{origin: "%", ok: false},
		{origin: "http://other.example", patterns: []string{"other.example"}, ok: true},
		{origin: "https://other.example", patterns: []string{"OTHER.example"}, ok: true},
		{origin: "https://other.example", patterns: []string{"https://other.example"}, ok: true},
		{origin: "http://other.example", patterns: []string{"https://other.example"}, ok: false},
		{origin: "http://a.other.example", patterns: []string{"*.other.example"}, ok: true},
		{origin: "http://other.example", patterns: []string{"*.other.example"}, ok: false},
		{origin: "http://a.other.example:1", patterns: []string{"*.other.example"}, ok: false},
		{origin: "http://a.other.example:1", patterns: []string{"no", "http://*.other.example:1"}, ok: true},
		{origin: "http://[2001:DB8::1]:8080", patterns: []string{`\[2001:db8::1]:8080`}, ok: true},
		{origin: "http://[2001:db8::1]:8080", patterns: []string{`http://\[2001:db8::*]:*`}, ok: true},
		{origin: "http://[2001:db8::2]:8080", patterns: []string{`\[2001:db8::1]:8080`}, ok: false},
		{origin: "http://evil.example", any: true, ok: true},
		{origin: "null", any: true, ok: true},
	} {
		r := handshake()
		r.Header.Set("Origin", c.origin)
		if c.tls {
			r.TLS = new(tls.ConnectionState)
		}
		opts := &websocket.AcceptOptions{OriginPatterns: c.patterns, AllowAnyOrigin: c.any}
		if !c.ok {
			refused(t, r, opts, http.StatusForbidden, websocket.ErrOrigin)
			continue
		}
		// The recorder cannot be hijacked, but the origin was not in the way.
		if _, err := websocket.Accept(httptest.NewRecorder(), r, opts); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// wrapped is a writer as middleware has it: it hides what is behind it except
// through Unwrap, and remembers what it was told.
type wrapped struct {
	w      http.ResponseWriter
	status int
}

func (w *wrapped) Header() http.Header         { return w.w.Header() }
func (w *wrapped) Write(p []byte) (int, error) { return w.w.Write(p) }
func (w *wrapped) WriteHeader(status int)      { w.status = status }
func (w *wrapped) Unwrap() http.ResponseWriter { return w.w }

// Protects: servers with middleware.
func TestAcceptWrappedWriter(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			url, accept := loopback(t, func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
				w.Header().Set("X-Middleware", "was here")
				return websocket.Accept(&wrapped{w: &wrapped{w: w}}, r, &websocket.AcceptOptions{Options: &websocket.Options{Engine: engine}})
			})
			client := websocket.New(&websocket.Options{Engine: engine})
			if err := client.Connect(t.Context(), url); err != nil {
				t.Fatal(err)
			}
			server, err := accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			usable(t, client, server)
			if client.RemoteAddr() == nil || "ws://"+client.RemoteAddr().String() != url {
				t.Errorf("the client's peer is %v", client.RemoteAddr())
			}
			if addr := server.(*websocket.Transport).RemoteAddr(); addr == nil || !strings.HasPrefix(addr.String(), "127.0.0.1:") {
				t.Errorf("the server's peer is %v", addr)
			}
			closeAll(t, client, server)
		})
	}
}

// Protects: what middleware put into the response's header, and clients that do
// not wait for it before they send.
func TestAcceptEarlyFrames(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			url, accept := loopback(t, func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
				w.Header().Set("X-Middleware", "was here")
				return websocket.Accept(w, r, &websocket.AcceptOptions{Options: &websocket.Options{Engine: engine}})
			})
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "ws://"))
			if err != nil {
				t.Fatal(err)
			}
			head := "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
			early := rawFrame{fin: true, opcode: opText, payload: []byte("early")}.bytes(true)
			if _, err := conn.Write(append([]byte(head), early...)); err != nil {
				t.Fatal(err)
			}
			server, err := accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := server.Receive(t.Context()); err != nil || string(got) != "early" {
				t.Errorf("Receive: %q, %v", got, err)
			}
			r := bufio.NewReader(conn)
			response, err := http.ReadResponse(r, nil)
			if err != nil || response.Header.Get("X-Middleware") != "was here" || response.Header.Get("Sec-WebSocket-Accept") != acceptKey("AAAAAAAAAAAAAAAAAAAAAA==") {
				t.Errorf("the response: %+v, %v", response, err)
			}
			closeRaw(t, &rawConn{t: t, Conn: conn, r: r, client: true}, server)
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Protects: the connection's life, which is not the request's.
func TestAcceptOutlivesRequest(t *testing.T) {
	requests := make(chan context.Context, 1)
	url, accept := loopback(t, func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
		requests <- r.Context()
		return websocket.Accept(w, r, nil)
	})
	client := websocket.New(nil)
	ctx, cancel := context.WithCancel(t.Context())
	if err := client.Connect(ctx, url); err != nil {
		t.Fatal(err)
	}
	cancel()
	server, err := accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-(<-requests).Done()
	usable(t, client, server)
	closeAll(t, client, server)
}

// Protects: subprotocols, which are offered and never required.
func TestSubprotocols(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct{ client, server, want string }{
				{"", "", ""},
				{"aip", "", ""},
				{"", "aip", ""},
				{"aip other", "more other", "other"},
				{"a b", "b a", "b"},
			} {
				url, accept := loopback(t, func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
					return websocket.Accept(w, r, &websocket.AcceptOptions{Options: &websocket.Options{Engine: engine, Subprotocols: strings.Fields(c.server)}})
				})
				client := websocket.New(&websocket.Options{Engine: engine, Subprotocols: strings.Fields(c.client)})
				if err := client.Connect(t.Context(), url); err != nil {
					t.Fatalf("%+v: %v", c, err)
				}
				server, err := accept(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if got := server.(*websocket.Transport).Subprotocol(); client.Subprotocol() != c.want || got != c.want {
					t.Errorf("%+v: %q and %q", c, client.Subprotocol(), got)
				}
				usable(t, client, server)
				closeAll(t, client, server)
			}
		})
	}
}

// loopback serves on the loopback and returns the URL and an accept function.
func loopback(t testing.TB, accept func(http.ResponseWriter, *http.Request) (transport.Transport, error)) (string, func(context.Context) (transport.Transport, error)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return "ws://" + l.Addr().String(), serve(t, l, accept)
}

// Protects: connections over TLS, from the http.Client's configuration, and to
// a server that prefers HTTP/2.
func TestTLS(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			accepted := make(chan transport.Transport, 1)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/proto" {
					_, _ = io.WriteString(w, r.Proto) // The client looks at it.
					return
				}
				at, err := websocket.Accept(w, r, &websocket.AcceptOptions{Options: &websocket.Options{Engine: engine}})
				if err != nil {
					t.Errorf("Accept: %v", err)
					return
				}
				accepted <- at
			}))
			server.EnableHTTP2 = true
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // One client is to refuse the certificate.
			server.StartTLS()
			defer server.Close()
			httpClient := server.Client()
			if transport, ok := httpClient.Transport.(*http.Transport); ok {
				transport.ForceAttemptHTTP2 = true
			}
			response, err := httpClient.Get(server.URL + "/proto")
			if err != nil {
				t.Fatal(err)
			}
			proto, err := io.ReadAll(response.Body)
			if err != nil || string(proto) != "HTTP/2.0" {
				t.Fatalf("the server speaks %s, %v", proto, err)
			}
			if err := response.Body.Close(); err != nil {
				t.Error(err)
			}
			defer httpClient.CloseIdleConnections()

			client := websocket.New(&websocket.Options{Engine: engine, HTTPClient: httpClient})
			if err := client.Connect(t.Context(), "wss"+strings.TrimPrefix(server.URL, "https")); err != nil {
				t.Fatal(err)
			}
			at := <-accepted
			usable(t, client, at)
			closeAll(t, client, at)

			stranger := websocket.New(nil)
			err = stranger.Connect(t.Context(), server.URL)
			var authority *tls.CertificateVerificationError
			if !errors.As(err, &authority) || transport.Retryable(err) {
				t.Errorf("Connect to a server nobody knows: %v", err)
			}
		})
	}
}
