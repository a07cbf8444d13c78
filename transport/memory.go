package transport

import (
	"context"
	"sync"
)

// MemoryOptions configures a [Memory]. Nil and zero values mean the defaults.
type MemoryOptions struct {
	// MaxMessageSize is the largest message, in bytes, that is sent and, until
	// SetReadLimit changes it, received. Zero means 100 MiB, negative means no
	// limit.
	MaxMessageSize int64
	// QueueBytes is how many bytes may wait for this side's receiver; a sender
	// on the other side then waits. A message larger than that is let in when
	// nothing else waits. Zero means 1 MiB, negative means no limit.
	QueueBytes int64
	// QueueMessages is how many messages may wait for this side's receiver.
	// Zero means 256, negative means no limit.
	QueueMessages int
}

// The defaults of a memory transport's queue.
const (
	defaultQueueBytes    = 1 << 20
	defaultQueueMessages = 256
)

// Memory is a transport to another Memory in the same process, for tests and
// for peers that live together. It starts no goroutines and waits on channels
// only, so that it works in a bubble of package testing/synctest.
//
// What is sent is in the peer's queue when Send returns; the outcome of a
// failed send is therefore always [NotSent], except for a stream. A Ping
// succeeds as long as the connection is open, and Close does not wait.
//
// Memory has all the optional interfaces of this package. Their and the
// [Transport]'s rules for concurrent use apply; receives that run at the same
// time nevertheless, are served one after the other. Make a connected pair with
// [NewPair], or transports that connect by name with a [MemoryHub].
type Memory struct {
	machine Machine
	hub     *MemoryHub
	options MemoryOptions

	mu        sync.Mutex
	readLimit int64
	end       *memoryEnd  // of the latest connection; nil if there never was one
	dial      *memoryDial // while connecting
}

var _ interface {
	Transport
	FrameTransport
	StreamTransport
	Pinger
	Aborter
	CodeCloser
	StateWaiter
	Resetter
	ReadLimiter
	Backlogger
	CloseNotifier
} = (*Memory)(nil)

// NewPair returns two transports that are connected to each other, both with
// the given options. They cannot connect again; see [MemoryHub] for transports
// that can.
func NewPair(options *MemoryOptions) (client, server *Memory) {
	client, server = newMemory(options, nil), newMemory(options, nil)
	link := newMemoryLink(client, server)
	for i, side := range []*Memory{client, server} {
		// A new machine is disconnected, from where this is allowed.
		_ = side.machine.To(Connecting)
		side.attach(link.ends[i])
	}
	return client, server
}

func newMemory(options *MemoryOptions, hub *MemoryHub) *Memory {
	m := &Memory{hub: hub}
	if options != nil {
		m.options = *options
	}
	if m.options.MaxMessageSize == 0 {
		m.options.MaxMessageSize = ProfileDefault.MaxMessageSize
	}
	if m.options.QueueBytes == 0 {
		m.options.QueueBytes = defaultQueueBytes
	}
	if m.options.QueueMessages == 0 {
		m.options.QueueMessages = defaultQueueMessages
	}
	m.readLimit = m.options.MaxMessageSize
	return m
}

// attach makes the end this transport's connection and the state connected.
func (m *Memory) attach(e *memoryEnd) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end, m.dial = e, nil
	e.attach(&m.machine)
}

// current returns the latest connection, or an error when there never was one.
func (m *Memory) current() (*memoryEnd, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.end == nil {
		return nil, ErrNotConnected
	}
	return m.end, nil
}

// IsConnected reports whether the state is [Connected].
func (m *Memory) IsConnected() bool { return m.State() == Connected }

// State returns the current state.
func (m *Memory) State() State { return m.machine.State() }

// WaitState waits until the state differs from from; see [StateWaiter].
func (m *Memory) WaitState(ctx context.Context, from State) (State, error) {
	return m.machine.Wait(ctx, from)
}

// Reset makes a failed transport connectable again; see [Resetter].
func (m *Memory) Reset() error { return m.machine.Reset() }

// SetReadLimit sets the largest message, in bytes, that the peer may send from
// now on; see [ReadLimiter]. It stays in force over reconnections. It panics
// unless n is positive.
func (m *Memory) SetReadLimit(n int64) {
	if n <= 0 {
		panic("transport: SetReadLimit needs a positive number of bytes")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readLimit = n
}

// limit returns the largest message, in bytes, that the peer may send; it is
// negative when there is no limit.
func (m *Memory) limit() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.readLimit
}

// Backlog returns what waits in blocked sends of this side, where a stream
// counts as a message of no bytes, and what waits for this side's receiver.
func (m *Memory) Backlog() Backlog {
	e, err := m.current()
	if err != nil {
		return Backlog{}
	}
	return e.backlog()
}

// Ping succeeds while the connection is open; see [Pinger].
func (m *Memory) Ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &Error{Op: "ping", Err: err}
	}
	e, err := m.current()
	if err != nil {
		return &Error{Op: "ping", Err: err}
	}
	select {
	case <-e.done:
		return &Error{Op: "ping", Err: e.ended()}
	default:
		return nil
	}
}

// Close closes the connection with [StatusNormal]; see [Transport].
func (m *Memory) Close() error { return m.CloseWith(StatusNormal, "") }

// CloseWith closes the connection with a code and a reason for the peer; see
// [CodeCloser].
func (m *Memory) CloseWith(code StatusCode, reason string) error {
	if !code.Sendable() {
		return &Error{Op: "close", Err: ErrInvalidStatusCode}
	}
	m.finish(ErrClosed, func(e *memoryEnd) { e.close(code, TruncateReason(reason)) })
	return nil
}

// Abort drops the connection; see [Aborter]. The peer sees a loss.
func (m *Memory) Abort(cause error) {
	m.finish(&CloseError{Code: StatusAbnormal, Err: cause}, func(e *memoryEnd) { e.abort(cause) })
}

// finish ends a running Connect with err, or else the connection by how.
func (m *Memory) finish(err error, how func(*memoryEnd)) {
	m.mu.Lock()
	e, dial := m.end, m.dial
	if dial != nil {
		dial.abort(err)
	}
	m.mu.Unlock()
	switch {
	case dial != nil:
		<-dial.done
	case e != nil:
		how(e)
	}
}

// WaitClosed waits for the end of the connection; see [Transport].
func (m *Memory) WaitClosed(ctx context.Context) error {
	e, err := m.current()
	if err != nil {
		return nil
	}
	select {
	case <-e.done:
		return e.loss()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// AfterClosed calls f after the end of the connection; see [CloseNotifier].
func (m *Memory) AfterClosed(f func()) (stop func() bool) {
	e, err := m.current()
	if err != nil {
		go f()
		return func() bool { return false }
	}
	return e.notices.AfterClosed(f)
}
