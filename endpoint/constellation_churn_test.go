package endpoint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

// TestQueueChurn: whatever servers, cables and callers do, each task ends once,
// a device has no more tasks at a time than it may have, gets each at most once
// and in order, and nothing is left at the end.
func TestQueueChurn(t *testing.T) {
	for seed := range uint64(8) {
		for _, parallel := range []int{1, 3} {
			t.Run(fmt.Sprintf("%d/%d at a time", seed, parallel), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { queueChurn(t, seed, parallel) })
			})
		}
	}
}

// whimsical is the server of one device, which does as it likes.
type whimsical struct {
	t        *testing.T
	device   string
	parallel int

	mu      sync.Mutex
	random  *rand.Rand
	running map[string]bool // on this connection
	last    string          // session
	got     int
	current *peer
}

func (w *whimsical) chance(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(n)
}

// send sends what may not arrive.
func (w *whimsical) send(p *peer, m object) {
	_ = p.tr.Send(context.Background(), []byte(marshal(w.t, m))) // the connection may be cut
}

// serve is the server's side of one connection.
func (w *whimsical) serve(p *peer) {
	w.mu.Lock()
	w.running, w.current = map[string]bool{}, p
	w.mu.Unlock()
	var busy sync.WaitGroup
	defer busy.Wait()
	for {
		text, err := p.tr.Receive(context.Background())
		if err != nil {
			return
		}
		m := parse(w.t, string(text))
		switch m["type"] {
		case "register":
			w.send(p, object{"type": "heartbeat", "status": "ok"})
		case "device_info_request":
			switch w.chance(3) {
			case 0:
				w.send(p, object{"type": "device_info_response", "status": "ok", "response_id": m["request_id"], "result": object{"platform": "linux"}})
			case 1:
				w.send(p, object{"type": "error", "status": "error", "error": "no"})
			}
		case "task":
			w.begin(p, &busy, m["session_id"].(string))
		}
	}
}

// begin refuses, accepts or ignores a task, and may end it some time.
func (w *whimsical) begin(p *peer, busy *sync.WaitGroup, session string) {
	w.mu.Lock()
	if w.current == p {
		if w.running[session] = true; len(w.running) > w.parallel {
			w.t.Errorf("%s has the tasks %v", w.device, w.running)
		}
	}
	if session <= w.last {
		w.t.Errorf("%s got %s after %s", w.device, session, w.last)
	}
	w.last = session
	w.got++
	w.mu.Unlock()
	end := func(m object) {
		w.mu.Lock()
		delete(w.running, session)
		w.mu.Unlock()
		w.send(p, m)
	}
	whim := w.chance(40)
	switch {
	case whim == 0: // There is no answer, and the connection is given up.
		return
	case whim < 4:
		end(object{"type": "error", "status": "error", "error": "no"})
		return
	}
	<-time.After(time.Duration(w.chance(50)) * time.Millisecond)
	w.send(p, object{"type": "heartbeat", "status": "ok", "session_id": session})
	if whim == 4 {
		return // It never ends.
	}
	status := "completed"
	if whim < 8 {
		status = "failed"
	}
	takes := time.Duration(w.chance(400)) * time.Millisecond
	busy.Go(func() {
		<-time.After(takes)
		end(object{"type": "task_end", "status": status, "session_id": session})
	})
}

