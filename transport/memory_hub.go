package transport

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
)

// MemoryHub is a name space in which [Memory] transports find each other: one
// listens at a name, others connect to mem://name. All methods may be called
// concurrently.
type MemoryHub struct {
	mu        sync.Mutex
	listeners map[string]*MemoryListener
}

// NewMemoryHub returns a hub at which nobody listens.
func NewMemoryHub() *MemoryHub {
	return &MemoryHub{listeners: make(map[string]*MemoryListener)}
}

// NewTransport returns a transport that is not connected and whose Connect
// reaches the listeners of this hub.
func (h *MemoryHub) NewTransport(options *MemoryOptions) *Memory {
	return newMemory(options, h)
}

// Listen makes name connectable as mem://name. The options are those of the
// transports that Accept returns. It fails with [ErrInvalidOptions] when the
// name is empty or taken.
func (h *MemoryHub) Listen(name string, options *MemoryOptions) (*MemoryListener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if name == "" {
		return nil, fmt.Errorf("%w: a listener needs a name", ErrInvalidOptions)
	}
	if h.listeners[name] != nil {
		return nil, fmt.Errorf("%w: mem://%s is taken; close its listener first", ErrInvalidOptions, name)
	}
	l := &MemoryListener{hub: h, name: name, dials: make(chan *Memory), closed: make(chan struct{})}
	if options != nil {
		l.options = *options
	}
	h.listeners[name] = l
	return l, nil
}

func (h *MemoryHub) find(name string) *MemoryListener {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listeners[name]
}

// MemoryListener accepts connections to one name of a [MemoryHub]. All methods
// may be called concurrently.
type MemoryListener struct {
	hub     *MemoryHub
	name    string
	options MemoryOptions
	dials   chan *Memory
	once    sync.Once
	closed  chan struct{}
}

// URL returns the address to connect to.
func (l *MemoryListener) URL() string { return "mem://" + l.name }

// Accept waits for the next Connect and returns its peer, connected. It returns
// an error matching [ErrClosed] when the listener is closed, or the context's
// error when that ends first. The accepted transport cannot connect again
// itself.
func (l *MemoryListener) Accept(ctx context.Context) (*Memory, error) {
	select {
	case server := <-l.dials:
		return server, nil
	case <-l.closed:
		return nil, &Error{Op: "accept", URL: l.URL(), Err: ErrClosed}
	case <-ctx.Done():
		return nil, &Error{Op: "accept", URL: l.URL(), Err: ctx.Err()}
	}
}

// Close frees the name: a Connect or an Accept that waits fails. Connections
// that were accepted stay open. It returns nil, also the second time.
func (l *MemoryListener) Close() error {
	l.once.Do(func() {
		l.hub.mu.Lock()
		delete(l.hub.listeners, l.name)
		l.hub.mu.Unlock()
		close(l.closed)
	})
	return nil
}

// errRefused is the end of a Connect to a name at which nobody listens.
var errRefused = errors.New("nobody listens there")

// memoryDial is a running Connect.
type memoryDial struct {
	ctx   context.Context
	abort context.CancelCauseFunc
	done  chan struct{} // closed when Connect is over
}

// Connect connects to mem://name when the listener of that name accepts; see
// [Transport]. A query is allowed and not used. It fails with [ErrInvalidURL]
// for another scheme and with [errors.ErrUnsupported] for a transport that no
// hub made.
func (m *Memory) Connect(ctx context.Context, rawURL string) error {
	dial := &memoryDial{done: make(chan struct{})}
	defer close(dial.done)
	dial.ctx, dial.abort = context.WithCancelCause(ctx)
	defer dial.abort(nil)

	err := m.begin(dial)
	if err == nil {
		err = m.connect(ctx, dial, rawURL)
	}
	if err != nil {
		return &Error{Op: "connect", URL: RedactURL(rawURL), Err: err}
	}
	return nil
}

// begin makes the state connecting.
func (m *Memory) begin(dial *memoryDial) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.machine.To(Connecting)
	var transition *TransitionError
	if errors.As(err, &transition) && transition.From != Failed {
		return ErrAlreadyConnected
	}
	if err == nil {
		m.dial = dial
	}
	return err
}

// connect leads from connecting to connected or failed.
func (m *Memory) connect(ctx context.Context, dial *memoryDial, rawURL string) error {
	link, err := m.reach(dial.ctx, rawURL)

	m.mu.Lock()
	defer m.mu.Unlock()
	m.dial = nil
	if cause := context.Cause(dial.ctx); cause != nil {
		err = cause
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if link != nil {
			link.ends[0].abort(err)
		}
	}
	if err != nil {
		_ = m.machine.To(Failed) // Only this call leads out of connecting.
		return err
	}
	m.end = link.ends[0]
	m.end.attach(&m.machine)
	return nil
}

// reach hands one end of a new link to the listener that the URL names.
func (m *Memory) reach(ctx context.Context, rawURL string) (*memoryLink, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "mem" || u.Host == "" {
		return nil, fmt.Errorf("%w: want mem://name", ErrInvalidURL)
	}
	if m.hub == nil {
		return nil, fmt.Errorf("only a transport made by MemoryHub.NewTransport can connect: %w", errors.ErrUnsupported)
	}
	listener := m.hub.find(u.Host + u.Path)
	if listener == nil {
		return nil, errRefused
	}
	server := newMemory(&listener.options, nil)
	link := newMemoryLink(m, server)
	_ = server.machine.To(Connecting) // A new machine is disconnected.
	server.attach(link.ends[1])
	select {
	case listener.dials <- server:
		return link, nil
	case <-listener.closed:
		return nil, errRefused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
