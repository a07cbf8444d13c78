package transport

import (
	"context"
	"fmt"
	"sync"
)

// State is the state of a transport's connection. The zero value is
// [Disconnected].
type State int

// The states of a connection.
const (
	// Disconnected: no connection; Connect may be called.
	Disconnected State = iota
	// Connecting: a Connect is running.
	Connecting
	// Connected: messages can be sent and received.
	Connected
	// Disconnecting: a closing handshake is running.
	Disconnecting
	// Failed: the connection could not be made or was lost. Called "error" in
	// AIP. A reset ([Resetter]) leads back to Disconnected.
	Failed
)

// String returns AIP's name of the state: "disconnected", "connecting",
// "connected", "disconnecting" or "error".
func (s State) String() string {
	switch s {
	case Disconnected:
		return "disconnected"
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Disconnecting:
		return "disconnecting"
	case Failed:
		return "error"
	default:
		return fmt.Sprintf("state(%d)", int(s))
	}
}

// CanBecome reports whether the transition from s to next is one of AIP's:
//
//	disconnected → connecting → connected → disconnecting → disconnected
//	connecting → error, connected → error, error → disconnected (reset)
//
// A closing handshake that fails is still a close: disconnecting leads to
// disconnected only.
func (s State) CanBecome(next State) bool {
	switch s {
	case Disconnected:
		return next == Connecting
	case Connecting:
		return next == Connected || next == Failed
	case Connected:
		return next == Disconnecting || next == Failed
	case Disconnecting:
		return next == Disconnected
	case Failed:
		return next == Disconnected
	default:
		return false
	}
}

// TransitionError is an attempt to make a transition that AIP does not have.
type TransitionError struct {
	From, To State
}

// Error names both states and, where there is one, the way out.
func (e *TransitionError) Error() string {
	hint := ""
	if e.From == Failed && e.To == Connecting {
		hint = "; call Reset first"
	}
	return fmt.Sprintf("transport: no transition from %s to %s%s", e.From, e.To, hint)
}

// Machine holds the state of a transport and allows only AIP's transitions. It
// is for implementers of transports. The zero value is ready and disconnected;
// all methods may be called concurrently. A Machine must not be copied.
type Machine struct {
	mu      sync.Mutex
	state   State
	changed chan struct{}
}

// State returns the current state.
func (m *Machine) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// To makes the transition to next, or returns a [*TransitionError] and changes
// nothing.
func (m *Machine) To(next State) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.state.CanBecome(next) {
		return &TransitionError{From: m.state, To: next}
	}
	m.enter(next)
	return nil
}

// enter makes next the state. The machine is locked.
func (m *Machine) enter(next State) {
	m.state = next
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// Reset leads from [Failed] to [Disconnected], as [Resetter] describes it.
func (m *Machine) Reset() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch m.state {
	case Disconnected:
		return nil
	case Failed:
		m.enter(Disconnected)
		return nil
	default:
		return &TransitionError{From: m.state, To: Disconnected}
	}
}

// Wait waits until the state differs from from, as [StateWaiter] describes it.
func (m *Machine) Wait(ctx context.Context, from State) (State, error) {
	for {
		m.mu.Lock()
		state := m.state
		if state != from {
			m.mu.Unlock()
			return state, nil
		}
		if m.changed == nil {
			m.changed = make(chan struct{})
		}
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return m.State(), ctx.Err()
		}
	}
}
