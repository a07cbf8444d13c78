package endpoint

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// exchange is where a constellation's connections come out.
type exchange struct {
	t     *testing.T
	peers chan *peer
}

// dial makes a connection whose other end comes out of the exchange.
func (x *exchange) dial(context.Context, string) (transport.Transport, error) {
	ours, theirs := transport.NewPair(nil)
	x.t.Cleanup(func() { _ = theirs.Close() })
	x.peers <- &peer{x.t, theirs}
	return ours, nil
}

// newConstellation returns a constellation called "c" whose servers are the
// test, with one heartbeat per connection. It asks about devices only if the
// options say for how long.
func newConstellation(t *testing.T, options ConstellationOptions) (*Constellation, *exchange) {
	t.Helper()
	x := &exchange{t, make(chan *peer, 16)}
	options.Name = "c"
	if options.Dial == nil {
		options.Dial = x.dial
	}
	if options.HeartbeatInterval == 0 {
		options.HeartbeatInterval = -1
	}
	if options.Reconnect == nil {
		options.Reconnect = &ReconnectOptions{Off: true}
	}
	if options.InfoTimeout == 0 {
		options.NoDeviceInfo = true
	}
	c, err := NewConstellation(&options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, x
}

// registration waits for the next connection and its registration for a
// device.
func (x *exchange) registration(device string) *peer {
	x.t.Helper()
	p := <-x.peers
	p.expect(object{"type": "register", "status": "ok", "client_type": "constellation", "client_id": "c@" + device, "target_id": device})
	return p
}

// confirm confirms the registration and waits for the heartbeat.
func (p *peer) confirm() {
	p.t.Helper()
	p.send(object{"type": "heartbeat", "status": "ok"})
	p.expect(object{"type": "heartbeat", "status": "ok", "client_type": "constellation"})
}

// connected returns a constellation connected for the device "d", and its
// server.
func connected(t *testing.T, options ConstellationOptions) (*Constellation, *peer) {
	t.Helper()
	c, x := newConstellation(t, options)
	result := make(chan error, 1)
	go func() { result <- c.Connect(soon(t), "d", "ws://x/ws") }()
	p := x.registration("d")
	p.confirm()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	return c, p
}

// running is a Run that goes on.
type running struct {
	result *TaskResult
	err    error
	done   chan struct{}
}

func (c *Constellation) start(ctx context.Context, r TaskRequest) *running {
	run := &running{done: make(chan struct{})}
	go func() {
		defer close(run.done)
		run.result, run.err = c.Run(ctx, "d", r)
	}()
	return run
}

func (r *running) wait() (*TaskResult, error) {
	<-r.done
	return r.result, r.err
}

// TestRunEnds: how a task ends, for whoever runs it.
func TestRunEnds(t *testing.T) {
	ack := object{"type": "heartbeat", "status": "ok", "session_id": "c@t"}
	end := func(status string, err, result any) object {
		return object{"type": "task_end", "status": status, "error": err, "session_id": "c@t", "result": result}
	}
	tests := map[string]struct {
		replies []object
		kind    error // nil: success
		message string
		result  string
	}{
		"completed":                      {[]object{ack, end("completed", nil, object{"n": 1})}, nil, "", `{"n":1}`},
		"completed without a result":     {[]object{ack, end("completed", nil, nil)}, nil, "", ""},
		"end before the ack":             {[]object{end("completed", nil, 5), ack}, nil, "", "5"},
		"completed with an error":        {[]object{ack, end("completed", "oops", nil)}, ErrTaskFailed, "oops", ""},
		"failed":                         {[]object{ack, end("failed", "oops", []any{1})}, ErrTaskFailed, "oops", "[1]"},
		"failed without an error":        {[]object{ack, end("failed", nil, nil)}, ErrTaskFailed, "", ""},
		"refused":                        {[]object{{"type": "error", "status": "error", "error": "no", "session_id": "c@t"}, end("failed", "no", nil)}, ErrTaskRefused, "no", ""},
		"refused as the reference does":  {[]object{{"type": "error", "status": "error", "error": "no"}}, ErrTaskRefused, "no", ""},
		"refused by an end":              {[]object{end("failed", "no", nil)}, ErrTaskRefused, "no", ""},
		"other tasks' messages are kept": {[]object{{"type": "task_end", "status": "failed", "session_id": "other"}, ack, {"type": "error", "status": "error", "error": "late"}, end("completed", nil, 1)}, nil, "", "1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := connected(t, ConstellationOptions{})
				run := c.start(context.Background(), TaskRequest{ID: "t", Request: "work"})
				p.expect(object{
					"type": "task", "status": "continue", "client_type": "constellation", "client_id": "c@d",
					"target_id": "d", "session_id": "c@t", "task_name": "c/t", "request": "work",
				})
				for _, reply := range test.replies {
					p.send(reply)
				}
				result, err := run.wait()
				if test.kind == nil {
					if err != nil {
						t.Fatal(err)
					}
					if result.SessionID != "c@t" || result.DeviceID != "d" || result.Result.String() != test.result {
						t.Errorf("Run returned %+v", result)
					}
				} else {
					var failed *TaskError
					if !errors.As(err, &failed) || !errors.Is(err, test.kind) || failed.Message != test.message ||
						failed.Result.String() != test.result || failed.SessionID != "c@t" || failed.DeviceID != "d" {
						t.Errorf("Run returned %+v", err)
					}
				}
				// The connection is as good as before.
				again := c.start(context.Background(), TaskRequest{ID: "u", Request: "work"})
				p.expect(object{"type": "task", "session_id": "c@u"})
				p.send(object{"type": "heartbeat", "status": "ok", "session_id": "c@u"})
				p.send(object{"type": "task_end", "status": "completed", "session_id": "c@u"})
				if _, err := again.wait(); err != nil {
					t.Errorf("the next task: %v", err)
				}
			})
		})
	}
}

