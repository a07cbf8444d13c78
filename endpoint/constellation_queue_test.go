package endpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

// queue gives "d" a task and waits until it is queued, or has failed.
func (c *Constellation) queue(id string) *running { return runOn(c, "d", id) }

// takes waits for a task and accepts it.
func (p *peer) takes(id string) {
	p.t.Helper()
	p.expect(object{"type": "task", "session_id": "c@" + id})
	p.send(object{"type": "heartbeat", "status": "ok", "session_id": "c@" + id})
}

// ends ends a task well.
func (p *peer) ends(id string) {
	p.t.Helper()
	p.send(object{"type": "task_end", "status": "completed", "session_id": "c@" + id})
	synctest.Wait()
}

// succeeds checks that the task has come to a good end.
func (r *running) succeeds(t *testing.T) {
	t.Helper()
	if _, err := r.wait(); err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// states returns the states that were observed, one after the other.
func (r *recorder) states() []DeviceState {
	var states []DeviceState
	for _, e := range r.of(EventDeviceState) {
		states = append(states, e.To)
	}
	return states
}

// reconnecting are options for a link that is replaced at once.
func reconnecting() ConstellationOptions {
	return ConstellationOptions{Reconnect: &ReconnectOptions{Strategy: quick{}, NoResume: true}}
}

// again waits for the next connection of a link, and confirms it.
func (x *exchange) again(device string) *peer {
	x.t.Helper()
	p := x.registration(device)
	p.send(object{"type": "heartbeat", "status": "ok"})
	return p
}

// all returns the events.
func (r *recorder) all() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// linked returns a constellation connected for the device "d", its server, and
// where the next connections come out.
func linked(t *testing.T, options ConstellationOptions) (*Constellation, *peer, *exchange) {
	t.Helper()
	c, x := newConstellation(t, options)
	result := make(chan error, 1)
	go func() { result <- c.Connect(soon(t), "d", "ws://x/ws") }()
	p := x.registration("d")
	p.confirm()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return c, p, x
}

// TestQueueIsInOrder: a device has one task at a time, in the order of the
// calls, and is busy from the first to the last (spec 8, D18).
func TestQueueIsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		c, p := connected(t, ConstellationOptions{Observer: r.observe})
		var runs []*running
		for i := range 5 {
			runs = append(runs, c.queue(fmt.Sprint(i)))
		}
		status, _ := c.Status("d")
		if status.State != DeviceBusy || status.Queued != 4 || len(status.Tasks) != 1 || status.Tasks[0] != (DeviceTask{SessionID: "c@0", TaskName: "c/0"}) {
			t.Errorf("the status is %+v", status)
		}
		for i, run := range runs {
			p.takes(fmt.Sprint(i))
			p.expectNothing(time.Minute)
			p.ends(fmt.Sprint(i))
			run.succeeds(t)
		}
		var kinds []EventKind
		counts := []int{}
		for _, e := range r.all() {
			if e.SessionID == "c@2" {
				kinds = append(kinds, e.Kind)
			}
			if e.Kind == EventTaskQueued {
				counts = append(counts, e.Count)
			}
		}
		if !slices.Equal(kinds, []EventKind{EventTaskQueued, EventTaskAccepted, EventTaskEnded}) || !slices.Equal(counts, []int{0, 1, 2, 3, 4}) {
			t.Errorf("observed %v, with %v tasks before them", kinds, counts)
		}
		if got := r.states(); !slices.Equal(got, []DeviceState{DeviceConnecting, DeviceConnected, DeviceIdle, DeviceBusy, DeviceIdle}) {
			t.Errorf("the states were %v", got)
		}
	})
}

// TestQueueIsBounded: a task too many fails at once, and the others do not
// suffer.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		c, p := connected(t, ConstellationOptions{MaxQueued: 2, Observer: r.observe})
		runs := []*running{c.queue("0"), c.queue("1"), c.queue("2")}
		start := time.Now()
		var failed *TaskError
		_, err := c.queue("3").wait()
		if !errors.Is(err, ErrQueueFull) || !errors.As(err, &failed) || failed.DeviceID != "d" || failed.SessionID != "c@3" || time.Since(start) != 0 {
			t.Errorf("Run returned %v after %v", err, time.Since(start))
		}
		p.takes("0")
		p.ends("0")
		runs = append(runs, c.queue("4"))
		for _, id := range []string{"1", "2", "4"} {
			p.takes(id)
			p.ends(id)
		}
		for _, run := range runs {
			run.succeeds(t)
		}
		if n := len(r.of(EventTaskQueued)); n != 4 {
			t.Errorf("%d tasks were queued", n)
		}
	})
}

