package transporttest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aip-go/aip/transport"
)

func stateTests() []subtest {
	return []subtest{
		{name: "states in order", needs: StateWaits, once: true, run: testStates},
		{name: "wait for a state", needs: StateWaits, run: testWaitState},
		{name: "reset", needs: Resets | Aborts, run: testReset},
		{name: "reconnect", once: true, run: testReconnect},
		{name: "reconnect after a loss", once: true, needs: Resets | Aborts, run: testReconnectLoss},
		{name: "old connection", once: true, run: testOldConnection},
	}
}

// testStates: the states that a watcher sees are AIP's, in AIP's order.
func testStates(t *trial) {
	t.start()
	client := t.client()
	waiter := feature[transport.StateWaiter](t, client)
	ctx, cancel := context.WithCancel(t.ctx)
	watching := async(func() ([]transport.State, error) {
		seen := []transport.State{transport.Disconnected}
		for {
			next, err := waiter.WaitState(ctx, seen[len(seen)-1])
			if err != nil {
				return seen, err
			}
			seen = append(seen, next)
		}
	})
	connecting := call(func() error {
		ctx, cancel := context.WithTimeout(t.ctx, t.short())
		defer cancel()
		return client.Connect(ctx, t.endpoint.SilentURL)
	})
	if state, err := waiter.WaitState(t.ctx, transport.Disconnected); err != nil || state != transport.Connecting {
		t.Errorf("during Connect: %s, %v", state, err)
	}
	if state, err := waiter.WaitState(t.ctx, transport.Connecting); err != nil || state != transport.Failed {
		t.Errorf("after a failed Connect: %s, %v", state, err)
	}
	_, err := connecting.wait()
	t.is("Connect", err, context.DeadlineExceeded)
	if t.harness.Features&Resets != 0 {
		t.pause(t.short())
		if err := feature[transport.Resetter](t, client).Reset(); err != nil {
			t.Errorf("Reset: %v", err)
		}
		for range 3 {
			t.pause(t.short())
			t.connect(client)
			t.pause(t.short())
			if err := client.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	}
	t.pause(t.short())
	cancel()
	seen, _ := watching.wait() // It ends with the context.
	for i := 1; i < len(seen); i++ {
		if !reachable(seen[i-1], seen[i]) {
			t.Errorf("from %s to %s, in %v", seen[i-1], seen[i], seen)
		}
	}
	for _, state := range []transport.State{transport.Connecting, transport.Failed} {
		if !slices.Contains(seen, state) {
			t.Errorf("a watcher did not see %s, only %v", state, seen)
		}
	}
	if t.harness.Features&Resets != 0 && !slices.Contains(seen, transport.Connected) {
		t.Errorf("a watcher did not see %s, only %v", transport.Connected, seen)
	}
}

// reachable reports whether a state follows another one, or can after one that
// was too short to be seen.
func reachable(from, to transport.State) bool {
	if from.CanBecome(to) {
		return true
	}
	for _, between := range []transport.State{transport.Connecting, transport.Disconnecting} {
		if from.CanBecome(between) && between.CanBecome(to) {
			return true
		}
	}
	return false
}

// testWaitState: WaitState returns when the state differs, or when the context
// ends.
func testWaitState(t *trial) {
	near, far := t.pair()
	waiter := feature[transport.StateWaiter](t, near)
	if state, err := waiter.WaitState(t.ctx, transport.Failed); err != nil || state != transport.Connected {
		t.Errorf("WaitState from another state: %s, %v", state, err)
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.ctx, t.short())
	defer cancel()
	state, err := waiter.WaitState(ctx, transport.Connected)
	t.took("WaitState", start, t.short())
	t.is("WaitState after its deadline", err, context.DeadlineExceeded)
	if state != transport.Connected {
		t.Errorf("WaitState after its deadline: %s", state)
	}
	t.usable(near, far)

	waiting := async(func() (transport.State, error) { return waiter.WaitState(t.ctx, transport.Connected) })
	t.pause(t.short())
	if err := far.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	state, err = returns(t, "WaitState", waiting)
	if err != nil || state != transport.Disconnecting && state != transport.Disconnected {
		t.Errorf("WaitState over the peer's Close: %s, %v", state, err)
	}
	if state, err := waiter.WaitState(t.ctx, transport.Disconnecting); err != nil || state != transport.Disconnected {
		t.Errorf("WaitState from disconnecting: %s, %v", state, err)
	}
}

// testReset: Reset leads from failed to disconnected and nowhere else.
func testReset(t *trial) {
	near, far := t.pair()
	reset := feature[transport.Resetter](t, near).Reset
	var transition *transport.TransitionError
	if err := reset(); !errors.As(err, &transition) {
		t.Errorf("Reset when connected: %v; want a TransitionError", err)
	}
	t.usable(near, far)
	feature[transport.Aborter](t, near).Abort(errors.New("the cause"))
	t.reaches("the side that aborts", near, transport.Failed)
	for range 2 {
		if err := reset(); err != nil {
			t.Errorf("Reset: %v", err)
		}
		if near.State() != transport.Disconnected {
			t.Errorf("%s after Reset", near.State())
		}
	}
}

// testReconnect: a closed transport connects again, and nothing of the old
// connection is left in the new one.
func testReconnect(t *trial) {
	t.start()
	client := t.client()
	for range 5 {
		server := t.connect(client)
		t.usable(client, server)
		t.send(server, "old, and never received")
		t.pause(t.short())
		if err := client.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if client.State() != transport.Disconnected {
			t.Errorf("%s after Close", client.State())
		}
	}
	server := t.connect(client)
	t.pause(t.short())
	t.usable(client, server)
}

// testReconnectLoss: the same after a loss, with a reset.
func testReconnectLoss(t *trial) {
	t.start()
	client := t.client()
	for range 5 {
		server := t.connect(client)
		t.usable(client, server)
		t.send(server, "old, and never received")
		t.pause(t.short())
		feature[transport.Aborter](t, client).Abort(errors.New("the cause"))
		t.reaches("the client", client, transport.Failed)
		if err := feature[transport.Resetter](t, client).Reset(); err != nil {
			t.Errorf("Reset: %v", err)
		}
	}
	server := t.connect(client)
	t.pause(t.short())
	t.usable(client, server)
}

// testOldConnection: what the peer of an old connection does, and the calls
// that were waiting for it, do not reach into a new one.
func testOldConnection(t *trial) {
	t.start()
	client := t.client()
	for range 5 {
		old := t.connect(client)
		sending := call(func() error {
			for {
				if err := old.Send(t.ctx, []byte("old")); err != nil {
					return err
				}
			}
		})
		t.receive(client, "old")
		_ = client.Close() // The peer takes nothing in; the handshake may fail.

		current := t.connect(client)
		const n = 50
		fresh := call(func() error {
			for range n {
				if err := current.Send(t.ctx, []byte("new")); err != nil {
					return err
				}
			}
			return nil
		})
		closing := call(func() error {
			_, err := sending.wait()
			_ = old.Close() // It has ended.
			return err
		})
		for range n {
			t.receive(client, "new")
		}
		if _, err := returns(t, "Send", fresh); err != nil {
			t.Errorf("Send on the new connection: %v", err)
		}
		if _, err := returns(t, "Send", closing); err == nil {
			t.Error("Send on the old connection never failed")
		}
		t.pause(t.short())
		t.usable(client, current)
		if err := client.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}
