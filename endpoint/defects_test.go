package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// TestAskingForResultsFreezesNothing: the HTTP API may be asked for results, known
// ones and others, while tasks end and clients come and go (spec section 8, D1).
func TestAskingForResultsFreezesNothing(t *testing.T) {
	const tasks = 100
	server := startServer(t, &ServerOptions{
		Limits:  &Limits{APIRequestsPerMinute: -1},
		Handler: func(context.Context, *Task) (any, error) { return "done", nil },
	})
	url := overHTTP(t, server)
	web := httptest.NewServer(server.API())
	t.Cleanup(web.Close)
	get := func(path string) int {
		r, err := http.NewRequestWithContext(soon(t), http.MethodGet, web.URL+path, nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		response, err := web.Client().Do(r)
		if err != nil {
			t.Error(err)
			return 0
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for range 2 {
		asking.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				get(fmt.Sprintf("/api/task_result/t%d", i%tasks))
				get("/api/clients")
			}
		})
	}
	p := dialled(t, url, "").joins(register("dev"))
	for i := range tasks {
		p.send(object{"type": "task", "status": "continue", "session_id": "s", "request": "x", "task_name": fmt.Sprint("t", i)})
		p.expect(object{"type": "heartbeat", "session_id": "s"})
		p.expect(object{"type": "task_end", "status": "completed"})
	}
	close(stop)
	asking.Wait()
	stillOpen(dialled(t, url, "").joins(register("other")))
	for _, name := range []string{"t0", fmt.Sprint("t", tasks-1)} {
		if got := get("/api/task_result/" + name); got != http.StatusOK {
			t.Errorf("the result of %s got %d", name, got)
		}
	}
}

// TestLongOutage: a device and a constellation go on trying for as long as there
// is nobody, or their id is taken, and come back soon afterwards (spec section 8,
// D4, D23).
func TestLongOutage(t *testing.T) {
	for name, taken := range map[string]bool{"nobody listens": false, "the id is taken": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, &ServerOptions{Handler: noTasks})
				server, other := w.server, (*peer)(nil)
				if taken {
					other = w.peer("other")
					other.joins(register("dev"))
				} else {
					w.down()
				}
				device := w.device(DeviceOptions{Reconnect: &ReconnectOptions{}, SystemInfo: recordedSystem})
				<-time.After(3 * time.Hour)
				if n := len(device.events.of(EventRegistered)); n != 0 {
					t.Fatalf("registered %d times", n)
				}
				if taken {
					other.close()
				} else {
					w.up(server)
				}
				<-time.After(5 * time.Minute)
				if n := len(device.events.of(EventRegistered)); n != 1 {
					t.Errorf("registered %d times", n)
				}
			})
		})
	}
}

// TestEveryLossIsObservedAndReplaced: a constellation whose observer asks how
// things are is told of each loss in mid-task, and has a new connection after each
// (spec section 8, D5).
func TestEveryLossIsObservedAndReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		var observing atomic.Pointer[Constellation]
		options := reconnecting()
		options.Observer = func(e Event) {
			if c := observing.Load(); c != nil {
				c.Statuses()
			}
			runtime.Gosched()
			r.observe(e)
		}
		c, p, x := linked(t, options)
		observing.Store(c)
		for i := range 5 {
			run := c.queue(fmt.Sprint(i))
			p.takes(fmt.Sprint(i))
			cut(p)
			if _, err := run.wait(); !errors.Is(err, ErrTaskLost) {
				t.Errorf("Run returned %v", err)
			}
			p = x.again("d")
			synctest.Wait()
			if n := len(r.of(EventDisconnected)); n != i+1 {
				t.Errorf("%d losses were observed of %d", n, i+1)
			}
		}
		run := c.queue("last")
		p.takes("last")
		p.ends("last")
		run.succeeds(t)
		checkStates(t, r)
	})
}

// TestRefusalsArriveAtOnce: a task that a server refuses fails when it does, not
// when its time is over (spec section 8, D6).
func TestRefusalsArriveAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: untilCancelled})
		for _, id := range []string{"one", "two"} {
			server.device(id)
		}
		c := toServer(t, server)
		for _, id := range []string{"one", "two"} {
			if err := c.Connect(soon(t), id, "test://server"); err != nil {
				t.Fatal(err)
			}
		}
		first := runOn(c, "one", "t")
		synctest.Wait()
		start := time.Now()
		if _, err := c.Run(context.Background(), "two", TaskRequest{ID: "t", Request: "work"}); !errors.Is(err, ErrTaskRefused) {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the refusal took %v", took)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := first.wait(); err == nil {
			t.Error("the first task has succeeded")
		}
	})
}

