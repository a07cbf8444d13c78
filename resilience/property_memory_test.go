package resilience_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aip-go/aip/transport"
)

var (
	errCut     = errors.New("cut by the schedule")
	errRefused = errors.New("refused by the schedule")
)

// memoryNetwork is a network of memory transports whose connections can be
// broken: a cheap stand-in for [transporttest.Network].
type memoryNetwork struct {
	accept func(transport.Transport) // serves a connection; it may take its time

	mu      sync.Mutex
	refuse  bool
	next    func(*memoryCable) // is told of each new connection; may be nil
	current *memoryCable
	serving sync.WaitGroup
}

// dial opens a connection.
func (n *memoryNetwork) dial(context.Context, string) (transport.Transport, error) {
	client, server := transport.NewPair(&transport.MemoryOptions{QueueMessages: 8, MaxMessageSize: 64 << 10})
	cable := &memoryCable{ended: make(chan struct{}), changed: make(chan struct{})}
	cable.ends = [2]*memoryWire{{Memory: client, cable: cable}, {Memory: server, cable: cable, side: 1}}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuse {
		return nil, errRefused
	}
	n.current = cable
	if n.next != nil {
		n.next(cable)
	}
	n.serving.Go(func() { n.accept(cable.ends[1]) })
	return cable.ends[0], nil
}

// latest returns the latest connection; nil if there was none.
func (n *memoryNetwork) latest() *memoryCable {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.current
}

func (n *memoryNetwork) refuseDials(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refuse = on
}

// memoryCable is one connection of a memoryNetwork.
type memoryCable struct {
	ends  [2]*memoryWire
	once  sync.Once
	ended chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a stall ends
}

// memoryWire is one end of a cable. What it sends is subject to the faults of
// its direction.
type memoryWire struct {
	*transport.Memory
	cable *memoryCable
	side  int

	// Guarded by the cable's lock.
	stalled bool // sends wait before anything is sent
	late    bool // sends wait when everything is sent
	hole    bool // sends succeed, and nothing arrives
	left    int  // sends until the cable is cut, if it is above 0
}

// cut ends the connection as a loss, seen from the given side first.
func (c *memoryCable) cut(side int) {
	c.once.Do(func() { close(c.ended) })
	c.ends[side].Memory.Abort(errCut)
}

// set changes the faults of one direction.
func (c *memoryCable) set(side int, change func(*memoryWire)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c.ends[side])
	close(c.changed)
	c.changed = make(chan struct{})
}

func (w *memoryWire) Send(ctx context.Context, data []byte) error {
	return w.SendFrames(ctx, transport.Frame{Kind: transport.Text, Data: data})
}

func (w *memoryWire) SendFrames(ctx context.Context, frames ...transport.Frame) error {
	if err := w.pass(ctx, func() bool { return w.stalled }); err != nil {
		return &transport.Error{Op: "send", Outcome: transport.NotSent, Err: err}
	}
	w.cable.mu.Lock()
	hole, cut := w.hole, w.left == 1
	if w.left > 0 {
		w.left--
	}
	w.cable.mu.Unlock()
	if !hole {
		if err := w.Memory.SendFrames(ctx, frames...); err != nil {
			return err
		}
	}
	if cut {
		w.cable.cut(w.side)
	}
	if err := w.pass(ctx, func() bool { return w.late }); err != nil {
		return &transport.Error{Op: "send", Outcome: transport.MaybeSent, Err: err}
	}
	return nil
}

// pass waits while the direction is blocked, or the cable ends: then the
// transport itself says how.
func (w *memoryWire) pass(ctx context.Context, blocked func() bool) error {
	for {
		w.cable.mu.Lock()
		changed, wait := w.cable.changed, blocked()
		w.cable.mu.Unlock()
		if !wait {
			return nil
		}
		select {
		case <-changed:
		case <-w.cable.ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *memoryWire) end() { w.cable.once.Do(func() { close(w.cable.ended) }) }

func (w *memoryWire) Abort(cause error) {
	w.end()
	w.Memory.Abort(cause)
}

func (w *memoryWire) Close() error { return w.CloseWith(transport.StatusNormal, "") }

// CloseWith is a close that the other side does not learn of if the direction
// swallows or holds everything; it sees a loss.
func (w *memoryWire) CloseWith(code transport.StatusCode, reason string) error {
	w.cable.mu.Lock()
	silent := w.hole || w.stalled
	w.cable.mu.Unlock()
	w.end()
	if silent {
		w.Memory.Abort(errCut)
		return nil
	}
	return w.Memory.CloseWith(code, reason)
}

// fault breaks the latest connection in one of the ways there are, and returns
// what heals it, if it is not broken for good.
func (n *memoryNetwork) fault(kind, side, after int, pause time.Duration) {
	c := n.latest()
	if c == nil {
		return
	}
	switch kind {
	case faultCut:
		c.cut(side)
	case faultCutAfter:
		c.set(side, func(w *memoryWire) { w.left = after + 1 })
	case faultStall:
		c.set(side, func(w *memoryWire) { w.stalled = true })
		time.Sleep(pause)
		c.set(side, func(w *memoryWire) { w.stalled = false })
	case faultLate:
		c.set(side, func(w *memoryWire) { w.late = true })
		time.Sleep(pause)
		c.set(side, func(w *memoryWire) { w.late = false })
	case faultBlackHole:
		c.set(side, func(w *memoryWire) { w.hole = true })
		time.Sleep(pause) // Until somebody's pings find out.
		c.cut(1 - side)
	case faultDeadStall:
		c.set(side, func(w *memoryWire) { w.stalled = true })
		time.Sleep(pause)
		c.cut(side)
	}
}
