package transporttest

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// Network is an in-memory network that does what networks do to programs: it
// cuts connections in the middle of a byte stream, stalls them, swallows what
// is sent, is slow, and refuses or holds dials. Its connections keep
// [net.Conn]'s rules, deadlines included. It starts no goroutines and waits on
// channels and timers only, so that in a bubble of package testing/synctest
// the timing of every fault is exact.
//
// All methods may be called concurrently. A Network that is used in a bubble
// must be made there.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener
	links     []*Link
	apply     func(*Link)
	refuse    bool
	hold      bool
	held      []*HeldDial
	changed   chan struct{} // closed when held grows; nil when nobody waits
	closed    bool
}

// NewNetwork returns a network without faults, at which nobody listens.
func NewNetwork() *Network {
	return &Network{listeners: make(map[string]*listener)}
}

// Listen listens at addr, any string, which is what dials must name; its
// backlog holds 128 connections. It panics when somebody listens there already.
func (n *Network) Listen(addr string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[addr] != nil {
		panic("transporttest: somebody listens at " + addr + " already")
	}
	l := &listener{network: n, addr: address(addr), backlog: make(chan *conn, 128), closed: make(chan struct{})}
	if n.closed {
		l.once.Do(func() { close(l.closed) })
	} else {
		n.listeners[addr] = l
	}
	return l
}

// DialContext connects to the listener at addr. The name of the network is not
// used. It has the signature of [net.Dialer.DialContext], for programs and
// libraries that let one set it.
func (n *Network) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	if err := n.admit(ctx, addr); err != nil {
		return nil, dialError(addr, err)
	}
	l, link, err := n.open(addr)
	if err != nil {
		return nil, dialError(addr, err)
	}
	select {
	case l.backlog <- link.ends[1]:
		select {
		case <-l.closed:
			link.Cut(syscall.ECONNRESET) // Close may have missed it.
		default:
		}
		link.ends[0].taken()
		return link.ends[0], nil
	case <-l.closed:
		err = syscall.ECONNREFUSED
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = link.ends[0].Close() // Nobody has it.
	return nil, dialError(addr, err)
}

// open makes the link for a dial to addr.
func (n *Network) open(addr string) (*listener, *Link, error) {
	n.mu.Lock()
	l := n.listeners[addr]
	if l == nil || n.refuse || n.closed {
		n.mu.Unlock()
		return nil, nil, syscall.ECONNREFUSED
	}
	link := newLink(addr, len(n.links)+1)
	n.links = append(n.links, link)
	apply := n.apply
	n.mu.Unlock()
	if apply != nil {
		apply(link)
	}
	return l, link, nil
}

// Apply calls f for every connection there is and then for each new one before
// its first byte, in place of an earlier f; nil for none. Faults set by f are
// thereby those of the whole network.
func (n *Network) Apply(f func(*Link)) {
	n.mu.Lock()
	n.apply = f
	links := append([]*Link(nil), n.links...)
	n.mu.Unlock()
	if f == nil {
		return
	}
	for _, link := range links {
		f(link)
	}
}

// Links returns all connections that were ever dialled, in the order of the
// dials, with those that have ended.
func (n *Network) Links() []*Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*Link(nil), n.links...)
}

// RefuseDials makes all dials fail with [syscall.ECONNREFUSED], or ends that.
func (n *Network) RefuseDials(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refuse = on
}

// Close ends the network: all connections are cut, all listeners closed, and
// all dials refused.
func (n *Network) Close() {
	n.mu.Lock()
	n.closed = true
	links, held := n.links, n.held
	n.held = nil
	listeners := make([]*listener, 0, len(n.listeners))
	for _, l := range n.listeners {
		listeners = append(listeners, l)
	}
	n.mu.Unlock()
	for _, d := range held {
		d.Refuse()
	}
	for _, link := range links {
		link.Cut(nil)
	}
	for _, l := range listeners {
		_ = l.Close() // It returns nil.
	}
}

// listener is a [net.Listener] of a [Network].
type listener struct {
	network *Network
	addr    address
	backlog chan *conn
	once    sync.Once
	closed  chan struct{}
}

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
	default:
		select {
		case c := <-l.backlog:
			c.taken()
			return c, nil
		case <-l.closed:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: networkName, Addr: l.addr, Err: net.ErrClosed}
}

// Close stops listening and drops the connections that nobody accepted.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		delete(l.network.listeners, string(l.addr))
		l.network.mu.Unlock()
		close(l.closed)
	})
	for {
		select {
		case c := <-l.backlog:
			c.link.Cut(syscall.ECONNRESET)
		default:
			return nil
		}
	}
}

// Addr returns the address that was listened at.
func (l *listener) Addr() net.Addr { return l.addr }

const networkName = "faulty"

// address is an address in a [Network].
type address string

func (address) Network() string  { return networkName }
func (a address) String() string { return string(a) }

func dialError(addr string, err error) error {
	return &net.OpError{Op: "dial", Net: networkName, Addr: address(addr), Err: err}
}