// TestRunIsLost: a task that runs when its connection ends is lost, however
// that ends.
func TestRunIsLost(t *testing.T) {
	ends := map[string]func(*Constellation, *peer){
		"closed by the server": func(_ *Constellation, p *peer) { p.close() },
		"cut":                  func(_ *Constellation, p *peer) { p.tr.(transport.Aborter).Abort(errors.New("cut")) },
		"disconnected":         func(c *Constellation, p *peer) { _ = c.Disconnect("d") },
		"closed":               func(c *Constellation, p *peer) { _ = c.Close() },
	}
	for name, end := range ends {
		for _, acked := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, p := connected(t, ConstellationOptions{})
					run := c.start(context.Background(), TaskRequest{ID: "t", Request: "work"})
					p.expect(object{"type": "task"})
					if acked {
						p.send(object{"type": "heartbeat", "status": "ok", "session_id": "c@t"})
					}
					synctest.Wait()
					done := c.Done("d")
					end(c, p)
					if _, err := run.wait(); !errors.Is(err, ErrTaskLost) {
						t.Errorf("Run returned %v", err)
					}
					<-done
					if _, err := c.Run(context.Background(), "d", TaskRequest{Request: "x"}); !errors.Is(err, ErrNotConnected) && !errors.Is(err, ErrClosed) {
						t.Errorf("the next Run returned %v", err)
					}
					<-c.Done("d")
				})
			})
		}
	}
}

// TestRunTimesOut: by the task's own time, or the caller's.
func TestRunTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := connected(t, ConstellationOptions{})
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Hour)
		defer cancel()
		for _, test := range []struct {
			timeout, want time.Duration
			kind          error
		}{
			{time.Minute, time.Minute, ErrTaskTimeout},
			{0, 1000 * time.Second, ErrTaskTimeout},
			{-1, 2*time.Hour - 1060*time.Second, context.DeadlineExceeded},
		} {
			start := time.Now()
			run := c.start(ctx, TaskRequest{Request: "work", Timeout: test.timeout})
			m := p.expect(object{"type": "task"})
			p.send(object{"type": "heartbeat", "status": "ok", "session_id": m["session_id"]})
			if _, err := run.wait(); !errors.Is(err, test.kind) {
				t.Errorf("Run returned %v", err)
			}
			if took := time.Since(start); took != test.want {
				t.Errorf("Run took %v, want %v", took, test.want)
			}
			p.send(object{"type": "task_end", "status": "completed", "session_id": m["session_id"]})
		}
	})
}

