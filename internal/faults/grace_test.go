package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/aip-go/aip/endpoint"
)

// shortGrace is the shortest that there is: clients are told whole seconds.
const shortGrace = time.Second

// Protects: a fault that outlasts the grace is the end of the session on both
// sides, each by its own clock, and of the task, once, as the table says; and
// the next task is done.
func TestOutlastingGrace(t *testing.T) {
	t.Parallel()
	for _, f := range []fault{cut, reset, halfOpen, noEnd} {
		for _, hit := range sides {
			t.Run(fmt.Sprintf("%s/%s", f.name, hit), func(t *testing.T) {
				t.Parallel()
				p := f.plan
				p.setting, p.hit, p.grace = resumed, hit, shortGrace
				w := newWorld(t, p, hold)
				defer w.show()
				w.outlast(f)
			})
		}
	}
}

// outlast strikes lines while the device acts, and heals them when nobody waits
// for those that were struck any more.
func (w *world) outlast(f fault) {
	w.t.Helper()
	want := right(w.t, outlasts, w.plan.setting, w.plan.hit)
	w.befall(f)
	got := w.awaitEnd(held, want.status, w.task)
	for _, p := range w.parties(w.plan.hit) {
		w.seen.await(w.t, 1, endpoint.EventDisconnected, p.id)
	}
	w.tool.release() // Where it was not cut off, it goes on until now.
	w.heal(f)
	next := w.next()
	w.close()
	w.check(held, want.status, got)
	w.check("next", completed, next)
	w.checkHandled(want.status, completed)
	w.checkConnections(outlasts)
	for _, p := range w.parties(w.plan.hit) {
		if n := len(w.seen.of(endpoint.EventDetached, p.id)); n != 1 {
			w.t.Errorf("the server missed the %s %d times, want once", p.name, n)
		}
	}
	if w.t.Failed() {
		w.t.Logf("right is: %s", want.why)
	}
}

// Protects: a line that breaks at each step of a task, for both, delays it and
// nothing else.
func TestFlappingLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t, plan{setting: resumed, hit: bothLines}, nil)
	defer w.show()
	const tasks = 8
	for i := range tasks {
		name := fmt.Sprint("task", i)
		task := w.ask(name, "")
		for _, p := range w.parties(bothLines) {
			p.line.down()
			p.line.up()
		}
		got := w.awaitEnd(name, completed, task)
		defer w.check(name, completed, got)
	}
	w.close()
	for _, e := range w.seen.of(endpoint.EventRegistered, "")[2:] {
		if !e.Resumed {
			t.Errorf("the session of %s was lost", e.ClientID)
		}
	}
}