// TestQueuedTaskIsGivenUp: a task that is not its turn yet is not sent, and
// keeps no place.
func TestQueuedTaskIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := connected(t, ConstellationOptions{MaxQueued: 3})
		first := c.queue("0")
		ctx, cancel := context.WithCancel(context.Background())
		second := c.start(ctx, TaskRequest{ID: "1", Request: "work"})
		synctest.Wait()
		third := c.queue("2")
		late := c.start(context.Background(), TaskRequest{ID: "3", Request: "work", Timeout: time.Second})
		synctest.Wait()
		cancel()
		if _, err := second.wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		if _, err := late.wait(); !errors.Is(err, ErrTaskTimeout) {
			t.Errorf("Run returned %v", err)
		}
		if _, err := c.Run(ctx, "d", TaskRequest{Request: "work"}); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		if status, _ := c.Status("d"); status.Queued != 1 {
			t.Errorf("%d tasks wait", status.Queued)
		}
		p.takes("0")
		p.ends("0")
		p.takes("2")
		p.ends("2")
		first.succeeds(t)
		third.succeeds(t)
		p.expectNothing(time.Hour)
	})
}

// TestDeviceStaysBusy: a task that nobody waits for any more keeps its device
// until its end comes, or its session is lost (spec 8, D16).
func TestDeviceStaysBusy(t *testing.T) {
	for name, release := range map[string]func(*peer, *exchange) *peer{
		"until its end": func(p *peer, _ *exchange) *peer {
			p.ends("0")
			return p
		},
		"until the loss": func(p *peer, x *exchange) *peer {
			cut(p)
			p = x.again("d")
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{}
				options := reconnecting()
				options.Observer = r.observe
				c, p, x := linked(t, options)
				first := c.start(context.Background(), TaskRequest{ID: "0", Request: "work", Timeout: time.Minute})
				p.takes("0")
				if _, err := first.wait(); !errors.Is(err, ErrTaskTimeout) {
					t.Errorf("Run returned %v", err)
				}
				second := c.start(context.Background(), TaskRequest{ID: "1", Request: "work", Timeout: -1})
				p.expectNothing(time.Hour)
				if status, _ := c.Status("d"); status.State != DeviceBusy || status.Queued != 1 || len(status.Tasks) != 1 || !status.Tasks[0].Abandoned {
					t.Errorf("the status is %+v", status)
				}
				p = release(p, x)
				p.takes("1")
				p.ends("1")
				second.succeeds(t)
				if n := len(r.of(EventTaskEnded)); n != 2 {
					t.Errorf("%d tasks have ended", n)
				}
			})
		})
	}
}

// TestQueueIsHeld: what waits is kept across the loss of the connection, as
// long as its own time allows, and what was sent is lost (spec 8, D17).
func TestQueueIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		options := reconnecting()
		options.Observer = r.observe
		c, p, x := linked(t, options)
		first, second := c.queue("0"), c.queue("1")
		p.takes("0")
		cut(p)
		synctest.Wait()
		if _, err := first.wait(); !errors.Is(err, ErrTaskLost) {
			t.Errorf("Run returned %v", err)
		}
		third := c.queue("2")
		late := c.start(context.Background(), TaskRequest{ID: "3", Request: "work", Timeout: 10 * time.Millisecond})
		if _, err := late.wait(); !errors.Is(err, ErrTaskTimeout) {
			t.Errorf("Run returned %v", err)
		}
		if status, _ := c.Status("d"); status.State != DeviceDisconnected || status.Queued != 2 || len(status.Tasks) != 0 || status.Err == nil {
			t.Errorf("the status is %+v", status)
		}
		p = x.again("d")
		p.takes("1")
		p.expectNothing(time.Second)
		p.ends("1")
		p.takes("2")
		p.ends("2")
		second.succeeds(t)
		third.succeeds(t)
		want := []DeviceState{
			DeviceConnecting, DeviceConnected, DeviceIdle, DeviceBusy, DeviceDisconnected,
			DeviceConnecting, DeviceConnected, DeviceBusy, DeviceIdle,
		}
		if got := r.states(); !slices.Equal(got, want) {
			t.Errorf("the states were %v", got)
		}
	})
}

