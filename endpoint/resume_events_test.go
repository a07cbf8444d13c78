package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// TestEventsOfLosses: everyone observes a loss with what went wrong, and an end
// in good order as that.
func TestEventsOfLosses(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*world)
		want error
	}{
		"cut":   {func(w *world) { w.cable("dev").cut(); w.cable("con@dev").cut() }, io.ErrUnexpectedEOF},
		"close": {func(w *world) { _ = w.server.Close() }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, &ServerOptions{Handler: noTasks})
				device := w.device(DeviceOptions{Reconnect: &ReconnectOptions{Off: true}})
				_, constellation := w.constellation(ConstellationOptions{Reconnect: &ReconnectOptions{Off: true}})
				test.end(w)
				synctest.Wait()
				for who, r := range map[string]*recorder{"device": device.events, "constellation": constellation, "server": w.events} {
					got := r.of(EventDisconnected)
					if len(got) == 0 {
						t.Errorf("the %s observed nothing", who)
					}
					for _, e := range got {
						if !errors.Is(e.Err, test.want) || (e.Err == nil) != (test.want == nil) {
							t.Errorf("the %s observed %v", who, e.Err)
						}
					}
				}
				var gaveUp *resilience.RetryError
				if err := <-device.ended; !errors.As(err, &gaveUp) || test.want == nil && !errors.Is(err, io.EOF) {
					t.Errorf("Run returned %v", err)
				}
			})
		})
	}
}

// TestAckTimeoutWithoutConnection: a task whose acceptance does not come while
// there is no connection is lost, and its link goes on.
func TestAckTimeoutWithoutConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: commanding(1)})
		work := &worker{}
		w.device(DeviceOptions{Tools: []Tool{work.tool()}})
		c, events := w.constellation(ConstellationOptions{AckTimeout: 10 * time.Second})
		w.cable("con@dev").blackHole()
		task := run(c, TaskRequest{Request: "work"})
		server := w.down()
		w.cable("con@dev").cut()
		if _, err := task.wait(); !errors.Is(err, ErrTaskLost) {
			t.Errorf("Run returned %v", err)
		}
		<-time.After(30 * time.Second)
		w.up(server)
		<-time.After(time.Second)
		if _, err := c.Run(soon(t), "dev", TaskRequest{Request: "work"}); err != nil {
			t.Errorf("the next Run returned %v", err)
		}
		if got := events.of(EventRegistered); len(got) != 2 || !got[1].Resumed {
			t.Errorf("observed %v", got)
		}
		// The one that was given up is done nevertheless: it was kept.
		if runs, _ := work.count(); runs != 2 {
			t.Errorf("the tool ran %d times", runs)
		}
		w.checkOneEnd(2)
	})
}

// TestAnswersWithoutConnection: a device says that a command is not valid, and
// what it is, also if it gets to that while it has no connection: somebody waits.
func TestAnswersWithoutConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := make(chan transport.Transport, 16)
		var down atomic.Bool
		w := newWorld(t, &ServerOptions{Handler: noTasks})
		work := &worker{takes: time.Second}
		w.device(DeviceOptions{Tools: []Tool{work.tool()}, Dial: func(context.Context, string) (transport.Transport, error) {
			if down.Load() {
				return nil, errUnreachable
			}
			ours, theirs := transport.NewPair(nil)
			t.Cleanup(func() { _ = theirs.Close() })
			ends <- theirs
			return ours, nil
		}})
		join := func(resumed bool, rx int) *peer {
			p := &peer{t, <-ends}
			p.expect(object{"type": "register"})
			p.send(object{"type": "heartbeat", "status": "ok", "result": object{resilience.ResumeExtension: object{
				"v": 1, "id": "token", "resumed": resumed, "rx": rx, "max_s": 120, "epoch": "e",
			}}})
			return p
		}
		p := join(false, 0)
		// One command runs, and one more than can wait holds up what follows.
		seq := 0
		send := func(m object) {
			seq++
			m["seq"], m["ack"] = seq, 0
			p.send(m)
		}
		for i := range maxQueuedCommands + 2 {
			send(command(fmt.Sprint(i), "work"))
		}
		send(object{"type": "command", "status": "continue", "session_id": "s", "response_id": "q", "actions": 7})
		send(object{"type": "device_info_request", "status": "ok", "request_id": "i"})
		synctest.Wait()
		down.Store(true)
		cut(p)
		<-time.After(30 * time.Second)
		down.Store(false)
		p = join(true, 0)
		seen := map[any]bool{}
		for !seen["q"] || !seen["device_info_response"] {
			m := p.receive()
			seen[m["type"]], seen[m["prev_response_id"]] = true, true
		}
	})
}

