package endpoint

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// rawFrame is a masked WebSocket frame with an all-zero mask (RFC 6455 section 5.2).
func rawFrame(first byte, payload string) string {
	head := []byte{first, 0x80}
	switch n := len(payload); {
	case n < 126:
		head[1] |= byte(n)
	case n <= 0xffff:
		head[1] |= 126
		head = binary.BigEndian.AppendUint16(head, uint16(n))
	default:
		head[1] |= 127
		head = binary.BigEndian.AppendUint64(head, uint64(n))
	}
	return string(head) + "\x00\x00\x00\x00" + payload
}

// ended reads up to the close frame, hangs up and returns the frame's code; 0 if
// the connection ended without.
func (c *rawConn) ended() transport.StatusCode {
	c.t.Helper()
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	for {
		head := make([]byte, 4)
		if _, err := io.ReadFull(c.reader, head[:2]); errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatal("the connection does not end")
		} else if err != nil {
			return 0
		}
		size := int64(head[1])
		if size == 126 {
			if _, err := io.ReadFull(c.reader, head[2:]); err != nil {
				return 0
			}
			size = int64(binary.BigEndian.Uint16(head[2:]))
		}
		payload := new(bytes.Buffer)
		if _, err := io.CopyN(payload, c.reader, size); err != nil {
			return 0
		}
		if head[0]&0xf == 8 && size >= 2 {
			return transport.StatusCode(binary.BigEndian.Uint16(payload.Bytes()))
		}
	}
}

