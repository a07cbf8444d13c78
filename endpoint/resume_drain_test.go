package endpoint

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

// TestDrainAwaitsDetached: a server that ends waits for a client that has lost
// its connection in mid-task: the task comes to its end when it comes back, and
// then both go to the next server, which they were told when to ask.
func TestDrainAwaitsDetached(t *testing.T) {
	for _, name := range []string{"dev", "con@dev"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				options := &ServerOptions{Handler: commanding(2), RetryHint: 5 * time.Second}
				w := newWorld(t, options)
				work := &worker{takes: 30 * time.Second}
				strategy := patient{}
				device := w.device(DeviceOptions{Tools: []Tool{work.tool()}, Reconnect: &ReconnectOptions{Strategy: strategy}})
				c, _ := w.constellation(ConstellationOptions{Reconnect: &ReconnectOptions{Strategy: strategy}})
				idle := w.device(DeviceOptions{ID: "idle", Reconnect: &ReconnectOptions{Strategy: strategy}})
				task := run(c, TaskRequest{Request: "work"})
				<-time.After(time.Second)
				w.cable(name).cut()
				w.cable("idle").cut()
				synctest.Wait()
				old := w.server
				down := make(chan error, 1)
				go func() { down <- old.Shutdown(context.Background()) }()
				synctest.Wait()

				// A stranger is refused, in good order.
				stranger := w.peer("stranger")
				stranger.send(register("stranger"))
				if end := part(t, stranger); end.code != transport.StatusGoingAway || end.hint < options.RetryHint {
					t.Errorf("the stranger's connection was closed with %v, %v", end.code, end.hint)
				}
				result, err := task.wait()
				if err != nil || result.Result.String() != `"2"` {
					t.Errorf("Run returned %v, %v", result, err)
				}
				if err := <-down; err != nil {
					t.Errorf("Shutdown returned %v", err)
				}
				checkEmpty(t, old)
				if runs, cut := work.count(); runs != 2 || cut != 0 {
					t.Errorf("the tool ran %d times and was cut off %d times", runs, cut)
				}
				next := w.start(options)
				start := time.Now()
				for len(next.Clients()) < 3 && time.Since(start) < time.Minute {
					<-time.After(time.Second)
				}
				if took := time.Since(start); took < 4*time.Second || took > 20*time.Second {
					t.Errorf("the clients came back after %v", took)
				}
				for _, d := range []*liveDevice{device, idle} {
					select {
					case err := <-d.ended:
						t.Errorf("a device ended: %v", err)
					default:
					}
				}
				if _, err := c.Run(soon(t), "dev", TaskRequest{Request: "work"}); !errors.Is(err, context.DeadlineExceeded) && err != nil {
					t.Errorf("a new task failed: %v", err)
				}
			})
		})
	}
}

// patient asks when it is told to, and otherwise after a second.
type patient struct{}

func (patient) NextDelay(_ int, cause error) (time.Duration, bool) {
	var end *transport.CloseError
	if errors.As(cause, &end) {
		if after, ok := end.RetryAfter(); ok {
			return after, true
		}
	}
	return time.Second, true
}

// TestDrainCutsOffDetached: a client that does not come back holds the end of
// the server up for the time that it is given, at most.
func TestDrainCutsOffDetached(t *testing.T) {
	tests := map[string]struct {
		given time.Duration // for Shutdown
		took  time.Duration
		err   error
	}{
		"deadline": {30 * time.Second, 30 * time.Second, context.DeadlineExceeded},
		"grace":    {time.Hour, 2 * time.Minute, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				causes := make(chan error, 1)
				w := newWorld(t, &ServerOptions{Handler: observed(commanding(1), causes)})
				work := &worker{takes: 5 * time.Hour}
				w.device(DeviceOptions{Tools: []Tool{work.tool()}, CommandTimeout: -1})
				c, _ := w.constellation(ConstellationOptions{})
				task := run(c, TaskRequest{Request: "work"})
				server := w.down()
				w.cable("dev").cut()
				synctest.Wait()
				start := time.Now()
				ctx, cancel := context.WithTimeout(context.Background(), test.given)
				defer cancel()
				if err := server.Shutdown(ctx); !errors.Is(err, test.err) {
					t.Errorf("Shutdown returned %v", err)
				}
				if took := time.Since(start).Truncate(time.Second); took != test.took {
					t.Errorf("Shutdown took %v", took)
				}
				if _, err := task.wait(); !errors.Is(err, ErrTaskFailed) {
					t.Errorf("Run returned %v", err)
				}
				if err := <-causes; !errors.Is(err, ErrDeviceLost) && !errors.Is(err, ErrServerClosed) {
					t.Errorf("the handler's command failed with %v", err)
				}
				checkEmpty(t, server)
				w.checkOneEnd(1)
			})
		})
	}
}

