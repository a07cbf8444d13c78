package endpoint

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

// TestServerRestart: a server is restarted in mid-task. The device's tool goes
// on; the constellation learns that the task is lost and asks for it again, and
// the new server gets what the tool brought, without a second run.
func TestServerRestart(t *testing.T) {
	for name, gone := range map[string]time.Duration{"tool still runs": time.Second, "tool is done": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				options := &ServerOptions{Handler: commanding(1)}
				w := newWorld(t, options)
				work := &worker{takes: 20 * time.Second}
				device := w.device(DeviceOptions{Tools: []Tool{work.tool()}})
				c, events := w.constellation(ConstellationOptions{})
				request := TaskRequest{Request: "work", ID: "id", RequestID: "request"}
				task := run(c, request)
				<-time.After(time.Second)

				// The process ends without a word.
				old := w.down()
				for _, name := range []string{"dev", "con@dev"} {
					w.cable(name).cut()
				}
				synctest.Wait()
				<-time.After(gone)
				w.start(options)
				if _, err := task.wait(); !errors.Is(err, ErrTaskLost) {
					t.Errorf("Run returned %v", err)
				}
				<-time.After(time.Second)
				if got := c.Devices(); len(got) != 1 {
					t.Fatalf("connected are %v", got)
				}
				result, err := c.Run(soon(t), "dev", request)
				if err != nil || result.Result.String() != `"1"` {
					t.Errorf("the second Run returned %v, %v", result, err)
				}
				if runs, cut := work.count(); runs != 1 || cut != 0 {
					t.Errorf("the tool ran %d times and was cut off %d times", runs, cut)
				}
				for _, e := range append(device.events.of(EventRegistered), events.of(EventRegistered)...) {
					if e.Resumed {
						t.Error("a new server resumed a session")
					}
				}
				if err := old.Close(); err != nil {
					t.Error(err)
				}
				checkEmpty(t, old)
			})
		})
	}
}

// TestNoSessions: without sessions, whichever side does not want them, the loss
// of its connection ends the device's tool and the task at once, as in plain
// AIP; the device registers again.
func TestNoSessions(t *testing.T) {
	for name, test := range map[string]struct {
		server ServerOptions
		client ReconnectOptions
	}{
		"server": {ServerOptions{NoResume: true}, ReconnectOptions{Strategy: quick{}}},
		"client": {ServerOptions{}, ReconnectOptions{Strategy: quick{}, NoResume: true}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.server.Handler = commanding(1)
				w := newWorld(t, &test.server)
				work := &worker{takes: time.Hour}
				device := w.device(DeviceOptions{Tools: []Tool{work.tool()}, Reconnect: &test.client, CommandTimeout: -1})
				c, _ := w.constellation(ConstellationOptions{Reconnect: &test.client})
				task := run(c, TaskRequest{Request: "work"})
				start := time.Now()
				w.cable("dev").cut()
				if _, err := task.wait(); !errors.Is(err, ErrTaskFailed) || time.Since(start) != 0 {
					t.Errorf("Run returned %v after %v", err, time.Since(start))
				}
				synctest.Wait()
				if runs, cut := work.count(); runs != 1 || cut != 1 {
					t.Errorf("the tool ran %d times and was cut off %d times", runs, cut)
				}
				<-time.After(time.Second)
				task = run(c, TaskRequest{Request: "work"})
				w.cable("con@dev").cut()
				if _, err := task.wait(); !errors.Is(err, ErrTaskLost) {
					t.Errorf("Run returned %v", err)
				}
				synctest.Wait()
				if runs, cut := work.count(); runs != 2 || cut != 2 {
					t.Errorf("the tool ran %d times and was cut off %d times", runs, cut)
				}
				for _, e := range append(w.events.of(EventRegistered), device.events.of(EventRegistered)...) {
					if e.Resumed {
						t.Error("there is a session")
					}
				}
				if got := w.events.of(EventDetached); len(got) != 0 {
					t.Errorf("observed %v", got)
				}
				w.checkOneEnd(2)
			})
		})
	}
}

