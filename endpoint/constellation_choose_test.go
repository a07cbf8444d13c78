package endpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fleet is a constellation with devices of different kinds, whose servers are
// the test.
func fleet(t *testing.T, options ConstellationOptions) (*Constellation, map[string]*peer) {
	t.Helper()
	options.InfoTimeout = time.Minute
	c, x := newConstellation(t, options)
	return c, map[string]*peer{
		"laptop": informed(t, c, x, "laptop", object{"platform": "linux", "supported_features": []string{"cli", "gui"}}),
		"phone":  informed(t, c, x, "phone", object{"platform": "android", "supported_features": []string{"camera"}}),
		"server": informed(t, c, x, "server", object{"platform": "linux", "supported_features": []string{"cli"}, "tags": []string{"rack"}}),
	}
}

// runOn gives a device a task, and waits until it is queued.
func runOn(c *Constellation, device, id string) *running {
	run := &running{done: make(chan struct{})}
	go func() {
		defer close(run.done)
		run.result, run.err = c.Run(context.Background(), device, TaskRequest{ID: id, Request: "work"})
	}()
	synctest.Wait()
	return run
}

// anyOf gives a task to any device.
func anyOf(c *Constellation, id string, capabilities ...string) *running {
	run := &running{done: make(chan struct{})}
	go func() {
		defer close(run.done)
		run.result, run.err = c.RunAny(context.Background(), TaskRequest{ID: id, Request: "work"}, capabilities...)
	}()
	synctest.Wait()
	return run
}

// TestFind: by capability, idle devices first, then those with the fewest tasks;
// never one without a connection.
func TestFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peers := fleet(t, ConstellationOptions{})
		expect := func(capabilities []string, want ...string) {
			t.Helper()
			if got := c.Find(capabilities...); !slices.Equal(got, want) {
				t.Errorf("found %v, want %v", got, want)
			}
		}
		expect(nil, "laptop", "phone", "server")
		expect([]string{"linux", "cli"}, "laptop", "server")
		expect([]string{"rack"}, "server")
		expect([]string{"CLI"})
		expect([]string{"camera", "cli"})
		runs := []*running{runOn(c, "laptop", "0"), runOn(c, "laptop", "1"), runOn(c, "phone", "2")}
		expect(nil, "server", "phone", "laptop")

		suits := func(s DeviceStatus) bool {
			_, known := c.Status(s.DeviceID) // It may ask.
			return known && s.Info.System.Platform == "linux" && s.State == DeviceBusy
		}
		if id, ok := c.Choose(suits); id != "laptop" || !ok {
			t.Errorf("chose %q, %t", id, ok)
		}
		if id, ok := c.Choose(func(DeviceStatus) bool { return false }); id != "" || ok {
			t.Errorf("chose %q, %t", id, ok)
		}
		peers["server"].close()
		synctest.Wait()
		expect(nil, "phone", "laptop")
		peers["laptop"].takes("0")
		peers["laptop"].ends("0")
		peers["laptop"].takes("1")
		peers["laptop"].ends("1")
		peers["phone"].takes("2")
		peers["phone"].ends("2")
		for _, run := range runs {
			run.succeeds(t)
		}
	})
}

// TestRunAny: tasks go to idle devices first, then to the shortest queue of
// those that can do them.
func TestRunAny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peers := fleet(t, ConstellationOptions{MaxQueued: 1})
		runs := []*running{anyOf(c, "0", "cli"), anyOf(c, "1", "cli"), anyOf(c, "2", "cli"), anyOf(c, "3", "cli")}
		if _, err := anyOf(c, "4", "cli").wait(); !errors.Is(err, ErrQueueFull) {
			t.Errorf("RunAny returned %v", err)
		}
		for _, step := range []struct{ device, id string }{{"laptop", "0"}, {"server", "1"}, {"laptop", "2"}, {"server", "3"}} {
			peers[step.device].takes(step.id)
			peers[step.device].ends(step.id)
		}
		for i, run := range runs {
			result, err := run.wait()
			if want := []string{"laptop", "server"}[i%2]; err != nil || result.DeviceID != want {
				t.Errorf("RunAny returned %+v, %v", result, err)
			}
		}
		var failed *TaskError
		if _, err := anyOf(c, "5", "cli", "camera").wait(); !errors.Is(err, ErrNoDevice) || !errors.As(err, &failed) || failed.DeviceID != "" {
			t.Errorf("RunAny returned %v", err)
		}
		peers["phone"].expectNothing(time.Minute)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := anyOf(c, "6").wait(); !errors.Is(err, ErrClosed) {
			t.Errorf("RunAny returned %v", err)
		}
	})
}

