package endpoint

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// TestSilence: a client that says nothing for the timeout loses its connection;
// whatever it says counts. One with a session keeps that, for the grace.
func TestSilence(t *testing.T) {
	const timeout = time.Minute
	says := map[string]func(p *peer, n int){
		"nothing":   nil,
		"heartbeat": func(p *peer, _ int) { p.send(object{"type": "heartbeat", "status": "ok", "client_id": "dev"}) },
		"results": func(p *peer, _ int) {
			p.send(object{"type": "command_results", "status": "continue", "client_id": "dev", "session_id": "s", "prev_response_id": "x", "action_results": []any{}})
		},
		"error": func(p *peer, _ int) {
			p.send(object{"type": "error", "status": "error", "client_id": "dev", "error": "oh"})
		},
		"nonsense":    func(p *peer, _ int) { p.sendText("nonsense") },
		"unknown":     func(p *peer, _ int) { p.send(object{"type": "unheard_of", "status": "ok"}) },
		"another one": func(p *peer, _ int) { p.send(object{"type": "heartbeat", "status": "ok", "client_id": "someone"}) },
		"binary": func(p *peer, n int) {
			header := marshal(p.t, object{"type": "binary_data", "filename": "x", "size": 1})
			p.sendFrames(text(header), transport.Frame{Kind: transport.Binary, Data: []byte{byte(n)}})
		},
		"file": func(p *peer, n int) {
			if n == 0 {
				p.send(object{"type": "file_transfer_start", "filename": "f", "size": 100, "chunk_size": 1, "total_chunks": 100})
				return
			}
			header := marshal(p.t, object{"chunk_num": n - 1, "chunk_size": 1})
			p.sendFrames(text(header), transport.Frame{Kind: transport.Binary, Data: []byte{byte(n)}})
		},
	}
	for name, say := range says {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, &ServerOptions{Handler: noTasks, SilenceTimeout: timeout, FileDir: t.TempDir()})
				p := w.peer("dev")
				p.send(register("dev"))
				p.expect(object{"type": "heartbeat"})
				if say != nil {
					for n := range 10 {
						<-time.After(timeout - time.Second)
						say(p, n)
						synctest.Wait()
						if w.server.client("dev") == nil {
							t.Fatalf("the client is gone after %d messages: %v", n, w.events.of(EventDisconnected))
						}
					}
				}
				for p.waiting() > 0 {
					p.receive()
				}
				start := time.Now()
				<-time.After(timeout - time.Second)
				if w.server.client("dev") == nil {
					t.Fatal("the client is gone too early")
				}
				if code := p.expectClose(); code != transport.StatusAbnormal {
					t.Errorf("closed with %v", code)
				}
				if took := time.Since(start); took < timeout || took > timeout+time.Second {
					t.Errorf("the client was dropped after %v", took)
				}
				synctest.Wait()
				got := w.of(EventDisconnected, "dev")
				var expired *resilience.ExpiredError
				if len(got) != 1 || !errors.As(got[0].Err, &expired) {
					t.Errorf("observed %v", got)
				}
				checkEmpty(t, w.server)
			})
		})
	}
}

// TestSilenceOfSession: a silent connection of a session is dropped, not the
// session; it is watched anew on each connection, and not at all while it has
// none.
func TestSilenceOfSession(t *testing.T) {
	const timeout = time.Minute
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: noTasks, SilenceTimeout: timeout})
		p := w.peer("dev")
		p.send(offering("dev", "device", "", ""))
		token, _ := p.joined()
		for range 3 { // What only acknowledges counts as well.
			<-time.After(timeout - time.Second)
			p.send(object{"type": "heartbeat", "status": "ok", "ack": 0})
		}
		for i := range 3 {
			start := time.Now()
			p.expectCloseIn(2 * timeout)
			if took := time.Since(start); took < timeout || took > timeout+time.Second {
				t.Errorf("connection %d was dropped after %v", i, took)
			}
			synctest.Wait()
			if got := w.of(EventDetached, "dev"); len(got) != i+1 {
				t.Errorf("detached %d times", len(got))
			}
			<-time.After(timeout + timeout/2) // less than the grace, more than the timeout
			if w.server.heartbeats.Running("dev") {
				t.Error("a client without a connection is watched")
			}
			p = w.peer("dev")
			p.send(offering("dev", "device", "", token))
			var resumed bool
			if token, resumed = p.joined(); !resumed {
				t.Fatalf("connection %d was not resumed", i)
			}
		}
		p.close()
		synctest.Wait()
		if got := w.of(EventDisconnected, "dev"); len(got) != 1 || got[0].Err != nil {
			t.Errorf("observed %v", got)
		}
		if w.server.heartbeats.Running("dev") {
			t.Error("a client that has left is watched")
		}
		checkEmpty(t, w.server)
	})
}

