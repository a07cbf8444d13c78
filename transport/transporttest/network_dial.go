package transporttest

import (
	"context"
	"sync"
	"syscall"
)

// HeldDial is a dial that waits because of [Network.HoldDials].
type HeldDial struct {
	// Addr is the address that is dialled.
	Addr string

	once   sync.Once
	decide chan error
}

// Release lets the dial go on.
func (d *HeldDial) Release() { d.once.Do(func() { d.decide <- nil }) }

// Refuse lets the dial fail with [syscall.ECONNREFUSED].
func (d *HeldDial) Refuse() { d.once.Do(func() { d.decide <- syscall.ECONNREFUSED }) }

// HoldDials makes dials wait until they are released, in whatever order, or
// until their context ends. HoldDials(false) ends that and releases those that
// [Network.NextDial] did not return.
func (n *Network) HoldDials(on bool) {
	n.mu.Lock()
	n.hold = on
	var held []*HeldDial
	if !on {
		held, n.held = n.held, nil
	}
	n.mu.Unlock()
	for _, d := range held {
		d.Release()
	}
}

// NextDial waits for the next dial that is held and returns it, each once. It
// returns the context's error when that ends first.
func (n *Network) NextDial(ctx context.Context) (*HeldDial, error) {
	for {
		n.mu.Lock()
		if len(n.held) > 0 {
			d := n.held[0]
			n.held = n.held[1:]
			n.mu.Unlock()
			return d, nil
		}
		if n.changed == nil {
			n.changed = make(chan struct{})
		}
		changed := n.changed
		n.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// admit waits while dials are held.
func (n *Network) admit(ctx context.Context, addr string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n.mu.Lock()
	if !n.hold || n.closed {
		n.mu.Unlock()
		return nil
	}
	d := &HeldDial{Addr: addr, decide: make(chan error, 1)}
	n.held = append(n.held, d)
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
	n.mu.Unlock()
	select {
	case err := <-d.decide:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
