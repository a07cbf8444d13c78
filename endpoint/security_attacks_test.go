package endpoint

import (
	"bufio"
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
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

// TestSlowHandshake: a client that drips its HTTP request is cut off by the
// ReadHeaderTimeout of the user's http.Server, takes up no place of the server,
// and holds up nobody.
func TestSlowHandshake(t *testing.T) {
	r := &recorder{}
	server := startServer(t, &ServerOptions{Handler: noTasks, Observer: r.observe, Limits: &Limits{MaxUnregistered: 1}})
	web := httptest.NewUnstartedServer(server)
	web.Config.ReadHeaderTimeout = 200 * time.Millisecond
	web.Start()
	t.Cleanup(web.Close)
	host := web.Listener.Addr().String()
	var slow []net.Conn
	for range 20 {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: "+host+"\r\nConnection: Upgrade\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, conn)
	}
	quick := dialRaw(t, "http://"+host+"/ws")
	defer quick.Close()
	quick.write(1, `{"type":"register","status":"ok","client_id":"d"}`)
	if _, err := quick.reader.ReadByte(); err != nil {
		t.Fatal(err)
	}
	for _, conn := range slow {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a slow handshake was not cut off")
		}
	}
	if e := r.of(EventRejected); len(e) != 0 {
		t.Errorf("observed %+v", e)
	}
}

// TestSlowRegistration: a client that drips its registration after the handshake,
// one byte of a long frame after the other, is cut off at the deadline for
// registrations.
func TestSlowRegistration(t *testing.T) {
	server := startServer(t, &ServerOptions{Handler: noTasks, RegistrationTimeout: 200 * time.Millisecond})
	conn := dialRaw(t, overHTTP(t, server))
	defer conn.Close()
	head := []byte{0x81, 0x80 | 126, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(head[2:], 50_000)
	if _, err := conn.Write(head); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		drip := time.NewTicker(10 * time.Millisecond)
		defer drip.Stop()
		for {
			select {
			case <-drip.C:
				if _, err := conn.Write([]byte{'{'}); err != nil {
					return
				}
			case <-stop:
				return
			}
		}
	}()
	start := time.Now()
	if err := conn.SetReadDeadline(start.Add(patience)); err != nil {
		t.Fatal(err)
	}
	if code := conn.closeCode(); code != transport.StatusPolicyViolation {
		t.Errorf("closed with %v", code)
	}
	if n := len(server.Clients()); n != 0 {
		t.Errorf("%d clients are registered", n)
	}
}

// TestFloodOverWebSockets: over a real connection as well, a client that does not
// stop learns by the close that it sent too much.
func TestFloodOverWebSockets(t *testing.T) {
	server := startServer(t, &ServerOptions{Handler: noTasks, Limits: &Limits{MessageRate: 100, MessageBurst: 10, MaxDelay: 100 * time.Millisecond}})
	conn := dialRaw(t, overHTTP(t, server))
	conn.write(1, `{"type":"register","status":"ok","client_id":"d"}`)
	const payload = `{"type":"heartbeat","status":"ok"}`
	frame := append([]byte{0x81, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1000 {
			if _, err := conn.Write(frame); err != nil {
				return
			}
		}
	}()
	if code := conn.closeCode(); code != transport.StatusPolicyViolation {
		t.Errorf("closed with %v", code)
	}
	_ = conn.Close()
	<-done
}

// TestForcedCompression: compression that is offered is not agreed to, and a
// frame that is compressed all the same, which could be a bomb, ends the
// connection unread.
func TestForcedCompression(t *testing.T) {
	server := startServer(t, &ServerOptions{Handler: noTasks})
	host := strings.TrimSuffix(strings.TrimPrefix(overHTTP(t, server), "ws://"), "/ws")
	for _, registered := range []bool{false, true} {
		t.Run(fmt.Sprintf("registered %t", registered), func(t *testing.T) {
			tcp, err := net.Dial("tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			defer tcp.Close()
			fmt.Fprintf(tcp, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n\r\n", host)
			conn := &rawConn{tcp, t, bufio.NewReader(tcp)}
			response, err := http.ReadResponse(conn.reader, nil)
			if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("the handshake got %v, %v", response, err)
			}
			if got := response.Header.Get("Sec-WebSocket-Extensions"); got != "" {
				t.Errorf("the server agrees to %q", got)
			}
			if registered {
				conn.write(1, `{"type":"register","status":"ok","client_id":"d"}`)
			}
			// The length says 1 TiB, of which no byte is waited for.
			bomb := []byte{0x80 | 0x40 | 1, 0x80 | 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
			if _, err := conn.Write(bomb); err != nil {
				t.Fatal(err)
			}
			if code := conn.closeCode(); code != transport.StatusProtocolError {
				t.Errorf("closed with %v", code)
			}
		})
	}
}

// TestDeepJSON: nesting costs no stack: it is refused, before the registration
// with the end of the connection.
func TestDeepJSON(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks})
		p, _ := server.connectResult()
		p.sendText(`{"type":"register","status":"ok","client_id":"d","metadata":{"system_info":{"a":` + deep(30_000) + `}}}`)
		p.expect(object{"type": "error"})
		if code := p.expectClose(); code != transport.StatusInvalidPayload && code != transport.StatusPolicyViolation {
			t.Errorf("closed with %v", code)
		}
		for _, role := range []*peer{server.device("d"), server.constellation("c", "d")} {
			for _, field := range []string{"metadata", "action_results", "ignored"} {
				role.sendText(fmt.Sprintf(`{"type":"task","status":"continue","request":"x","%s":%s}`, field, deep(2_000_000)))
				role.expect(object{"type": "error"})
			}
			stillOpen(role)
		}
	})
}