func (p *peer) expectCloseIn(d time.Duration) {
	p.t.Helper()
	start := time.Now()
	for time.Since(start) < d {
		if _, err := p.next(); err != nil {
			var end *transport.CloseError
			if errors.As(err, &end) {
				return
			}
		}
	}
	p.t.Fatal("the connection goes on")
}

// TestBlackHole: a connection that swallows everything is found by the server's
// clock alone; the device, which has not noticed, comes back when it does, and
// the task goes on.
func TestBlackHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: commanding(2), SilenceTimeout: time.Minute})
		work := &worker{takes: 30 * time.Second}
		w.device(DeviceOptions{Tools: []Tool{work.tool()}})
		c, _ := w.constellation(ConstellationOptions{})
		task := run(c, TaskRequest{Request: "work"})
		<-time.After(time.Second)
		hole := w.cable("dev")
		hole.blackHole()
		<-time.After(time.Minute + 30*time.Second)
		if got := w.of(EventDetached, "dev"); len(got) != 1 {
			t.Errorf("detached %d times", len(got))
		}
		hole.cutClient()
		if _, err := task.wait(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if runs, cut := work.count(); runs != 2 || cut != 0 {
			t.Errorf("the tool ran %d times and was cut off %d times", runs, cut)
		}
		if got := w.resumed("dev"); got != 1 {
			t.Errorf("resumed %d times", got)
		}
		w.checkOneEnd(1)
	})
}

// TestHeartbeatsAgainstSilence: with the defaults of both sides, clients stay
// connected for hours, idle or during a long task.
func TestHeartbeatsAgainstSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: commanding(1), SilenceTimeout: defaultSilenceTimeout, CommandTimeout: -1})
		work := &worker{takes: 5 * time.Hour}
		w.device(DeviceOptions{Tools: []Tool{work.tool()}, CommandTimeout: -1})
		c, _ := w.constellation(ConstellationOptions{})
		<-time.After(5 * time.Hour)
		if _, err := c.Run(soonIn(t, 6*time.Hour), "dev", TaskRequest{Request: "work", Timeout: -1}); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if got := w.events.of(EventRegistered); len(got) != 2 {
			t.Errorf("registered %d times", len(got))
		}
		for _, name := range []string{"dev", "con@dev"} {
			if !w.server.heartbeats.Running(name) {
				t.Errorf("%s is not watched", name)
			}
		}
	})
}

// TestFileAgainstSilence: a device that does nothing but send a file, slowly,
// is not silent.
func TestFileAgainstSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := newWorld(t, &ServerOptions{Handler: noTasks, SilenceTimeout: time.Minute, FileDir: dir})
		device := w.device(DeviceOptions{HeartbeatInterval: -1})
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, make([]byte, 20), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := device.SendFile(soonIn(t, time.Hour), path, &protocol.SendFileOptions{ChunkSize: 1, Progress: func(protocol.FileProgress) {
			<-time.After(30 * time.Second)
		}})
		if err != nil {
			t.Errorf("SendFile returned %v", err)
		}
		if got := w.events.of(EventDetached); len(got) != 0 {
			t.Errorf("observed %v", got)
		}
	})
}