// TestFirstFrameRubbishOverWebSockets: whatever comes first that is no
// registration, down to what is no WebSocket at all, ends the connection with the
// code that says why, without the deadline, and leaves no client (spec section 8,
// D3).
func TestFirstFrameRubbishOverWebSockets(t *testing.T) {
	const registration = `{"type":"register","status":"ok","client_id":"d"}`
	server := startServer(t, &ServerOptions{Handler: noTasks, RegistrationTimeout: time.Hour})
	url := overHTTP(t, server)
	for name, test := range map[string]struct {
		sent string
		code transport.StatusCode
	}{
		"not JSON":                    {rawFrame(0x81, "hello"), transport.StatusInvalidPayload},
		"nothing":                     {rawFrame(0x81, ""), transport.StatusInvalidPayload},
		"half an object":              {rawFrame(0x81, registration[:20]), transport.StatusInvalidPayload},
		"two objects":                 {rawFrame(0x81, registration+registration), transport.StatusInvalidPayload},
		"JSON, but no object":         {rawFrame(0x81, `[`+registration+`]`), transport.StatusPolicyViolation},
		"another message":             {rawFrame(0x81, `{"type":"heartbeat","status":"ok","client_id":"d"}`), transport.StatusPolicyViolation},
		"a task":                      {rawFrame(0x81, `{"type":"task","status":"continue","client_id":"d","request":"x"}`), transport.StatusPolicyViolation},
		"a server's message":          {rawFrame(0x81, `{"type":"command","status":"continue"}`), transport.StatusPolicyViolation},
		"an error":                    {rawFrame(0x81, `{"type":"error","status":"error","error":"x"}`), transport.StatusPolicyViolation},
		"no id":                       {rawFrame(0x81, `{"type":"register","status":"ok"}`), transport.StatusPolicyViolation},
		"an object for an id":         {rawFrame(0x81, `{"type":"register","status":"ok","client_id":{}}`), transport.StatusPolicyViolation},
		"binary":                      {rawFrame(0x82, registration), transport.StatusUnsupportedData},
		"no UTF-8":                    {rawFrame(0x81, "{\"type\":\"\xff\xfe\"}"), transport.StatusInvalidPayload},
		"half a character":            {rawFrame(0x01, "{\xc3") + rawFrame(0x80, "("), transport.StatusInvalidPayload},
		"reserved opcode":             {rawFrame(0x83, registration), transport.StatusProtocolError},
		"reserved bit":                {rawFrame(0x91, registration), transport.StatusProtocolError},
		"continuation of nothing":     {rawFrame(0x80, registration), transport.StatusProtocolError},
		"message in a message":        {rawFrame(0x01, "{") + rawFrame(0x81, registration), transport.StatusProtocolError},
		"control frame in two":        {rawFrame(0x09, "x"), transport.StatusProtocolError},
		"long control frame":          {rawFrame(0x89, strings.Repeat("x", 126)), transport.StatusProtocolError},
		"close code that is none":     {rawFrame(0x88, "\x00\x01"), transport.StatusProtocolError},
		"frame without a mask":        {"\x81\x02{}", transport.StatusProtocolError},
		"length with the highest bit": {"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 0},
		"1 TiB announced":             {"\x81\xff\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat(" ", 128<<10), transport.StatusMessageTooBig},
		"a byte too much":             {rawFrame(0x81, strings.Repeat(" ", 64<<10+1)), transport.StatusMessageTooBig},
		"too much in small frames":    {strings.Repeat(rawFrame(0x01, strings.Repeat(" ", 4<<10)), 1) + strings.Repeat(rawFrame(0x00, strings.Repeat(" ", 4<<10)), 17), transport.StatusMessageTooBig},
		"a TLS handshake":             {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\xaa", 64), 0},
		"an HTTP request":             {"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", 0},
		"zeros":                       {strings.Repeat("\x00", 4<<10), transport.StatusProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dialRaw(t, url)
			defer conn.Close()
			// The server may end the connection before it has read everything.
			_, _ = io.WriteString(conn, test.sent)
			if code := conn.ended(); test.code != 0 && code != test.code {
				t.Errorf("closed with %v, want %v", code, test.code)
			}
			until(t, func() bool {
				server.mu.Lock()
				defer server.mu.Unlock()
				return len(server.connections) == 0
			})
			if n := len(server.Clients()); n != 0 {
				t.Errorf("%d clients are registered", n)
			}
		})
	}
	dialled(t, url, "").joins(register("d"))
}

// TestOversizeOverWebSockets: a message of a registered client that is larger than
// it may be is not taken in, whatever length it announces, and costs no memory.
func TestOversizeOverWebSockets(t *testing.T) {
	const limit = 100 << 10
	server := startServer(t, &ServerOptions{Handler: noTasks, MaxMessageSize: limit})
	url := overHTTP(t, server)
	for name, sent := range map[string]string{
		"a byte too much":          rawFrame(0x81, strings.Repeat(" ", limit+1)),
		"1 TiB announced":          "\x81\xff\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat(" ", limit+64<<10),
		"too much in small frames": rawFrame(0x01, " ") + strings.Repeat(rawFrame(0x00, strings.Repeat(" ", 10<<10)), 11),
		"binary":                   rawFrame(0x82, strings.Repeat("\x00", limit+1)),
	} {
		t.Run(name, func(t *testing.T) {
			conn := dialRaw(t, url)
			defer conn.Close()
			conn.write(1, fmt.Sprintf(`{"type":"register","status":"ok","client_id":%q}`, name))
			if _, err := conn.reader.ReadByte(); err != nil {
				t.Fatal(err)
			}
			if err := conn.reader.UnreadByte(); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = io.WriteString(conn, sent)
			if code := conn.ended(); code != transport.StatusMessageTooBig {
				t.Errorf("closed with %v", code)
			}
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
				t.Errorf("it took %d bytes", grown)
			}
		})
	}
}

// TestDeepJSONOverWebSockets: nesting costs no stack: it is refused, before the
// registration with the end of the connection.
func TestDeepJSONOverWebSockets(t *testing.T) {
	deep := func(open, end string, n int) string { return strings.Repeat(open, n) + strings.Repeat(end, n) }
	url := overHTTP(t, startServer(t, &ServerOptions{Handler: noTasks}))
	stranger := dialled(t, url, "")
	stranger.sendText(`{"type":"register","status":"ok","client_id":"d","metadata":{"a":` + deep("[", "]", 30_000) + `}}`)
	stranger.expect(object{"type": "error"})
	if code := stranger.expectClose(); code != transport.StatusInvalidPayload {
		t.Errorf("closed with %v", code)
	}
	p := dialled(t, url, "").joins(register("d"))
	for _, value := range []string{deep("[", "]", 300_000), deep(`{"a":`, "}", 300), strings.Repeat("[", 300_000)} {
		for _, field := range []string{"metadata", "action_results", "ignored"} {
			p.sendText(`{"type":"task","status":"continue","request":"x","` + field + `":` + value + `}`)
			p.expect(object{"type": "error"})
		}
	}
	stillOpen(p)
}

// TestPathTraversalOverWebSockets: neither the name of a task nor that of a file
// leads out of the directory that it is for (spec 5.8).
func TestPathTraversalOverWebSockets(t *testing.T) {
	outside := t.TempDir()
	dir := filepath.Join(outside, "a", "files")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	tasks, files := make(chan string, 1), make(chan Event, 1)
	server := startServer(t, &ServerOptions{
		FileDir: dir,
		Handler: func(_ context.Context, task *Task) (any, error) { tasks <- task.Name; return nil, nil },
		Observer: func(e Event) {
			if e.Kind == EventFile {
				files <- e
			}
		},
	})
	p := dialled(t, overHTTP(t, server), "").joins(register("dev"))
	for i, name := range []string{
		"../evil", "..", "../../../../../../tmp/evil", "/etc/evil", `..\evil`, `C:\evil`, "a/../../evil", "evil\x00", ".evil", "./../evil", "",
	} {
		p.send(object{"type": "task", "status": "continue", "session_id": fmt.Sprint("s", i), "request": "x", "task_name": name})
		if got := <-tasks; !filepath.IsLocal(got) || strings.ContainsAny(got, "/\\\x00:") || got[0] == '.' {
			t.Errorf("%q became %q", name, got)
		}
		for p.receive()["type"] != "task_end" {
		}
		if name == "" {
			continue // is no announcement
		}
		p.send(object{"type": "file_transfer_start", "filename": name, "size": 4, "chunk_size": 4, "total_chunks": 1})
		p.sendFrames(text(`{"chunk_num":0,"chunk_size":4,"type":"binary_data","size":4}`), transport.Frame{Kind: transport.Binary, Data: []byte("evil")})
		p.send(object{"type": "file_transfer_complete", "filename": name, "total_chunks": 1})
		if e := <-files; e.Err == nil && filepath.Dir(e.File.Path) != dir {
			t.Errorf("%q was written to %q", name, e.File.Path)
		}
	}
	stillOpen(p)
	err := filepath.WalkDir(outside, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Dir(path) != dir {
			t.Errorf("there is a file %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSilentConnectionOverWebSockets: a client that is there no more, but whose
// connection nobody has ended, keeps its id only until it fails to answer a ping;
// then who comes back registers, without being asked to wait for more (spec
// section 8, D4).
func TestSilentConnectionOverWebSockets(t *testing.T) {
	server := startServer(t, &ServerOptions{Handler: noTasks, Accept: func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
		return websocket.Accept(w, r, &websocket.AcceptOptions{
			Options: &websocket.Options{PingInterval: 50 * time.Millisecond, PingTimeout: 50 * time.Millisecond},
		})
	}})
	url := overHTTP(t, server)
	conn := dialRaw(t, url)
	defer conn.Close()
	conn.write(1, `{"type":"register","status":"ok","client_id":"dev"}`)
	until(t, func() bool { return len(server.Clients()) == 1 })
	until(t, func() bool { return len(server.Clients()) == 0 })
	stillOpen(dialled(t, url, "").joins(register("dev")))
}

// TestClosedAtOnceOverWebSockets: a client that is gone before it is confirmed,
// by a close or without a word, leaves nothing behind, and its id is free (spec
// section 8, D2).
func TestClosedAtOnceOverWebSockets(t *testing.T) {
	server := startServer(t, &ServerOptions{Handler: noTasks})
	url := overHTTP(t, server)
	for range 20 {
		for _, end := range []string{"", rawFrame(0x88, "\x03\xe8"), rawFrame(0x81, "rubbish"), "\x81"} {
			conn := dialRaw(t, url)
			if _, err := io.WriteString(conn, rawFrame(0x81, `{"type":"register","status":"ok","client_id":"dev","metadata":{"system_info":"text"}}`)+end); err != nil {
				t.Fatal(err)
			}
			reset(conn)
			until(t, func() bool {
				server.mu.Lock()
				defer server.mu.Unlock()
				return len(server.connections)+len(server.online) == 0
			})
		}
	}
	stillOpen(dialled(t, url, "").joins(register("dev")))
}

// TestOddCredentialsOverHTTP: credentials of any bytes are wrong ones, and no
// failure of the server's (spec section 8, D38); over a raw connection, because
// no client's library sends them.
func TestOddCredentialsOverHTTP(t *testing.T) {
	for name, options := range map[string]*ServerOptions{
		"Token":        {Handler: noTasks, Token: "s\u00e9cret"},
		"Authenticate": {Handler: noTasks, Authenticate: tokens(t, map[string]Principal{"s\u00e9cret": {Name: "op", API: true}})},
	} {
		t.Run(name, func(t *testing.T) {
			options.Limits = &Limits{FailuresPerMinute: -1}
			server := startServer(t, options)
			mux := http.NewServeMux()
			mux.Handle("/ws", server)
			mux.Handle("/api/", server.API())
			web := httptest.NewServer(mux)
			t.Cleanup(web.Close)
			status := func(request string) int {
				t.Helper()
				conn, err := net.Dial("tcp", web.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				fmt.Fprintf(conn, "%s\r\nHost: x\r\n\r\n", request)
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				return response.StatusCode
			}
			for _, odd := range []string{"s\xe9cret", "\xff\xfe", "\u00e9", "\U0001f511", "s%C3%A9cre", strings.Repeat("\u00e9", 4000)} {
				for request, want := range map[string]int{
					"GET /ws?token=" + odd + " HTTP/1.1":                                 http.StatusForbidden,
					"GET /ws HTTP/1.1\r\nAuthorization: Bearer " + odd:                   http.StatusForbidden,
					"GET /api/clients HTTP/1.1\r\nX-API-Key: " + odd:                     http.StatusUnauthorized,
					"GET /api/task_result/x HTTP/1.1\r\nAuthorization: Bearer " + odd:    http.StatusUnauthorized,
					"GET /ws?token=%FF%FE HTTP/1.1\r\nAuthorization: Bearer s\u00e9cret": http.StatusForbidden,
				} {
					if got := status(request); got != want {
						t.Errorf("%.60q got %d, want %d", request, got, want)
					}
				}
			}
			for request, want := range map[string]int{
				"GET /api/clients HTTP/1.1\r\nX-API-Key: s\u00e9cret":         http.StatusOK,
				"GET /ws HTTP/1.1\r\nAuthorization: Bearer s\u00e9cret":       http.StatusUpgradeRequired,
				"GET /ws?token=s%C3%A9cret HTTP/1.1":                          http.StatusUpgradeRequired,
				"GET /ws?token=wrong&token=s%C3%A9cret HTTP/1.1\r\nA: \u00e9": http.StatusUpgradeRequired,
			} {
				if got := status(request); got != want {
					t.Errorf("%q got %d, want %d", request, got, want)
				}
			}
		})
	}
}