// TestNamesStayInside: neither the names of tasks nor those of files lead out of
// a directory.
func TestNamesStayInside(t *testing.T) {
	names := []string{
		"../evil", "..\\evil", "/evil", "\\evil", "a/../../evil", "..", ".", "....//evil", "C:\\evil", "\\\\host\\share",
		"evil\x00.txt", "evil\r\nforged", "%2e%2e%2fevil", "..%c0%afevil", "~/evil", strings.Repeat("../", 50) + "evil", strings.Repeat("x", 5000),
	}
	outside := t.TempDir()
	dir := filepath.Join(outside, "a", "b", "files")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	tasks, files := make(chan string, 1), make(chan Event, 1)
	server := startServer(t, &ServerOptions{
		FileDir: dir,
		Handler: func(_ context.Context, task *Task) (any, error) { tasks <- task.Name; return "done", nil },
		Observer: func(e Event) {
			if e.Kind == EventFile {
				files <- e
			}
		},
	})
	p := server.device("dev")
	for i, name := range names {
		p.send(object{"type": "task", "status": "continue", "session_id": fmt.Sprint("s", i), "request": "x", "task_name": name})
		if got := <-tasks; !filepath.IsLocal(got) || strings.ContainsAny(got, "/\\\x00\r\n") || len(got) > maxTaskName || filepath.Join(dir, got) == dir {
			t.Errorf("%.40q became %q", name, got)
		}
		for p.receive()["type"] != "task_end" {
		}

		p.send(object{"type": "file_transfer_start", "filename": name, "size": 4, "chunk_size": 4, "total_chunks": 1})
		p.sendFrames(text(`{"chunk_num":0,"chunk_size":4,"type":"binary_data","size":4}`), transport.Frame{Kind: transport.Binary, Data: []byte("evil")})
		p.send(object{"type": "file_transfer_complete", "filename": name, "total_chunks": 1})
		e := <-files
		if e.Err != nil {
			continue // It was refused.
		}
		if got := e.File.Path; filepath.Dir(got) != dir || strings.ContainsAny(filepath.Base(got), "/\\\x00\r\n:") {
			t.Errorf("%.40q was written to %q", name, got)
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

// TestEventsAreOneLine: what a client writes into its messages makes no second
// line of what an observer writes down.
func TestEventsAreOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		p := startServer(t, &ServerOptions{Handler: noTasks, Observer: r.observe}).device("dev")
		const forged = "x\r\nforged"
		p.send(object{"type": "task", "status": "continue", "session_id": forged, "request": "x", "task_name": forged, "target_id": forged})
		p.send(object{"type": "command_results", "status": "ok", "session_id": forged, "prev_response_id": forged, "action_results": []any{}})
		p.send(object{"type": "device_info_request", "status": "ok", "session_id": forged, "target_id": forged, "request_id": forged})
		p.send(object{"type": forged, "status": "ok", "session_id": forged})
		p.send(object{"type": "error", "status": "error", "session_id": strings.Repeat("y", 1<<20), "error": strings.Repeat("z", 1<<20)})
		for range 5 {
			synctest.Wait()
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.events) < 5 {
			t.Errorf("observed %+v", r.events)
		}
		for _, e := range r.events {
			for name, text := range map[string]string{"client": e.ClientID, "device": e.DeviceID, "session": e.SessionID, "task": e.TaskName} {
				if strings.ContainsAny(text, "\r\n") {
					t.Errorf("%s: the %s is %q", e.Kind, name, text)
				}
			}
			if size := len(fmt.Sprintf("%+v", e)); size > 8<<10 {
				t.Errorf("%s: the event has %d bytes", e.Kind, size)
			}
		}
	})
}