// TestQueueEnds: when there will be no connection any more, nothing waits for
// one, and nothing that waited is in doubt.
func TestQueueEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*Constellation, *peer)
		kind error
	}{
		"lost":         {func(_ *Constellation, p *peer) { cut(p) }, ErrNotConnected},
		"disconnected": {func(c *Constellation, _ *peer) { _ = c.Disconnect("d") }, ErrNotConnected},
		"closed":       {func(c *Constellation, _ *peer) { _ = c.Close() }, ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := connected(t, ConstellationOptions{})
				sent, waiting := c.queue("0"), c.queue("1")
				p.takes("0")
				test.end(c, p)
				if _, err := sent.wait(); !errors.Is(err, ErrTaskLost) {
					t.Errorf("Run returned %v", err)
				}
				if _, err := waiting.wait(); !errors.Is(err, test.kind) || errors.Is(err, ErrTaskLost) {
					t.Errorf("Run returned %v", err)
				}
			})
		})
	}
}

// TestSeveralTasksOfADevice: as many as the options allow, and their acceptance
// one after the other, in order.
func TestSeveralTasksOfADevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := connected(t, ConstellationOptions{MaxTasksPerDevice: 2})
		runs := []*running{c.queue("0"), c.queue("1"), c.queue("2")}
		p.expect(object{"type": "task", "session_id": "c@0"})
		p.expectNothing(time.Second)
		p.send(object{"type": "heartbeat", "status": "ok", "session_id": "c@0"})
		p.takes("1")
		p.expectNothing(time.Second)
		p.ends("1")
		p.takes("2")
		p.ends("0")
		p.ends("2")
		for _, run := range runs {
			run.succeeds(t)
		}
	})
}

// unsendable is a connection that takes no task, and says so.
type unsendable struct {
	transport.Transport
	refusals *atomic.Int32
}

func (u unsendable) Send(ctx context.Context, data []byte) error {
	if bytes.Contains(data, []byte(`"type":"task"`)) {
		u.refusals.Add(1)
		return &transport.Error{Op: "send", Outcome: transport.NotSent, Err: transport.ErrNotConnected}
	}
	return u.Transport.Send(ctx, data)
}

// TestUnsentTaskIsHeld: a task whose turn it was when the connection was lost,
// and that was not sent, keeps its place.
func TestUnsentTaskIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refusals atomic.Int32
		var x *exchange
		options := reconnecting()
		dials := 0
		options.Dial = func(ctx context.Context, url string) (transport.Transport, error) {
			tr, err := x.dial(ctx, url)
			if dials++; dials == 1 {
				tr = unsendable{tr, &refusals}
			}
			return tr, err
		}
		c, exchange := newConstellation(t, options)
		x = exchange
		connected := make(chan error, 1)
		go func() { connected <- c.Connect(soon(t), "d", "ws://x/ws") }()
		p := x.registration("d")
		p.confirm()
		if err := <-connected; err != nil {
			t.Fatal(err)
		}
		first, second := c.queue("0"), c.queue("1")
		p.expectNothing(time.Second)
		if status, _ := c.Status("d"); refusals.Load() != 1 || status.State != DeviceDisconnected || status.Queued != 2 || len(status.Tasks) != 0 {
			t.Errorf("after %d refusals the status is %+v", refusals.Load(), status)
		}
		cut(p)
		p = x.again("d")
		p.takes("0")
		p.ends("0")
		p.takes("1")
		p.ends("1")
		first.succeeds(t)
		second.succeeds(t)
	})
}

// TestTaskWaitsForAQuestion: a task does not start while the server is asked
// about the device, as a refusal could mean either; given up until then, it is
// never sent.
func TestTaskWaitsForAQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := connected(t, ConstellationOptions{InfoTimeout: time.Hour, NoDeviceInfo: true})
		asked := make(chan error, 1)
		go func() {
			_, err := c.DeviceInfo(context.Background(), "d")
			asked <- err
		}()
		p.receiveInfoRequest()
		late := c.start(context.Background(), TaskRequest{ID: "0", Request: "work", Timeout: time.Minute})
		if _, err := late.wait(); !errors.Is(err, ErrTaskTimeout) {
			t.Errorf("Run returned %v", err)
		}
		synctest.Wait()
		if status, _ := c.Status("d"); status.State != DeviceIdle || len(status.Tasks) != 0 {
			t.Errorf("the status is %+v", status)
		}
		next := c.queue("1")
		p.expectNothing(time.Minute)
		if err := c.Disconnect("d"); err != nil {
			t.Error(err)
		}
		if _, err := next.wait(); !errors.Is(err, ErrNotConnected) || errors.Is(err, ErrTaskLost) {
			t.Errorf("Run returned %v", err)
		}
		if err := <-asked; err == nil {
			t.Error("the question was answered")
		}
	})
}
