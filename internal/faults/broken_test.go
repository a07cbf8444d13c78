package faults

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/transport"
)

// The pings of lines that go silent: such a line is found after ping +
// pingTimeout at most.
const (
	ping        = 200 * time.Millisecond
	pingTimeout = 700 * time.Millisecond
)

var (
	vanish  = toxic{"timeout", map[string]any{"timeout": 0}}
	lateEnd = toxic{"slow_close", map[string]any{"delay": 600}}
	noEnds  = toxic{"slow_close", map[string]any{"delay": 60_000}}
)

// fault is what befalls a line while the device acts.
type fault struct {
	name string
	plan plan
	// strike befalls a line, heal takes it back.
	strike, heal func(w *world, p *party)
	// unnoticed: the server does not notice before the party is back.
	unnoticed bool
	// alone: each side has to find the loss by itself, as nothing is heard of the
	// other any more.
	alone bool
	// heard: what the server says arrives nevertheless, until it gives up.
	heard bool
}

func clear(_ *world, p *party) { p.line.clear() }

func poison(directions []string, toxics ...toxic) func(*world, *party) {
	return func(_ *world, p *party) { p.line.add(directions, toxics...) }
}

// All but the first are found by pings, or by something that is sent for once.
var (
	cut = fault{
		name:   "cut",
		strike: func(_ *world, p *party) { p.line.down() },
		heal:   func(_ *world, p *party) { p.line.up() },
	}
	// Connections that there are end at the next byte, those that begin are reset.
	reset = fault{
		name: "reset", plan: plan{ping: ping, serverPing: ping},
		strike: poison(bothWays, toxic{"reset_peer", map[string]any{"timeout": 0}}), heal: clear,
	}
	// What both sides send vanishes. Who gives up tells the other by the end of
	// its connection.
	halfOpen = fault{
		name: "half-open", plan: plan{ping: ping, serverPing: ping, pingTimeout: pingTimeout},
		strike: poison(bothWays, vanish), heal: clear,
	}
	// Nobody is told of the end either: each has to find out.
	noEnd = fault{
		name: "half-open without an end", alone: true, plan: plan{ping: ping, serverPing: ping, pingTimeout: pingTimeout},
		strike: poison(bothWays, vanish, noEnds), heal: clear,
	}
	faults = []fault{
		cut, reset, halfOpen, noEnd,
		{
			name: "mute", heard: true, plan: plan{ping: ping, serverPing: ping, pingTimeout: pingTimeout},
			strike: poison([]string{upstream}, vanish), heal: clear,
		},
		{
			name: "deaf", plan: plan{ping: ping, serverPing: ping, pingTimeout: pingTimeout},
			strike: poison([]string{downstream}, vanish), heal: clear,
		},
		{ // The server does not ping: it misses the heartbeats.
			name: "silent", alone: true, plan: plan{ping: ping, pingTimeout: pingTimeout, silence: 2000 * time.Millisecond},
			strike: poison(bothWays, vanish, noEnds), heal: clear,
		},
		{ // Closed after a few bytes: in the middle of a ping, and of the next handshakes.
			name: "limited", plan: plan{ping: ping, serverPing: ping},
			strike: poison(bothWays, toxic{"limit_data", map[string]any{"bytes": 9}}), heal: clear,
		},
		{ // The server learns of the end when the party has long been back.
			name: "slow close", unnoticed: true,
			strike: func(w *world, p *party) {
				p.line.add(bothWays, lateEnd)
				p.cut(w.t)
			},
			heal: func(*world, *party) {},
		},
	}
)

// Protects: whatever befalls a line in mid-action, and then heals, every task
// ends once, for everyone, as the table says; and the next one is done, where
// nothing but pings watches the lines.
func TestBrokenLines(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		for _, set := range settings {
			for _, hit := range sides {
				if f.plan.silence > 0 && hit != bothLines {
					continue // It is all clients of the server that must not be silent.
				}
				t.Run(fmt.Sprintf("%s/%s/%s", f.name, set, hit), func(t *testing.T) {
					t.Parallel()
					p := f.plan
					p.setting, p.hit = set, hit
					w := newWorld(t, p, hold)
					defer w.show()
					w.strike(f)
				})
			}
		}
	}
}