// toServer returns a constellation called "con" that connects to the server.
func toServer(t *testing.T, server *testServer) *Constellation {
	t.Helper()
	c, err := NewConstellation(&ConstellationOptions{
		Name: "con", NoDeviceInfo: true, Reconnect: &ReconnectOptions{Off: true},
		Dial: func(context.Context, string) (transport.Transport, error) { return server.connect().tr, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestRetryOnAnotherDevice: a task that was given up on one device, where it still
// runs, can be given to another; without an id of the caller's it is another
// session (spec section 8, D29).
func TestRetryOnAnotherDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		server := startServer(t, &ServerOptions{Observer: r.observe, Handler: func(ctx context.Context, task *Task) (any, error) {
			if task.Device.ID == "one" {
				return untilCancelled(ctx, task)
			}
			return "done", nil
		}})
		c := toServer(t, server)
		for _, id := range []string{"one", "two"} {
			server.device(id)
			if err := c.Connect(soon(t), id, "test://server"); err != nil {
				t.Fatal(err)
			}
		}
		request := TaskRequest{Request: "work", Timeout: time.Second}
		if _, err := c.Run(context.Background(), "one", request); !errors.Is(err, ErrTaskTimeout) {
			t.Errorf("Run returned %v", err)
		}
		if result, err := c.Run(context.Background(), "two", request); err != nil || result.Result.String() != `"done"` {
			t.Errorf("Run returned %v, %v", result, err)
		}
		if taken := r.of(EventTaskAccepted); len(taken) != 2 || taken[0].SessionID == taken[1].SessionID {
			t.Errorf("observed %+v", taken)
		}
	})
}

// TestOwnTaskEndsWithItsConnection: a task that a device has given itself ends
// with its connection; what it sends about it on the next one, where the session's
// id is free, is nothing to the new task (spec section 8, D7).
func TestOwnTaskEndsWithItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		server := startServer(t, &ServerOptions{Handler: commanding(2), Observer: r.observe})
		own := object{"type": "task", "status": "continue", "session_id": "s", "request": "work"}
		device := server.device("dev")
		device.send(own)
		device.accepted("s")
		old := device.expect(object{"type": "command"})
		start := time.Now()
		cut(device)
		synctest.Wait()
		if ends := r.of(EventTaskEnded); len(ends) != 1 || !errors.Is(ends[0].Err, ErrDeviceLost) && !errors.Is(ends[0].Err, ErrRequesterLost) || time.Since(start) != 0 {
			t.Errorf("after %v observed %+v", time.Since(start), ends)
		}
		checkEmpty(t, server)

		device = server.device("dev")
		device.answer(old, "late")
		device.send(own)
		device.accepted("s")
		device.answer(old, "late")
		for range 2 {
			device.answerCommand("now")
		}
		device.expect(object{"type": "task_end", "status": "completed", "session_id": "s", "result": `"now"`})
		synctest.Wait()
		if n := len(r.of(EventResultsDropped)); n != 2 {
			t.Errorf("%d results were dropped", n)
		}
	})
}

