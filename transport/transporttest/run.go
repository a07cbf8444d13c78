package transporttest

import (
	"context"
	"runtime/pprof"
	"testing"
	"testing/synctest"
	"time"
)

// Run runs all subtests that the harness's carrier and features call for. They
// run one after the other. On sockets no other test may run in parallel.
func Run(t *testing.T, h Harness) {
	for _, s := range subtests() {
		if !s.applies(h) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			if h.Carrier == Sockets {
				s.try(t, h)
				return
			}
			synctest.Test(t, func(t *testing.T) { s.try(t, h) })
		})
	}
}

// subtest is one thing that the contract asks for.
type subtest struct {
	name  string
	needs Features
	// faults: it makes faults in a Network.
	faults bool
	// timing: it needs exact timing, which sockets do not have.
	timing bool
	// once: it does not matter which side is the near one.
	once bool
	// set changes the settings.
	set func(near, far *Settings)
	run func(t *trial)
	// server: the near side is the server. It is set by subtests.
	server bool
}

// subtests returns all subtests, those that matter to both sides twice.
func subtests() []subtest {
	var all []subtest
	for _, group := range [][]subtest{
		connectTests(), messageTests(), senderTests(), contextTests(), closeTests(), lossTests(), stateTests(),
		streamTests(), extraTests(), faultTests(), cutTests(),
	} {
		for _, s := range group {
			if s.once {
				all = append(all, s)
				continue
			}
			name := s.name
			s.name = name + "/client"
			all = append(all, s)
			s.name, s.server = name+"/server", true
			all = append(all, s)
		}
	}
	return all
}

// applies reports whether the subtest exists for the harness.
func (s *subtest) applies(h Harness) bool {
	if s.faults && h.Carrier != FaultyNetwork || s.timing && h.Carrier == Sockets {
		return false
	}
	return s.needs&^h.Features == 0
}

// The time that a subtest may take: on the clock of its bubble, where it only
// passes while everybody waits, or on the wall.
const (
	bubbleGuard = time.Hour
	socketGuard = 30 * time.Second
)

func guardOf(h Harness) time.Duration {
	if h.Carrier == Sockets {
		return socketGuard
	}
	return bubbleGuard
}

// try runs the subtest once, in its own goroutine, and reports to tb.
func (s *subtest) try(tb testing.TB, h Harness) {
	tb.Helper()
	t := &trial{TB: tb, harness: h, env: defaults(), server: s.server, label: newLabel(s.name)}
	if s.set != nil {
		s.set(t.settings())
	}
	if h.Carrier == FaultyNetwork {
		t.env.Network = NewNetwork()
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	t.ctx = ctx

	done := make(chan struct{})
	go pprof.Do(ctx, t.label.set(), func(context.Context) {
		defer close(done)
		defer t.cleanup()
		s.run(t)
	})
	guard := time.NewTimer(guardOf(h))
	defer guard.Stop()
	select {
	case <-done:
	case <-guard.C:
		tb.Errorf("the subtest hangs; its goroutines:\n%s", t.label.goroutines())
		cancel()
		if t.env.Network != nil {
			t.env.Network.Close()
		}
		guard.Reset(guardOf(h))
		select {
		case <-done:
		case <-guard.C:
			return
		}
	}
	left := t.label.wait(h.Carrier)
	if left != "" {
		tb.Errorf("goroutines are left after everything was closed:\n%s", left)
	}
	if n := t.env.Network; n != nil {
		for i, link := range n.Links() {
			if open := link.open(); len(open) > 0 {
				tb.Errorf("of the connection that was dialled as number %d, %v are still open after everything was closed", i+1, open)
			}
		}
		n.Close()
	}
	if left != "" && h.Carrier != Sockets {
		t.pause(guardOf(h)) // What waits for a timer gets a chance to end.
	}
}