// TestNameIsFreeAtOnce: a client that leaves a session in good order can come
// back under its name at once, also if the server is not quite done with it.
func TestNameIsFreeAtOnce(t *testing.T) {
	for name, leave := range map[string]func(context.CancelFunc, *peer){
		"client": func(_ context.CancelFunc, p *peer) { p.close() },
		"server": func(cancel context.CancelFunc, _ *peer) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, &ServerOptions{Handler: noTasks})
				for range 100 {
					ctx, cancel := context.WithCancel(context.Background())
					ours, theirs := transport.NewPair(&transport.MemoryOptions{QueueMessages: 1})
					w.all.Go(func() { _ = w.server.Serve(ctx, theirs) })
					p := &peer{t, ours}
					p.send(offering("dev", "device", "", ""))
					p.joined()
					leave(cancel, p)
					for w.server.client("dev") != nil {
						<-time.After(time.Nanosecond)
					}
					next := w.peer("dev")
					next.send(offering("dev", "device", "", ""))
					next.joined()
					next.close()
					for w.server.client("dev") != nil {
						<-time.After(time.Nanosecond)
					}
					cancel()
				}
			})
		})
	}
}

// TestOrderOfEvents: whoever follows the events knows at any time whether a
// client has a connection: it is registered, detached, registered and so on.
func TestOrderOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: noTasks, SilenceTimeout: time.Hour})
		token := ""
		for range 500 {
			p := w.peer("dev")
			p.send(offering("dev", "device", "", token))
			token, _ = p.joined()
			cut(p) // as soon as it is confirmed
		}
		synctest.Wait()
		attached := false
		w.events.mu.Lock()
		defer w.events.mu.Unlock()
		for i, e := range w.events.events {
			switch {
			case e.Kind == EventRegistered && attached && !e.Resumed, e.Kind == EventDetached && !attached:
				t.Fatalf("event %d is %v", i, e)
			}
			attached = e.Kind == EventRegistered
		}
		if attached {
			t.Error("the last event says that the client has a connection")
		}
		if w.server.heartbeats.Running("dev") {
			t.Error("a client without a connection is watched")
		}
	})
}

// mute is a connection on which nothing can be sent.
type mute struct{ transport.Transport }

func (m mute) Unwrap() transport.Transport { return m.Transport }

func (m mute) Send(context.Context, []byte) error { return errCut }

// TestResumeThatFails: a connection that replaces one which the server did not
// miss, and fails before the client knows, leaves a session without either, and
// the events say so, once.
func TestResumeThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: noTasks, SilenceTimeout: time.Minute})
		p := w.peer("dev")
		p.send(offering("dev", "device", "", ""))
		token, _ := p.joined()
		for range 2 {
			ours, theirs := transport.NewPair(nil)
			w.all.Go(func() { _ = w.server.Serve(context.Background(), mute{theirs}) })
			next := &peer{t, ours}
			next.send(offering("dev", "device", "", token))
			next.expectClose()
			synctest.Wait()
			if got := w.of(EventDetached, "dev"); len(got) != 1 || !errors.Is(got[0].Err, errCut) {
				t.Errorf("observed %v", got)
			}
			if w.server.heartbeats.Running("dev") {
				t.Error("a client without a connection is watched")
			}
		}
		p = w.peer("dev")
		p.send(offering("dev", "device", "", token))
		if _, resumed := p.joined(); !resumed {
			t.Error("the session is lost")
		}
		synctest.Wait()
		if a, b := len(w.of(EventRegistered, "dev")), len(w.of(EventDisconnected, "dev")); a != 2 || b != 0 {
			t.Errorf("%d registered, %d disconnected", a, b)
		}
	})
}
