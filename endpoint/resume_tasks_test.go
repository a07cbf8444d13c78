package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

// TestTaskThroughCuts: a task goes on through any number of cuts of the device's
// connection, the constellation's, or both, in mid-command. Each tool runs
// once, and everyone is told of the end once.
func TestTaskThroughCuts(t *testing.T) {
	clients := map[string][]string{
		"device":        {"dev"},
		"constellation": {"con@dev"},
		"both":          {"dev", "con@dev"},
	}
	kinds := map[string]func(*cable){
		"cut": (*cable).cut, "half-open": (*cable).cutClient,
	}
	for name, hit := range clients {
		for kind, cut := range kinds {
			for _, cuts := range []int{1, 3} {
				t.Run(fmt.Sprint(name, "/", kind, "/", cuts), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { taskThroughCuts(t, hit, kind == "half-open", cut, cuts) })
				})
			}
		}
	}
}

func taskThroughCuts(t *testing.T, hit []string, halfOpen bool, cut func(*cable), cuts int) {
	const commands = 3
	work := &worker{takes: 10 * time.Second}
	w := newWorld(t, &ServerOptions{Handler: commanding(commands)})
	device := w.device(DeviceOptions{Tools: []Tool{work.tool()}})
	c, events := w.constellation(ConstellationOptions{})
	task := run(c, TaskRequest{Request: "work"})
	for i := range cuts {
		<-time.After(5 * time.Second) // in mid-command
		for _, name := range hit {
			cut(w.cable(name))
		}
		<-time.After(5 * time.Second) // the next command
		for _, name := range hit {
			if got := w.resumed(name); got != i+1 {
				t.Errorf("%s was resumed %d times after %d cuts", name, got, i+1)
			}
		}
	}
	result, err := task.wait()
	if err != nil || result.Result.String() != `"3"` {
		t.Fatalf("Run returned %v, %v", result, err)
	}
	synctest.Wait()
	if runs, cut := work.count(); runs != commands || cut != 0 {
		t.Errorf("the tool ran %d times and was cut off %d times", runs, cut)
	}
	w.checkOneEnd(1)
	if n, m := len(device.events.of(EventTaskEnded)), len(events.of(EventTaskEnded)); n != 1 || m != 1 {
		t.Errorf("the device was told %d ends, the constellation %d", n, m)
	}
	for _, name := range hit {
		want := cuts
		if halfOpen {
			want = 0 // The server replaced a connection that it had not missed.
		}
		if got := w.of(EventDetached, name); len(got) != want {
			t.Errorf("%s was detached %d times, want %d", name, len(got), want)
		}
	}
	if got := w.events.of(EventDisconnected); len(got) != 0 {
		t.Errorf("somebody was taken for lost: %v", got)
	}
	if got := w.server.Clients(); len(got) != 2 || got[0].Detached || got[1].Detached {
		t.Errorf("the clients are %v", got)
	}
	if got := len(device.events.of(EventDisconnected)); got != len(device.events.of(EventRegistered))-1 {
		t.Errorf("the device observed %d losses", got)
	}
	device.stop()
	if err := <-device.ended; err != nil {
		t.Errorf("the device's Run returned %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	synctest.Wait()
	checkEmpty(t, w.server)
}

// TestDeviceLostForGood: a device that does not come back in time is gone as
// without sessions: its task fails, it leaves the registry once, and it can
// register again.
func TestDeviceLostForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		causes := make(chan error, 1)
		handler := commanding(1)
		w := newWorld(t, &ServerOptions{Handler: observed(handler, causes)})
		work := &worker{takes: time.Hour}
		w.device(DeviceOptions{Tools: []Tool{work.tool()}, CommandTimeout: -1})
		c, _ := w.constellation(ConstellationOptions{})
		task := run(c, TaskRequest{Request: "work"})
		server := w.down()
		start := time.Now()
		w.cable("dev").cut()
		_, err := task.wait()
		if took := time.Since(start); took != 2*time.Minute {
			t.Errorf("the task failed after %v, want the grace", took)
		}
		if !errors.Is(err, ErrTaskFailed) {
			t.Errorf("Run returned %v", err)
		}
		if err := <-causes; !errors.Is(err, ErrDeviceLost) {
			t.Errorf("the handler's command failed with %v", err)
		}
		synctest.Wait()
		if got := w.of(EventDisconnected, "dev"); len(got) != 1 || !errors.Is(got[0].Err, io.ErrUnexpectedEOF) {
			t.Errorf("the server observed %v", got)
		}
		if got := w.of(EventDetached, "dev"); len(got) != 1 || !errors.Is(got[0].Err, io.ErrUnexpectedEOF) {
			t.Errorf("the server observed %v", got)
		}
		if server.client("dev") != nil {
			t.Error("the device is still registered")
		}
		w.up(server)
		<-time.After(time.Second)
		if server.client("dev") == nil || w.resumed("dev") != 0 {
			t.Error("the device is not registered anew")
		}
		if runs, cut := work.count(); runs != 1 || cut != 0 {
			t.Errorf("the tool ran %d times and was cut off %d times", runs, cut)
		}
		w.checkOneEnd(1)
	})
}

