package faults

import (
	"fmt"
	"testing"

	"github.com/aip-go/aip/endpoint"
)

// payload makes messages that are torn long before they end.
const payload = 64 << 10

// limit returns a toxic that closes a connection after so many bytes.
func limit(bytes int) toxic { return toxic{"limit_data", map[string]any{"bytes": bytes}} }

// tear lets a line pass on only some bytes of what follows: of the results that
// is the beginning, of the end of a task hardly that.
func (w *world) tear(p *party) {
	w.t.Helper()
	if p == w.device {
		p.line.add([]string{upstream}, limit(4000))
		return
	}
	// Nothing else may be on its way to it.
	p.events.await(w.t, 1, endpoint.EventTaskAccepted, "")
	p.events.await(w.t, 1, endpoint.EventHeartbeat, "")
	p.line.add([]string{downstream}, limit(20))
}

// Protects: a connection that ends in the middle of a message: nobody takes the
// half of it, or makes anything twice.
func TestTornMessages(t *testing.T) {
	t.Parallel()
	for _, set := range settings {
		for _, hit := range sides {
			t.Run(fmt.Sprintf("%s/%s", set, hit), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, plan{setting: set, hit: hit, payload: payload}, hold)
				defer w.show()
				w.tearAll()
			})
		}
	}
}

func (w *world) tearAll() {
	w.t.Helper()
	want := right(w.t, torn, w.plan.setting, w.plan.hit)
	for _, p := range w.parties(w.plan.hit) {
		w.tear(p)
	}
	w.tool.release()
	if w.plan.hit.hits(w.device.name) {
		w.device.events.await(w.t, 1, endpoint.EventDisconnected, "")
		w.device.line.clear()
	}
	if w.plan.hit.hits(w.constellation.name) {
		w.constellation.events.await(w.t, 1, endpoint.EventDisconnected, "")
		w.constellation.line.clear()
	}
	got := w.awaitEnd(held, want.status, w.task)
	next := w.next()
	w.close()
	w.check(held, want.status, got)
	w.check("next", completed, next)
	w.checkHandled(want.status, completed)
	w.checkConnections(torn)
	if w.t.Failed() {
		w.t.Logf("right is: %s", want.why)
	}
}

// Protects: who has lost the end of a task, and asks again, is told it: nothing
// is done again.
func TestLostEndIsToldAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{setting: replaced, hit: constellationLine, payload: payload}, nil)
	defer w.show()
	task := w.ask(held, "once")
	receive(t, "the action to begin", w.tool.began)
	w.tear(w.constellation)
	w.tool.release()
	want := right(t, torn, replaced, constellationLine)
	if lost := receive(t, "the end of the task", task); lost.err == nil {
		t.Fatal("Run knows the end of a task that was lost")
	}
	w.constellation.line.clear()
	w.constellation.events.await(t, 2, endpoint.EventRegistered, "")
	got := receive(t, "the end, again", w.ask(held, "once"))
	w.close()
	if got.err != nil || got.result.Result.String() != w.tool.want(held) {
		t.Errorf("Run returned %v, %v", got.result, got.err)
	}
	if acts, twice, cut := w.tool.count(held); acts != want.acts || twice != 0 || cut != 0 {
		t.Errorf("the device did %d actions, %d of them again, and cut off %d", acts, twice, cut)
	}
	if n := len(ends(w.seen, held)); n != 1 {
		t.Errorf("the task ended %d times", n)
	}
	w.checkHandled(want.status)
}