// TestRunGivenUpBeforeTheAck: a refusal that names nothing concerns the task
// that was given up, not the next one (spec 9.2).
func TestRunGivenUpBeforeTheAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := connected(t, ConstellationOptions{})
		ctx, cancel := context.WithCancel(context.Background())
		first := c.start(ctx, TaskRequest{ID: "a", Request: "work"})
		p.expect(object{"type": "task", "session_id": "c@a"})
		cancel()
		if _, err := first.wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		second := c.start(context.Background(), TaskRequest{ID: "b", Request: "work"})
		p.expectNothing(time.Second) // until it is known what became of the first
		p.send(object{"type": "error", "status": "error", "error": "no"})
		p.expect(object{"type": "task", "session_id": "c@b"})
		p.send(object{"type": "heartbeat", "status": "ok", "session_id": "c@b"})
		p.send(object{"type": "task_end", "status": "completed", "session_id": "c@b"})
		if _, err := second.wait(); err != nil {
			t.Errorf("Run returned %v", err)
		}

		// One that is given up and accepted is forgotten.
		ctx, cancel = context.WithCancel(context.Background())
		third := c.start(ctx, TaskRequest{ID: "a", Request: "work"})
		p.expect(object{"type": "task", "session_id": "c@a"})
		cancel()
		_, _ = third.wait()
		p.send(object{"type": "heartbeat", "status": "ok", "session_id": "c@a"})
		p.send(object{"type": "task_end", "status": "completed", "session_id": "c@a"})
		synctest.Wait()
		fourth := c.start(context.Background(), TaskRequest{ID: "a", Request: "work"})
		p.expect(object{"type": "task", "session_id": "c@a"})
		p.send(object{"type": "heartbeat", "status": "ok", "session_id": "c@a"})
		p.send(object{"type": "task_end", "status": "completed", "session_id": "c@a", "result": "fourth"})
		if result, err := fourth.wait(); err != nil || result.Result.String() != `"fourth"` {
			t.Errorf("Run returned %v, %v", result, err)
		}
	})
}

// TestNoAck: a server that does not answer a task loses the connection.
func TestNoAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := connected(t, ConstellationOptions{})
		start := time.Now()
		run := c.start(context.Background(), TaskRequest{ID: "a", Request: "work"})
		synctest.Wait()
		waiting := c.start(context.Background(), TaskRequest{ID: "b", Request: "work"})
		if _, err := run.wait(); !errors.Is(err, ErrTaskLost) {
			t.Errorf("Run returned %v", err)
		}
		// It has perhaps not been sent yet.
		if _, err := waiting.wait(); !errors.Is(err, ErrTaskLost) && !errors.Is(err, ErrNotConnected) {
			t.Errorf("the other Run returned %v", err)
		}
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("it took %v", took)
		}
		p.expect(object{"type": "task"})
		if code := p.expectClose(); code != transport.StatusAbnormal {
			t.Errorf("closed with %v", code)
		}
	})
}

// TestRunWithoutARequest: what is not valid is not sent.
func TestRunWithoutARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := connected(t, ConstellationOptions{})
		if _, err := c.Run(soon(t), "d", TaskRequest{}); !errors.Is(err, ErrTaskRefused) || !errors.Is(err, messages.ErrInvalid) {
			t.Errorf("Run returned %v", err)
		}
		if _, err := c.Run(soon(t), "other", TaskRequest{Request: "x"}); !errors.Is(err, ErrNotConnected) {
			t.Errorf("Run returned %v", err)
		}
		p.expectNothing(time.Hour)
	})
}

// TestSameIDTwice: two tasks of one id cannot run at the same time.
func TestSameIDTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := connected(t, ConstellationOptions{})
		run := c.start(context.Background(), TaskRequest{ID: "t", Request: "work"})
		p.expect(object{"type": "task"})
		p.send(object{"type": "heartbeat", "status": "ok", "session_id": "c@t"})
		synctest.Wait()
		if _, err := c.Run(soon(t), "d", TaskRequest{ID: "t", Request: "work"}); !errors.Is(err, ErrTaskRefused) || !errors.Is(err, protocol.ErrDuplicateCall) {
			t.Errorf("Run returned %v", err)
		}
		p.send(object{"type": "task_end", "status": "completed", "session_id": "c@t"})
		if _, err := run.wait(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}