// TestRequesterLostForGood: when the constellation does not come back in time,
// its Run fails at its own clock, the task ends, and the device's tool with it.
func TestRequesterLostForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		causes := make(chan error, 1)
		w := newWorld(t, &ServerOptions{Handler: observed(commanding(1), causes)})
		work := &worker{takes: time.Hour}
		w.device(DeviceOptions{Tools: []Tool{work.tool()}, CommandTimeout: -1})
		c, events := w.constellation(ConstellationOptions{})
		task := run(c, TaskRequest{Request: "work"})
		server := w.down()
		w.cable("con@dev").cut()
		start := time.Now()
		_, err := task.wait()
		if !errors.Is(err, ErrTaskLost) || time.Since(start) != 2*time.Minute {
			t.Errorf("Run returned %v after %v", err, time.Since(start))
		}
		if err := <-causes; !errors.Is(err, ErrRequesterLost) {
			t.Errorf("the handler's command failed with %v", err)
		}
		synctest.Wait()
		if runs, cut := work.count(); runs != 1 || cut != 1 {
			t.Errorf("the tool ran %d times and was cut off %d times", runs, cut)
		}
		if got := w.of(EventDisconnected, "con@dev"); len(got) != 1 {
			t.Errorf("the server observed %v", got)
		}
		w.up(server)
		<-time.After(time.Second)
		if w.resumed("con@dev") != 0 || server.client("con@dev") == nil {
			t.Error("the constellation is not registered anew")
		}
		work.mu.Lock()
		work.takes = 0
		work.mu.Unlock()
		if _, err := c.Run(soon(t), "dev", TaskRequest{Request: "work"}); err != nil {
			t.Errorf("a new task failed: %v", err)
		}
		if got := events.of(EventRegistered); len(got) != 2 || got[1].Resumed {
			t.Errorf("the constellation observed %v", got)
		}
		w.checkOneEnd(2)
	})
}

// TestOutageOfTheConstellation: without a connection a question is refused at
// once, and a new task is held.
func TestOutageOfTheConstellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: commanding(1)})
		work := &worker{}
		w.device(DeviceOptions{Tools: []Tool{work.tool()}})
		c, _ := w.constellation(ConstellationOptions{})
		server := w.down()
		w.cable("con@dev").cut()
		synctest.Wait()
		start := time.Now()
		if _, err := c.DeviceInfo(soon(t), "dev"); !errors.Is(err, transport.ErrNotConnected) {
			t.Errorf("DeviceInfo returned %v", err)
		}
		if time.Since(start) != 0 {
			t.Errorf("it took %v", time.Since(start))
		}
		if got := c.Devices(); len(got) != 0 {
			t.Errorf("connected are %v", got)
		}
		if _, err := c.Run(soon(t), "dev", TaskRequest{Request: "work", Timeout: time.Second}); !errors.Is(err, ErrTaskTimeout) {
			t.Errorf("Run returned %v", err)
		}
		task := run(c, TaskRequest{Request: "work"})
		<-time.After(time.Minute)
		w.up(server)
		if _, err := task.wait(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if runs, _ := work.count(); runs != 1 {
			t.Errorf("the tool ran %d times", runs)
		}
		if _, err := c.Run(soon(t), "dev", TaskRequest{Request: "work"}); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// observed passes on what h returned.
func observed(h TaskHandler, errs chan<- error) TaskHandler {
	return func(ctx context.Context, task *Task) (any, error) {
		result, err := h(ctx, task)
		if err != nil {
			errs <- err
		}
		return result, err
	}
}