// strike strikes lines while the device acts, heals them, and checks what
// became of the task, and that the next one is done.
func (w *world) strike(f fault) {
	w.t.Helper()
	want := right(w.t, heals, w.plan.setting, w.plan.hit)
	if f.heard && w.plan.hit == bothLines && w.plan.setting != resumed {
		want.run = failedOrLost // If it is the device that the server misses first, it can say so.
	}
	w.befall(f)
	w.awaitLoss(f)
	if w.plan.setting == resumed {
		w.tool.release() // What it brings waits for the next connection.
	}
	w.heal(f)
	got := w.awaitEnd(held, want.status, w.task)
	if w.plan.silence > 0 { // What follows would have to be as quick.
		w.close()
		w.check(held, want.status, got)
		w.checkHandled(want.status)
		return
	}
	next := w.next()
	w.close()
	w.check(held, want.status, got)
	w.check("next", completed, next)
	w.checkHandled(want.status, completed)
	w.checkConnections(heals)
	if w.t.Failed() {
		w.t.Logf("right is: %s", want.why)
	}
}

// befall has f befall the lines that are to be hit.
func (w *world) befall(f fault) {
	for _, p := range w.parties(w.plan.hit) {
		f.strike(w, p)
	}
	w.struck = time.Now()
}

// heal takes that back.
func (w *world) heal(f fault) {
	w.healed.Store(true)
	for _, p := range w.parties(w.plan.hit) {
		f.heal(w, p)
	}
}

// awaitLoss waits until those who can have noticed that lines are lost.
func (w *world) awaitLoss(f fault) {
	w.t.Helper()
	for _, p := range w.parties(w.plan.hit) {
		w.awaitLossAt(p.events, endpoint.EventDisconnected, p, f)
		switch {
		case f.unnoticed:
		case w.plan.setting == resumed:
			w.awaitLossAt(w.seen, endpoint.EventDetached, p, f)
		default:
			w.awaitLossAt(w.seen, endpoint.EventDisconnected, p, f)
		}
	}
}

// awaitLossAt waits until r has observed that p's connection is lost.
func (w *world) awaitLossAt(r *recorder, kind endpoint.EventKind, p *party, f fault) {
	w.t.Helper()
	r.await(w.t, 1, kind, p.id)
	if first := p.events.of(endpoint.EventDisconnected, p.id)[0]; first.Time.Before(w.struck) {
		return // It was too late to strike it: see newWorld.
	}
	if err := r.of(kind, p.id)[0].Err; f.alone && !errors.Is(err, transport.ErrPingTimeout) {
		w.t.Errorf("the %s observed the loss of the %s by %v, not by the silence", r.part, p.name, err)
	}
}

// next gives the device one more task, when those that were struck are back.
func (w *world) next() outcome {
	w.t.Helper()
	if w.plan.setting == single {
		w.restart()
	}
	for _, p := range w.parties(w.plan.hit) {
		p.events.await(w.t, 2, endpoint.EventRegistered, "")
	}
	return w.awaitEnd("next", completed, w.ask("next", ""))
}

// awaitEnd waits until everyone knows the end of a task who is to.
func (w *world) awaitEnd(task string, want status, ended <-chan outcome) outcome {
	w.t.Helper()
	got := receive(w.t, "the end of the task "+task+" at the constellation", ended)
	w.seen.awaitEnd(w.t, session(task))
	if want.device != "" && !want.maybe {
		w.device.events.awaitEnd(w.t, session(task))
	}
	return got
}

// restart does for those that were struck what they do not do themselves.
func (w *world) restart() {
	w.t.Helper()
	for _, p := range w.parties(w.plan.hit) {
		w.seen.await(w.t, 1, endpoint.EventDisconnected, p.id)
	}
	if w.plan.hit.hits(w.device.name) {
		if err := receive(w.t, "the end of the device", w.deviceEnded); !gaveUp(err) {
			w.t.Errorf("the device's Run returned %v", err)
		}
		w.startDevice()
		w.device.events.await(w.t, 2, endpoint.EventRegistered, "")
	}
	if w.plan.hit.hits(w.constellation.name) {
		receive(w.t, "the end of the constellation's link", w.stars.Done(deviceID))
		if err := w.connect(); err != nil {
			w.t.Fatalf("the constellation does not connect: %v", err)
		}
	}
}
