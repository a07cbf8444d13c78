package transport_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

var states = []transport.State{
	transport.Disconnected, transport.Connecting, transport.Connected, transport.Disconnecting, transport.Failed,
}

// pathTo leads a new machine to each state.
var pathTo = map[transport.State][]transport.State{
	transport.Disconnected:  nil,
	transport.Connecting:    {transport.Connecting},
	transport.Connected:     {transport.Connecting, transport.Connected},
	transport.Disconnecting: {transport.Connecting, transport.Connected, transport.Disconnecting},
	transport.Failed:        {transport.Connecting, transport.Failed},
}

func machineIn(t *testing.T, state transport.State) *transport.Machine {
	t.Helper()
	m := new(transport.Machine)
	for _, next := range pathTo[state] {
		if err := m.To(next); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// TestTransitions: of all 25 transitions, those of AIP are possible.
func TestTransitions(t *testing.T) {
	possible := map[[2]transport.State]bool{
		{transport.Disconnected, transport.Connecting}:    true,
		{transport.Connecting, transport.Connected}:       true,
		{transport.Connecting, transport.Failed}:          true,
		{transport.Connected, transport.Disconnecting}:    true,
		{transport.Connected, transport.Failed}:           true,
		{transport.Disconnecting, transport.Disconnected}: true,
		{transport.Failed, transport.Disconnected}:        true,
	}
	for _, from := range states {
		for _, to := range states {
			want := possible[[2]transport.State{from, to}]
			if got := from.CanBecome(to); got != want {
				t.Errorf("%s can become %s: %v", from, to, got)
			}
			m := machineIn(t, from)
			err := m.To(to)
			if (err == nil) != want {
				t.Errorf("from %s to %s: %v", from, to, err)
			}
			if want {
				if m.State() != to {
					t.Errorf("from %s to %s: the state is %s", from, to, m.State())
				}
				continue
			}
			var transition *transport.TransitionError
			if !errors.As(err, &transition) || transition.From != from || transition.To != to {
				t.Errorf("from %s to %s: %v", from, to, err)
			}
			if m.State() != from {
				t.Errorf("a transition to %s that is not possible led from %s to %s", to, from, m.State())
			}
			if transport.Retryable(err) {
				t.Errorf("%v is retryable", err)
			}
		}
	}
	if transport.State(9).CanBecome(transport.Disconnected) {
		t.Error("an unknown state can become another one")
	}
}

func TestStateNames(t *testing.T) {
	names := []string{"disconnected", "connecting", "connected", "disconnecting", "error"}
	for i, state := range states {
		if state.String() != names[i] {
			t.Errorf("state %d is called %q, want %q", int(state), state, names[i])
		}
	}
	if got := transport.State(9).String(); got != "state(9)" {
		t.Errorf("an unknown state is called %q", got)
	}
	err := &transport.TransitionError{From: transport.Failed, To: transport.Connecting}
	if !strings.Contains(err.Error(), "Reset") {
		t.Errorf("%q does not name the way out", err)
	}
}

func TestMachineReset(t *testing.T) {
	for _, from := range states {
		m := machineIn(t, from)
		err := m.Reset()
		if from == transport.Failed || from == transport.Disconnected {
			if err != nil || m.State() != transport.Disconnected {
				t.Errorf("Reset from %s: %v, then %s", from, err, m.State())
			}
			continue
		}
		var transition *transport.TransitionError
		if !errors.As(err, &transition) || m.State() != from {
			t.Errorf("Reset from %s: %v, then %s", from, err, m.State())
		}
	}
}

func TestMachineWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := machineIn(t, transport.Connecting)
		if state, err := m.Wait(t.Context(), transport.Failed); state != transport.Connecting || err != nil {
			t.Errorf("Wait from another state: %s, %v", state, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if state, err := m.Wait(ctx, transport.Connecting); state != transport.Connecting || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait without a change: %s, %v", state, err)
		}
		var waiting sync.WaitGroup
		for range 8 {
			waiting.Go(func() {
				if state, err := m.Wait(t.Context(), transport.Connecting); state != transport.Connected || err != nil {
					t.Errorf("Wait: %s, %v", state, err)
				}
			})
		}
		synctest.Wait()
		if err := m.To(transport.Connected); err != nil {
			t.Error(err)
		}
		waiting.Wait()
	})
}

// TestMachineConcurrent: of many who make the same transition, one does.
func TestMachineConcurrent(t *testing.T) {
	m := new(transport.Machine)
	for _, next := range []transport.State{transport.Connecting, transport.Connected, transport.Disconnecting, transport.Disconnected} {
		var running sync.WaitGroup
		won := make(chan bool, 16)
		for range cap(won) {
			running.Go(func() { won <- m.To(next) == nil })
		}
		running.Wait()
		close(won)
		winners := 0
		for ok := range won {
			if ok {
				winners++
			}
		}
		if winners != 1 || m.State() != next {
			t.Errorf("%d have led to %s; the state is %s", winners, next, m.State())
		}
	}
}