func queueChurn(t *testing.T, seed uint64, parallel int) {
	const devices, tasks = 3, 80
	r := &recorder{}
	var all sync.WaitGroup
	servers := map[string]*whimsical{}
	for i := range devices {
		id := fmt.Sprint("d", i)
		servers[id] = &whimsical{t: t, device: id, parallel: parallel, random: rand.New(rand.NewPCG(seed, uint64(i)))}
	}
	c, err := NewConstellation(&ConstellationOptions{
		Name: "c", Observer: r.observe, MaxTasksPerDevice: parallel, MaxQueued: 8,
		AckTimeout: 2 * time.Second, InfoTimeout: time.Second, HeartbeatInterval: time.Second,
		Reconnect: &ReconnectOptions{Strategy: quick{}, NoResume: true},
		Dial: func(_ context.Context, url string) (transport.Transport, error) {
			w := servers[url]
			if w.chance(4) == 0 {
				return nil, errUnreachable
			}
			ours, theirs := transport.NewPair(nil)
			all.Go(func() { w.serve(&peer{t, theirs}) })
			return ours, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	kinds := map[error]int{}
	var lock sync.Mutex
	ended := func(err error) {
		lock.Lock()
		defer lock.Unlock()
		var failed *TaskError
		if err == nil {
			kinds[nil]++
		} else if errors.As(err, &failed) {
			kinds[failed.Kind]++
		} else {
			t.Errorf("Run returned %v", err)
		}
	}
	var callers sync.WaitGroup
	for id, w := range servers {
		random := rand.New(rand.NewPCG(seed, 100))
		for c.Connect(ctx, id, id) != nil {
			// Its server was not reachable.
		}
		callers.Go(func() {
			var runs sync.WaitGroup
			for n := range tasks {
				given, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(8000))*time.Millisecond)
				r := TaskRequest{ID: fmt.Sprintf("%s-%03d", id, n), Request: "work", Timeout: time.Duration(1+random.IntN(8000)) * time.Millisecond}
				// Run in two steps, for the order to be known.
				q, err := c.submit(given, func() (*member, error) { return c.ready(id) }, id, r)
				if err != nil {
					ended(err)
					cancel()
				} else {
					runs.Go(func() {
						defer cancel()
						_, err := q.wait()
						ended(err)
					})
				}
				<-time.After(time.Duration(random.IntN(400)) * time.Millisecond)
			}
			runs.Wait()
		})
		all.Go(func() {
			for ctx.Err() == nil {
				<-time.After(time.Duration(w.chance(4000)) * time.Millisecond)
				w.mu.Lock()
				p := w.current
				w.mu.Unlock()
				abort(p.tr, errors.New("cut"))
			}
		})
	}
	callers.Wait()
	stop()
	// Every task has its end now, and no device waits for one.
	for _, s := range c.Statuses() {
		if s.Queued != 0 {
			t.Errorf("tasks wait for %s: %+v", s.DeviceID, s)
		}
		for _, task := range s.Tasks {
			if !task.Abandoned {
				t.Errorf("somebody waits for %+v", task)
			}
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	all.Wait()
	for _, s := range c.Statuses() {
		if len(s.Tasks) != 0 || s.State != DeviceDisconnected {
			t.Errorf("left is %+v", s)
		}
	}
	for _, kind := range []error{nil, ErrTaskFailed, ErrTaskRefused, ErrTaskLost, ErrTaskTimeout, context.DeadlineExceeded} {
		if kinds[kind] == 0 {
			t.Errorf("no task ended with %v, so that is not tested: %v", kind, kinds)
		}
	}
	got, open := 0, map[string]int{}
	for _, w := range servers {
		got += w.got
	}
	queued, accepted := 0, 0
	for i, e := range r.all() {
		switch e.Kind {
		case EventTaskQueued:
			queued++
			open[e.SessionID]++
		case EventTaskAccepted:
			accepted++
			if open[e.SessionID] != 1 {
				t.Errorf("event %d: %s was accepted though it is not open", i, e.SessionID)
			}
		case EventTaskEnded:
			open[e.SessionID]--
		}
	}
	for session, n := range open {
		if n != 0 {
			t.Errorf("%s was queued %+d times more often than it ended", session, n)
		}
	}
	if accepted > got || got > queued || accepted < devices*tasks/4 {
		t.Errorf("%d tasks were queued, %d came, %d were accepted", queued, got, accepted)
	}
	checkStates(t, r)
}
