package endpoint

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// overHTTP serves s at /ws of a real HTTP server and returns its URL.
func overHTTP(t *testing.T, s *testServer) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/ws", s)
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	return "ws" + strings.TrimPrefix(web.URL, "http") + "/ws"
}

// runAt runs a device at a server, until the end of the test.
func runAt(t *testing.T, url, token string) *Device {
	t.Helper()
	registered := make(chan struct{}, 1)
	device, err := NewDevice(&DeviceOptions{
		ID: "dev", URL: url, Token: token, Platform: messages.PlatformLinux, Tools: []Tool{echoTool},
		Observer: func(e Event) {
			if e.Kind == EventRegistered {
				registered <- struct{}{}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- device.Run(ctx) }()
	select {
	case <-registered:
	case err := <-result:
		t.Fatalf("Run returned %v", err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-result; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	return device
}

// TestOverWebSockets: the three roles over real connections, with a token that
// needs escaping.
func TestOverWebSockets(t *testing.T) {
	const token = "s3cret/+ ä&="
	files := make(chan Event, 1)
	server := startServer(t, &ServerOptions{Handler: recordedHandler, Token: token, FileDir: t.TempDir(), Observer: func(e Event) {
		if e.Kind == EventFile {
			files <- e
		}
	}})
	url := overHTTP(t, server)
	device := runAt(t, url, token)
	constellation, err := NewConstellation(&ConstellationOptions{Name: "c", Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer constellation.Close()
	ctx := soon(t)
	if err := constellation.Connect(ctx, "dev", url); err != nil {
		t.Fatal(err)
	}
	if info, err := constellation.DeviceInfo(ctx, "dev"); err != nil || !strings.Contains(info.String(), `"device_id":"dev"`) {
		t.Errorf("DeviceInfo returned %v, %v", info, err)
	}
	result, err := constellation.Run(ctx, "dev", TaskRequest{Request: "work"})
	if err != nil || !strings.Contains(result.Result.String(), `{"echo":{"command":"echo 1"}}`) {
		t.Errorf("Run returned %v, %v", result, err)
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	sent, err := device.SendFile(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e := <-files; e.Err != nil || e.File.SHA256 != sent.SHA256 || !e.File.Verified {
		t.Errorf("observed %+v", e)
	}
}

// TestForbidden: without the right token there is no connection, but a 403
// (spec section 4).
func TestForbidden(t *testing.T) {
	r := &recorder{}
	server := startServer(t, &ServerOptions{Handler: noTasks, Token: "right", Observer: r.observe})
	url := overHTTP(t, server)
	for _, token := range []string{"", "wrong", "righ", "right ", "ä", strings.Repeat("x", 5000)} {
		device, err := NewDevice(&DeviceOptions{ID: "dev", Reconnect: &ReconnectOptions{Off: true}, URL: url, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		err = device.Run(context.Background())
		var refused *websocket.HandshakeError
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusForbidden || transport.Retryable(err) {
			t.Errorf("token %q: Run returned %v", token, err)
		}
		if len(token) > 3 && strings.Contains(err.Error(), token) {
			t.Errorf("the error shows the token: %v", err)
		}
	}
	if rejected := r.of(EventRejected); len(rejected) != 6 || !errors.Is(rejected[0].Err, ErrForbidden) {
		t.Errorf("observed %+v", rejected)
	}
}

// TestToken: where a token may be.
func TestToken(t *testing.T) {
	server := startServer(t, &ServerOptions{Handler: noTasks, Token: "right"})
	for _, test := range []struct {
		query, header string
		want          bool
	}{
		{"", "", false},
		{"token=right", "", true},
		{"token=wrong&token=right", "", true},
		{"token=right&token=wrong", "", false},
		{"TOKEN=right", "", false},
		{"", "Bearer right", true},
		{"", "bearer right", true},
		{"", "Basic right", false},
		{"", "right", false},
		{"", "Bearer wrong", false},
		{"token=wrong", "Bearer right", false},
		{"token=%zz", "", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/ws?"+test.query, nil)
		if test.header != "" {
			r.Header.Set("Authorization", test.header)
		}
		if _, err := server.checkToken(r); (err == nil) != test.want {
			t.Errorf("%+v: %v", test, err)
		}
	}
	open := startServer(t, &ServerOptions{Handler: noTasks})
	if _, err := open.checkToken(httptest.NewRequest(http.MethodGet, "/ws", nil)); err != nil {
		t.Errorf("a server without a token wants one: %v", err)
	}
}

// TestHTTPRequests: what is no WebSocket, comes from a foreign page, or too
// late, gets an answer that says so.
func TestHTTPRequests(t *testing.T) {
	server := startServer(t, &ServerOptions{Handler: noTasks, MaxConnections: 1})
	url := "http" + strings.TrimPrefix(overHTTP(t, server), "ws")
	status := func(method string, header http.Header) int {
		t.Helper()
		r, err := http.NewRequest(method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode
	}
	handshake := func() http.Header {
		return http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
		}
	}
	if got := status(http.MethodGet, http.Header{}); got != http.StatusUpgradeRequired {
		t.Errorf("a plain request got %d", got)
	}
	if got := status(http.MethodPost, handshake()); got != http.StatusMethodNotAllowed {
		t.Errorf("a POST got %d", got)
	}
	foreign := handshake()
	foreign.Set("Origin", "https://evil.example")
	if got := status(http.MethodGet, foreign); got != http.StatusForbidden {
		t.Errorf("a foreign page got %d", got)
	}
	conn := dialRaw(t, url)
	conn.write(1, `{"type":"register","status":"ok","client_id":"d"}`)
	if _, err := conn.reader.ReadByte(); err != nil { // the confirmation
		t.Fatal(err)
	}
	if got := status(http.MethodGet, handshake()); got != http.StatusServiceUnavailable {
		t.Errorf("one too many got %d", got)
	}
	_ = conn.Close()
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if got := status(http.MethodGet, handshake()); got != http.StatusServiceUnavailable {
		t.Errorf("one too late got %d", got)
	}
}

// rawConn is a WebSocket without a library, to send what none would.
type rawConn struct {
	net.Conn
	t      *testing.T
	reader *bufio.Reader
}

func dialRaw(t *testing.T, url string) *rawConn {
	t.Helper()
	host := strings.TrimSuffix(url[strings.Index(url, "//")+2:], "/ws")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
		host, base64.StdEncoding.EncodeToString(nonce))
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake got %v, %v", response, err)
	}
	return &rawConn{conn, t, reader}
}

// write writes a whole message with an all-zero mask (RFC 6455 section 5.2).
func (c *rawConn) write(opcode byte, payload string) {
	c.t.Helper()
	if len(payload) > 125 {
		c.t.Fatal("too long for this test")
	}
	frame := append([]byte{0x80 | opcode, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
	if _, err := c.Write(frame); err != nil {
		c.t.Fatal(err)
	}
}

// closeCode reads up to the close frame and returns its code.
func (c *rawConn) closeCode() transport.StatusCode {
	c.t.Helper()
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(c.reader, head); err != nil {
			c.t.Fatalf("the connection ended without a close frame: %v", err)
		}
		size := int(head[1])
		if size == 126 {
			long := make([]byte, 2)
			if _, err := io.ReadFull(c.reader, long); err != nil {
				c.t.Fatal(err)
			}
			size = int(binary.BigEndian.Uint16(long))
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(c.reader, payload); err != nil {
			c.t.Fatal(err)
		}
		if head[0]&0xf == 8 {
			return transport.StatusCode(binary.BigEndian.Uint16(payload))
		}
	}
}

// TestBrokenFrames: what breaks WebSocket's own rules ends the connection with
// the code that says so, before the registration and after it.
func TestBrokenFrames(t *testing.T) {
	server := startServer(t, &ServerOptions{Handler: noTasks})
	url := overHTTP(t, server)
	for name, test := range map[string]struct {
		opcode  byte
		payload string
		code    transport.StatusCode
	}{
		"invalid UTF-8":  {1, "{\"type\":\"\xff\"}", transport.StatusInvalidPayload},
		"reserved frame": {3, "x", transport.StatusProtocolError},
	} {
		for _, registered := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, registered %t", name, registered), func(t *testing.T) {
				conn := dialRaw(t, url)
				defer conn.Close()
				if registered {
					conn.write(1, fmt.Sprintf(`{"type":"register","status":"ok","client_id":%q}`, name))
				}
				conn.write(test.opcode, test.payload)
				if code := conn.closeCode(); code != test.code {
					t.Errorf("closed with %v", code)
				}
			})
		}
	}
	// A binary first message and a text that is no JSON, on the wire.
	for payload, want := range map[string]struct {
		opcode byte
		code   transport.StatusCode
	}{
		`{"type":"register"`: {1, transport.StatusInvalidPayload},
		"\x00\xff":           {2, transport.StatusUnsupportedData},
	} {
		conn := dialRaw(t, url)
		conn.write(want.opcode, payload)
		if code := conn.closeCode(); code != want.code {
			t.Errorf("%q: closed with %v", payload, code)
		}
		_ = conn.Close()
	}
}

// TestFirstLimit: a WebSocket has the limit for registrations from its first
// byte on; it could begin with a large message before Serve sets one.
func TestFirstLimit(t *testing.T) {
	options, err := (&ServerOptions{Handler: noTasks, MaxRegistrationSize: 1000}).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		accepted, err := options.Accept(w, r)
		if err == nil {
			_, err = accepted.Receive(context.WithoutCancel(r.Context()))
			_ = accepted.Close()
		}
		result <- err
	}))
	t.Cleanup(web.Close)
	client, err := dialWebSockets(dialing{})(soon(t), "ws"+strings.TrimPrefix(web.URL, "http"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_ = client.Send(soon(t), make([]byte, 1001)) // the server may be faster
	if err := <-result; !errors.Is(err, transport.ErrMessageTooLarge) {
		t.Errorf("Receive returned %v", err)
	}
}

// TestDrainOverWebSockets: a device learns from the close, and from the answer
// to its next attempt, when to come back.
func TestDrainOverWebSockets(t *testing.T) {
	registered := make(chan struct{}, 1)
	server := startServer(t, &ServerOptions{Handler: noTasks})
	device, err := NewDevice(&DeviceOptions{ID: "dev", Reconnect: &ReconnectOptions{Off: true}, URL: overHTTP(t, server), Observer: func(e Event) {
		if e.Kind == EventRegistered {
			registered <- struct{}{}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- device.Run(soon(t)) }()
	<-registered
	if err := server.Shutdown(soon(t)); err != nil {
		t.Errorf("Shutdown returned %v", err)
	}
	for range 2 {
		var hint interface {
			RetryAfter() (time.Duration, bool)
		}
		err := <-result
		if !errors.As(err, &hint) || !transport.Retryable(err) {
			t.Fatalf("Run returned %v", err)
		}
		if after, ok := hint.RetryAfter(); !ok || after < time.Second || after > 2*time.Second {
			t.Errorf("%v says %v, %t", err, after, ok)
		}
		result <- device.Run(soon(t)) // is refused
	}
	<-result
}