// TestRefusalsLeaveTheOwnersTasks: whoever is refused a session, by its owner or
// not, the owner's tasks on the device end when the device or the owner is lost,
// and everyone is told (spec section 8, D8).
func TestRefusalsLeaveTheOwnersTasks(t *testing.T) {
	for _, lost := range []string{"device", "owner"} {
		t.Run(lost+" is lost", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, device, _ := trio(t, &ServerOptions{Handler: untilCancelled})
				server.device("other")
				owner, thief := server.constellation("owner", ""), server.constellation("thief", "")
				for _, id := range []string{"a", "b"} {
					owner.task("dev", id, "work")
					owner.accepted(id)
				}
				for _, id := range []string{"a", "b"} {
					thief.task("dev", id, "steal")
					thief.expect(object{"type": "error", "session_id": id})
					thief.expect(object{"type": "task_end", "status": "failed", "session_id": id})
					owner.task("other", id, "move")
					owner.expect(object{"type": "error", "session_id": id})
					device.send(object{"type": "task", "status": "continue", "session_id": id, "request": "steal"})
					device.expect(object{"type": "error", "session_id": id})
					device.expect(object{"type": "task_end", "status": "failed", "session_id": id})
				}
				told, left := owner, device
				if lost == "owner" {
					told, left = device, owner
				}
				start := time.Now()
				cut(left)
				ended := map[any]bool{}
				for range 2 {
					ended[told.expect(object{"type": "task_end", "status": "failed"})["session_id"]] = true
				}
				if !ended["a"] || !ended["b"] || time.Since(start) != 0 {
					t.Errorf("after %v ended %v", time.Since(start), ended)
				}
				stillOpen(told)
				synctest.Wait()
				server.mu.Lock()
				defer server.mu.Unlock()
				if len(server.sessions)+server.unended != 0 {
					t.Errorf("%d sessions are left", len(server.sessions))
				}
			})
		})
	}
}

// TestPermanentFailuresAreTriedOnce: what no further attempt can change ends the
// attempts, also by default (spec section 8, D23, D33).
func TestPermanentFailuresAreTriedOnce(t *testing.T) {
	r := &recorder{}
	url := overHTTP(t, startServer(t, &ServerOptions{Handler: noTasks, Token: "right", Observer: r.observe}))
	for name, test := range map[string]struct {
		url   string
		is    error
		tried int
	}{
		"wrong token":     {url, nil, 1},
		"no such path":    {url + "/none", nil, 0},
		"no such scheme":  {"mailto:x@example.org", transport.ErrInvalidURL, 0},
		"no URL":          {"ws://[::1/ws", transport.ErrInvalidURL, 0},
		"control in URL":  {"ws://x/\x7f", transport.ErrInvalidURL, 0},
		"URL without end": {"ws://", transport.ErrInvalidURL, 0},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(r.of(EventRejected))
			device, err := NewDevice(&DeviceOptions{ID: "dev", URL: test.url, Token: "wrong"})
			if err != nil {
				t.Fatal(err)
			}
			var answer *websocket.HandshakeError
			err = device.Run(soon(t))
			if transport.Retryable(err) || test.is != nil && !errors.Is(err, test.is) || test.is == nil && !errors.As(err, &answer) {
				t.Errorf("the device's Run returned %v", err)
			}
			c, err := NewConstellation(&ConstellationOptions{Name: "c", Token: "wrong"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Connect(soon(t), "dev", test.url); transport.Retryable(err) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("the constellation's Connect returned %v", err)
			}
			if n := len(r.of(EventRejected)) - before; n != 2*test.tried {
				t.Errorf("%d attempts were made", n)
			}
		})
	}
}

// TestNothingGrowsOnAConnection: however many tasks, late results and mistakes a
// connection brings, no more is kept of them than of a few (spec section 8, D28).
func TestNothingGrowsOnAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, device, con := trio(t, &ServerOptions{
			Limits: &Limits{MessageRate: -1}, CommandTimeout: time.Second,
			Handler: func(ctx context.Context, task *Task) (any, error) {
				_, _ = task.Do(ctx, call("unanswered"))
				return nil, nil
			},
		})
		const rounds = maxOutcomes + 100
		for i := range rounds {
			m := request(fmt.Sprint("s", i), fmt.Sprint("q", i))
			m["task_name"] = fmt.Sprint("name", i)
			con.send(m)
			con.accepted(fmt.Sprint("s", i))
			command := device.expect(object{"type": "command"})
			con.expect(object{"type": "task_end"})
			device.expect(object{"type": "task_end"})
			if i%2 == 0 {
				device.answer(command, "late")
			}
			con.sendText("{not json")
			con.expect(object{"type": "error"})
		}
		synctest.Wait()
		server.mu.Lock()
		defer server.mu.Unlock()
		for id, c := range server.online {
			if len(c.sessions) != 0 || c.asked != 0 || c.unended != 0 {
				t.Errorf("%s has %d sessions", id, len(c.sessions))
			}
			c.unanswered.mu.Lock()
			if n := len(c.unanswered.commands); n > maxUnanswered {
				t.Errorf("%s has %d unanswered commands", id, n)
			}
			c.unanswered.mu.Unlock()
		}
		if n := len(server.sessions); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
		if n := len(server.outcomes.list); n > maxOutcomes {
			t.Errorf("%d outcomes are kept", n)
		}
		if n := len(server.registrations.buckets); n > 3 {
			t.Errorf("%d registrations are kept", n)
		}
	})
}