// TestRunAll: the results come in the order of the assignments, no more than the
// limit are under way, and a device's tasks keep their order.
func TestRunAll(t *testing.T) {
	for _, limit := range []int{1, 3, 0, -1} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{}
				c, peers := fleet(t, ConstellationOptions{Observer: r.observe})
				var servers sync.WaitGroup
				for _, p := range peers {
					servers.Go(func() { p.works(time.Second) })
				}
				var all []Assignment
				for i := range 20 {
					a := Assignment{DeviceID: []string{"laptop", "phone", ""}[i%3], Task: TaskRequest{ID: fmt.Sprintf("%02d", i), Request: "work"}}
					if a.DeviceID == "" {
						a.Capabilities = []string{"rack"}
					}
					switch i {
					case 7:
						a.DeviceID = "nobody"
					case 8:
						a.Capabilities = []string{"wings"}
					case 9:
						a.Task.Request = ""
					case 10:
						a.Task.Request = "fail"
					}
					all = append(all, a)
				}
				results := c.RunAll(context.Background(), all, limit)
				failures := map[int]error{7: ErrNotConnected, 8: ErrNoDevice, 9: ErrTaskRefused, 10: ErrTaskFailed}
				for i, got := range results {
					if want := failures[i]; !errors.Is(got.Err, want) || (got.Result == nil) == (got.Err == nil) {
						t.Errorf("assignment %d: %+v, %v, want %v", i, got.Result, got.Err, want)
					}
					if got.Err == nil && got.Result.SessionID != "c@"+all[i].Task.ID {
						t.Errorf("assignment %d: %+v", i, got.Result)
					}
				}
				underWay, most, last := 0, 0, map[string]string{}
				for _, e := range r.all() {
					switch e.Kind {
					case EventTaskQueued:
						underWay++
						most = max(most, underWay)
					case EventTaskEnded:
						underWay--
					case EventTaskAccepted:
						if last[e.DeviceID] > e.SessionID {
							t.Errorf("%s came after %s", e.SessionID, last[e.DeviceID])
						}
						last[e.DeviceID] = e.SessionID
					}
				}
				if want := map[int]int{1: 1, 3: 3, 0: 16, -1: 17}[limit]; most != want || underWay != 0 {
					t.Errorf("%d tasks were under way at a time, %d are left", most, underWay)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				servers.Wait()
				if got := c.RunAll(context.Background(), nil, limit); len(got) != 0 {
					t.Errorf("nothing ended as %v", got)
				}
			})
		})
	}
}

// TestRunAllIsCancelled: then nothing more is begun, and nobody waits.
func TestRunAllIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := connected(t, ConstellationOptions{})
		ctx, cancel := context.WithCancel(context.Background())
		all := make([]Assignment, 6)
		for i := range all {
			all[i] = Assignment{DeviceID: "d", Task: TaskRequest{ID: fmt.Sprint(i), Request: "work"}}
		}
		results := make(chan []AssignmentResult)
		go func() { results <- c.RunAll(ctx, all, 3) }()
		p.takes("0")
		p.ends("0")
		p.takes("1")
		cancel()
		for i, got := range <-results {
			if want := context.Canceled; i == 0 && got.Err != nil || i > 0 && !errors.Is(got.Err, want) {
				t.Errorf("assignment %d: %+v", i, got)
			}
		}
		p.ends("1")
		p.expectNothing(time.Hour)
		if status, _ := c.Status("d"); status.State != DeviceIdle || status.Queued != 0 {
			t.Errorf("the status is %+v", status)
		}
	})
}

// works is a server that runs each task for a while, until its connection ends.
func (p *peer) works(takes time.Duration) {
	for {
		text, err := p.tr.Receive(context.Background())
		if err != nil {
			return
		}
		m := parse(p.t, string(text))
		if m["type"] != "task" {
			continue
		}
		p.send(object{"type": "heartbeat", "status": "ok", "session_id": m["session_id"]})
		<-time.After(takes)
		status := "completed"
		if m["request"] == "fail" {
			status = "failed"
		}
		p.send(object{"type": "task_end", "status": status, "session_id": m["session_id"]})
	}
}