// TestPlainPeers: clients that do not ask for sessions see no difference: no
// member of the extension goes to them, whatever they do. And towards a server
// that ignores the offer, ours send nothing of the extension but the offer,
// come back after a loss, register, and go on with their heartbeats.
func TestPlainPeers(t *testing.T) {
	t.Run("clients", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, &ServerOptions{Handler: commanding(1)})
			device, constellation := w.peer("dev"), w.peer("con")
			device.send(register("dev"))
			device.expect(object{"type": "heartbeat", "status": "ok"})
			registration := offering("con", "constellation", "dev", "")
			delete(registration, "metadata")
			constellation.send(registration)
			constellation.expect(object{"type": "heartbeat", "status": "ok"})
			constellation.task("dev", "s", "work")
			constellation.accepted("s")
			device.answerCommand("done")
			constellation.expect(object{"type": "task_end", "status": "completed"})
			device.expect(object{"type": "task_end", "status": "completed"})
			device.send(object{"type": "heartbeat", "status": "ok", "client_id": "dev"})
			device.expect(object{"type": "heartbeat"})
			<-time.After(time.Hour)
			for _, name := range []string{"dev", "con"} {
				if found := numbers(t, w.cable(name).toClient); len(found) != 0 {
					t.Errorf("%s got %s", name, found)
				}
			}
			constellation.task("dev", "s2", "work")
			constellation.accepted("s2")
			w.cable("dev").cut()
			constellation.expect(object{"type": "task_end", "status": "failed", "session_id": "s2"})
			synctest.Wait()
			if w.server.client("dev") != nil {
				t.Error("a plain client outlives its connection")
			}
		})
	})
	t.Run("server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ends := make(chan transport.Transport, 16)
			dial := func(context.Context, string) (transport.Transport, error) {
				ours, theirs := transport.NewPair(nil)
				t.Cleanup(func() { _ = theirs.Close() })
				ends <- theirs
				return ours, nil
			}
			w := newWorld(t, &ServerOptions{Handler: noTasks})
			device := w.device(DeviceOptions{Dial: dial, Tools: []Tool{counter("count")}})
			for i := range 3 {
				p := &peer{t, <-ends}
				m := p.expect(object{"type": "register", "client_id": "dev"})
				if len(numbers(t, []string{marshal(t, m)})) != 1 || m["seq"] != nil || m["ack"] != nil {
					t.Errorf("the registration is %v", m)
				}
				p.send(object{"type": "heartbeat", "status": "ok"})
				p.send(command("q", "count"))
				checkPlain(t, p.expect(object{"type": "command_results", "prev_response_id": "q"}))
				for range 3 {
					start := time.Now()
					checkPlain(t, p.nextIn(time.Minute))
					if since := time.Since(start); since > 25*time.Second {
						t.Errorf("connection %d: a heartbeat came after %v", i, since)
					}
					p.send(object{"type": "heartbeat", "status": "ok"})
				}
				cut(p)
			}
			synctest.Wait()
			if got := len(device.events.of(EventDisconnected)); got != 3 {
				t.Errorf("the device observed %d losses", got)
			}
		})
	})
	t.Run("server of a constellation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, x := newConstellation(t, ConstellationOptions{Reconnect: &ReconnectOptions{Strategy: quick{}}, HeartbeatInterval: 10 * time.Second})
			connected := make(chan error, 1)
			go func() { connected <- c.Connect(soon(t), "d", "ws://x/ws") }()
			for i := range 3 {
				p := x.registration("d")
				p.send(object{"type": "heartbeat", "status": "ok"})
				if i == 0 {
					if err := <-connected; err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				task := c.start(context.Background(), TaskRequest{Request: "work", ID: "t"})
				m := p.receive()
				for m["type"] == "heartbeat" {
					checkPlain(t, m)
					m = p.receive()
				}
				checkPlain(t, m)
				p.send(object{"type": "heartbeat", "status": "ok", "session_id": "c@t"})
				checkPlain(t, p.expect(object{"type": "heartbeat"}))
				if i == 1 {
					p.send(object{"type": "task_end", "status": "completed", "session_id": "c@t", "result": 1})
					if _, err := task.wait(); err != nil {
						t.Errorf("Run returned %v", err)
					}
				}
				cut(p)
				synctest.Wait()
				if i != 1 {
					if _, err := task.wait(); !errors.Is(err, ErrTaskLost) {
						t.Errorf("Run returned %v", err)
					}
				}
				held := TaskRequest{Request: "work", Timeout: time.Millisecond}
				if _, err := c.Run(soon(t), "d", held); !errors.Is(err, ErrTaskTimeout) {
					t.Errorf("Run returned %v", err)
				}
			}
		})
	})
}

// checkPlain checks that m has nothing of the extension.
func checkPlain(t *testing.T, m object) {
	t.Helper()
	if found := numbers(t, []string{marshal(t, m)}); len(found) != 0 {
		t.Errorf("got %v", found)
	}
}

// nextIn returns the next message, if it comes within d.
func (p *peer) nextIn(d time.Duration) object {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	text, err := p.tr.Receive(ctx)
	if err != nil {
		p.t.Fatalf("receiving: %v", err)
	}
	return parse(p.t, string(text))
}

// TestLateAnswers: what the device cannot say while it has no connection, but
// what somebody waits for, is said when it has one again.
func TestLateAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: commanding(2)})
		work := &worker{takes: 5 * time.Second}
		w.device(DeviceOptions{Tools: []Tool{work.tool()}})
		c, _ := w.constellation(ConstellationOptions{})
		task := run(c, TaskRequest{Request: "work"})
		server := w.down()
		w.cable("dev").cut()
		<-time.After(time.Minute) // The tool has ended meanwhile.
		w.up(server)
		start := time.Now()
		if _, err := task.wait(); err != nil || time.Since(start) > 6*time.Second {
			t.Errorf("Run returned %v after %v", err, time.Since(start))
		}
		if runs, cut := work.count(); runs != 2 || cut != 0 {
			t.Errorf("the tool ran %d times and was cut off %d times", runs, cut)
		}
	})
}
