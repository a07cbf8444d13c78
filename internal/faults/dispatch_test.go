package faults

import (
	"context"
	"fmt"
	"testing"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
)

// Protects: a task that the server hands a device itself: the device is the one
// who asks and the one who acts. Its end is what Server.TaskResult tells.
func TestDispatchedOverBrokenLine(t *testing.T) {
	t.Parallel()
	for _, f := range []fault{cut, reset, halfOpen, noEnd} {
		for _, set := range settings {
			t.Run(fmt.Sprintf("%s/%s", f.name, set), func(t *testing.T) {
				t.Parallel()
				p := f.plan
				p.setting, p.hit = set, deviceLine
				var task *endpoint.Dispatched
				w := newWorld(t, p, func(w *world) (err error) {
					task, err = w.dispatch()
					return err
				})
				defer w.show()
				w.endDispatched(f, task)
			})
		}
	}
}

// dispatch hands the device a task, and waits until it acts.
func (w *world) dispatch() (*endpoint.Dispatched, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	task, err := w.server.Dispatch(ctx, endpoint.DispatchRequest{DeviceID: deviceID, Request: held, TaskName: "dispatched"})
	if err != nil {
		return nil, err
	}
	return task, w.awaitAction()
}

func (w *world) endDispatched(f fault, task *endpoint.Dispatched) {
	w.t.Helper()
	w.befall(f)
	w.awaitLoss(f)
	if w.plan.setting == resumed {
		if known, found := w.server.TaskResult("dispatched"); !found || !known.Running {
			w.t.Errorf("while the device is away the server knows %+v, %v", known, found)
		}
		w.tool.release()
	}
	w.heal(f)
	w.seen.await(w.t, 1, endpoint.EventTaskEnded, "")
	if w.plan.setting == resumed {
		w.device.events.awaitEnd(w.t, task.SessionID)
	}
	next := w.next()
	w.close()

	// Without a session the device is gone, and with it who could be told.
	end, told, acts, cut := ok, 1, 2, 0
	want := completed
	if w.plan.setting != resumed {
		end, told, acts, cut = failed, 0, 1, 1
		want = status{handler: deviceLost}
	}
	if known, found := w.server.TaskResult("dispatched"); !found || known.Running || known.Status != end || known.SessionID != task.SessionID {
		w.t.Errorf("the server knows %+v, %v, want %v", known, found, end)
	}
	for r, n := range map[*recorder]int{w.seen: 1, w.device.events: told} {
		var got []messages.TaskStatus
		for _, e := range r.of(endpoint.EventTaskEnded, "") {
			if e.SessionID == task.SessionID {
				got = append(got, e.Status)
			}
		}
		if len(got) != n || n > 0 && got[0] != end {
			w.t.Errorf("the %s observed the ends %v, want %d %v", r.part, got, n, end)
		}
	}
	if a, twice, c := w.tool.count(held); a != acts || twice > 0 || c != cut {
		w.t.Errorf("the device did %d actions, %d of them again, and cut off %d; want %d, none, and %d", a, twice, c, acts, cut)
	}
	w.check("next", completed, next)
	w.checkHandled(want, completed)
	w.checkConnections(heals)
}