// TestLogsHoldNoContents: whatever is logged of a conversation, requests,
// parameters, results, and what a device says about itself are not (spec section 8,
// D36).
func TestLogsHoldNoContents(t *testing.T) {
	const secret = "c0ntent"
	core, logs := zapobserver.New(zapcore.DebugLevel)
	logger := zap.New(core)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Logger: logger, Handler: func(ctx context.Context, task *Task) (any, error) {
			parameters, err := messages.NewValue(map[string]string{"p": secret})
			if err != nil {
				return nil, err
			}
			results, err := task.Do(ctx, messages.Command{ToolName: "echo", ToolType: messages.ToolAction, Parameters: parameters})
			return results, err
		}})
		w.device(DeviceOptions{
			Logger: logger, SystemInfo: &messages.SystemInfo{Hostname: secret},
			Tools: []Tool{tool("echo", func(_ context.Context, v messages.Value) (any, error) { return v, nil })},
		})
		c, _ := w.constellation(ConstellationOptions{Logger: logger})
		result, err := run(c, TaskRequest{Request: secret}).wait()
		if err != nil || !strings.Contains(result.Result.String(), secret) {
			t.Fatalf("Run returned %v, %v", result, err)
		}
		p := w.peer("odd").joins(register("odd"))
		for _, odd := range []string{
			`{"type":"task","status":"continue","request":"` + secret + `","target_id":"dev"}`,
			`{"type":"` + secret + `","status":"ok"}`,
			`{"type":"task","status":"` + secret + `","request":"` + secret + `"}`,
			`{"type":"heartbeat","status":"ok","client_id":"` + secret + `"}`,
			`{"type":"command_results","status":"ok","session_id":"s","prev_response_id":"r","action_results":[{"status":"success","result":"` + secret + `"}]}`,
			`{"request":"` + secret,
		} {
			p.sendText(odd)
		}
		cut(p)
		w.cable("dev").cut()
		w.cable("con@dev").cut()
		<-time.After(time.Minute)
	})
	if logs.Len() == 0 {
		t.Fatal("nothing was logged")
	}
	for _, entry := range logs.All() {
		if text := fmt.Sprintf("%+v %+v", entry.Entry, entry.ContextMap()); strings.Contains(text, secret) {
			t.Errorf("the log shows it: %s", text)
		}
	}
}

// TestBlockedFunctionsHoldUpNobody: while task handlers, and an Authorize that is
// asked about others, do not return, everyone else registers, is answered, and has
// tasks done (spec section 8, D40).
func TestBlockedFunctionsHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		defer close(free)
		var blocked atomic.Int32
		server := startServer(t, &ServerOptions{
			Handler: func(_ context.Context, task *Task) (any, error) {
				if task.Device.ID == "stuck" {
					blocked.Add(1)
					<-free
				}
				return "done", nil
			},
			Authorize: func(_ context.Context, a Access) error {
				if a.Requester.ID == "asker" {
					blocked.Add(1)
					<-free
				}
				return nil
			},
		})
		stuck := server.device("stuck")
		for i := range 10 {
			id := fmt.Sprint("s", i)
			stuck.send(object{"type": "task", "status": "continue", "session_id": id, "request": "x"})
			stuck.accepted(id)
		}
		server.device("asker").send(object{"type": "task", "status": "continue", "session_id": "a", "request": "x"})
		synctest.Wait()
		if n := blocked.Load(); n != 11 {
			t.Fatalf("%d calls do not return", n)
		}
		start := time.Now()
		stillOpen(stuck)
		for _, id := range []string{"d1", "d2"} {
			device := server.device(id)
			con := server.constellation("con@"+id, id)
			con.task(id, id, "work")
			con.accepted(id)
			con.expect(object{"type": "task_end", "status": "completed", "result": "done"})
			device.expect(object{"type": "task_end", "status": "completed"})
			device.close()
		}
		if code, _ := server.call("GET", "/api/clients", ""); code != http.StatusOK {
			t.Errorf("the API answered %d", code)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}