// TestDrainOfIdleDetached: clients without tasks that have lost their
// connection do not hold the end of the server up. They come back to nobody.
func TestDrainOfIdleDetached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: noTasks})
		w.device(DeviceOptions{Reconnect: &ReconnectOptions{Strategy: patient{}}})
		w.constellation(ConstellationOptions{Reconnect: &ReconnectOptions{Strategy: patient{}}})
		w.cable("dev").cut()
		w.cable("con@dev").cut()
		synctest.Wait()
		start := time.Now()
		if err := w.server.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown returned %v", err)
		}
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("Shutdown took %v", took)
		}
		checkEmpty(t, w.server)
		<-time.After(time.Minute)
		checkEmpty(t, w.server)
		for _, e := range w.events.of(EventRejected) {
			if !errors.Is(e.Err, ErrServerClosed) {
				t.Errorf("an attempt was rejected with %v", e.Err)
			}
		}
	})
}

// TestCloseWithDetached: Close does not wait for clients that have lost their
// connection; their tasks fail, the other clients are told. Twice is once.
func TestCloseWithDetached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: commanding(1)})
		work := &worker{takes: time.Hour}
		w.device(DeviceOptions{Tools: []Tool{work.tool()}, CommandTimeout: -1})
		c, _ := w.constellation(ConstellationOptions{})
		task := run(c, TaskRequest{Request: "work"})
		server := w.down()
		w.cable("dev").cut()
		synctest.Wait()
		start := time.Now()
		for range 2 {
			if err := server.Close(); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v", took)
		}
		if _, err := task.wait(); !errors.Is(err, ErrTaskFailed) {
			t.Errorf("Run returned %v", err)
		}
		checkEmpty(t, server)
		w.checkOneEnd(1)
	})
}

// TestCloseAfterResume: what was sent before the end of the server arrives, also
// over a connection that is not the session's first one and that is slow.
func TestCloseAfterResume(t *testing.T) {
	for _, resumed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			w := newWorld(t, &ServerOptions{Handler: func(ctx context.Context, _ *Task) (any, error) {
				select {
				case <-release:
				case <-ctx.Done():
				}
				return nil, errors.New("no luck")
			}})
			p := w.peer("dev")
			p.send(offering("dev", "device", "", ""))
			token, _ := p.joined()
			serve := func(options *transport.MemoryOptions) *peer {
				client, end := transport.NewPair(options)
				t.Cleanup(func() { _ = client.Close() })
				w.all.Go(func() { _ = w.server.Serve(context.Background(), end) })
				return &peer{t, client}
			}
			if resumed {
				w.cable("dev").cut()
			}
			slow := serve(&transport.MemoryOptions{QueueMessages: 1})
			if resumed {
				slow.send(offering("dev", "device", "", token))
			} else {
				slow.send(offering("dev3", "device", "", ""))
			}
			slow.joined()
			id := map[bool]string{true: "dev", false: "dev3"}[resumed]
			for i := range 3 {
				slow.send(object{
					"type": "task", "status": "continue", "client_id": id, "client_type": "device", "request": "work",
					"session_id": string(rune('a' + i)), "seq": i + 1, "ack": 0,
				})
				slow.accepted(string(rune('a' + i)))
			}
			synctest.Wait()
			closed := make(chan error, 1)
			go func() { closed <- w.server.Close() }()
			synctest.Wait()
			ends := 0
			for {
				m, err := slow.next()
				if err != nil {
					break
				}
				if m["type"] == "task_end" {
					ends++
				}
				<-time.After(100 * time.Millisecond)
			}
			if err := <-closed; err != nil {
				t.Error(err)
			}
			if ends != 3 {
				t.Errorf("resumed %v: %d of 3 ends arrived", resumed, ends)
			}
			close(release)
		})
	}
}
