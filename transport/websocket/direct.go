package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/aip-go/aip/internal/lazyctx"
	"github.com/aip-go/aip/internal/watchdog"
	"github.com/aip-go/aip/transport"
)

// A receive that waits reads from the network itself, so that a message goes
// through no other goroutine, and an idle connection needs none. The reader is
// there when no receive is, so that pings are answered and the end is seen, and
// for messages that are large, or have several frames.

const (
	// readerPatience is how long nobody reads before the reader does.
	readerPatience = time.Millisecond
	// detour is how many messages go by way of the reader after one that was large:
	// others like it will follow.
	detour = 16
)

// role says who reads from the network.
type role uint8

const (
	byReader role = iota
	byReceive
	byNobody
)

// reading is who reads, and what the next one has to know. A connection whose
// reads cannot be interrupted is always read by the reader.
type reading struct {
	network  interrupter        // nil without an interruptible network
	patience *watchdog.Watchdog // over the time in which nobody reads

	// Of whoever has the role:
	detour int            // messages that the reader is to read
	begun  transport.Kind // of a message of which only the header was read; else 0
	limit  int64          // of the latest message, from when it began
	err    error          // why nothing more can be read

	mu     sync.Mutex
	role   role
	wanted bool // a receive waits for the reader
	// The context of the latest receive that read, by its channel. Its end
	// interrupts, from the second such receive in a row on also between them:
	// one that is for one receive only usually ends directly after it.
	done <-chan struct{}
	stop func() bool // nil unless its end interrupts
	kept bool
}

// interrupter is what a network connection has to have for a receive to read.
type interrupter interface{ SetReadDeadline(t time.Time) error }

// interruptible returns a network connection if a deadline interrupts its reads,
// and they go on after it where they were. That is known of those of the
// operating system, with and without TLS, and of such as say so. Every net.Conn
// has deadlines; what wraps one may do nothing for them, or set its own in each
// read, or lose the half of what it reads.
func interruptible(network any) interrupter {
	switch n := network.(type) {
	case *net.TCPConn:
		return n
	case *net.UnixConn:
		return n
	case *tls.Conn:
		if interruptible(n.NetConn()) != nil {
			return n
		}
	case interface {
		interrupter
		ReadsGoOn() // It does nothing.
	}:
		return n
	}
	return nil
}

// errInterrupted is a read that was interrupted. The next one goes on after it.
var errInterrupted = errors.New("websocket: a read was interrupted")

// resume has the reader read if nobody does.
func (c *conn) resume() {
	r := &c.reading
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.role == byNobody {
		r.role = byReader
		go c.read()
	}
}

// yield reports whether the reader, which has put a message into the inbox, is
// to end, because a receive was waiting for that.
func (c *conn) yield() bool {
	if c.reading.network == nil || !c.leave() {
		return false
	}
	c.rest()
	return true
}

// leave lets nobody read, if a receive is about to have the message.
func (c *conn) leave() bool {
	r := &c.reading
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.wanted || !c.inbox.behind(): // Or it has it, and waits for the next one.
		return false
	case r.detour > 0:
		r.detour--
		return false
	}
	r.role = byNobody
	return true
}

// rest has the reader read soon, if nobody does: at once when the connection is
// at its end, or about to be.
func (c *conn) rest() {
	r := &c.reading
	r.mu.Lock()
	nobody := r.role == byNobody
	r.mu.Unlock()
	switch {
	case !nobody:
	case c.atEnd():
		c.resume()
	default:
		r.patience.Start()
	}
}

// await waits for the oldest message. It reports whether that was not in the
// inbox, where it is otherwise. It waits with as little on the stack as can be:
// many do at once.
func (c *conn) await(ctx context.Context, m *message) (direct bool, err error) {
	r := &c.reading
	if r.network == nil {
		return false, c.inbox.peek(ctx, m)
	}
	r.patience.Stop()
	if !c.inbox.behind() && c.beginReading(ctx) {
		err = c.readDirect(ctx, m)
		direct = err != errHandedOver
	}
	if !direct {
		c.want(true)
		err = c.inbox.peek(ctx, m)
		c.want(false)
	}
	c.rest()
	return direct, err
}

func (c *conn) want(wanted bool) {
	c.reading.mu.Lock()
	defer c.reading.mu.Unlock()
	c.reading.wanted = wanted
}

// beginReading makes a receive the one that reads, if nobody does. The end of
// ctx then interrupts it.
func (c *conn) beginReading(ctx context.Context) bool {
	r := &c.reading
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.role != byNobody {
		return false
	}
	done := ctx.Done()
	if r.kept = done == r.done; !r.kept {
		r.forget()
	}
	if r.done = done; done != nil && r.stop == nil {
		standard, ok := lazyctx.Standard(ctx)
		if !ok { // It may be used for something else after the receive.
			standard, r.kept = ctx, false
		}
		r.stop = context.AfterFunc(standard, c.interrupt)
	}
	r.role = byReceive
	return true
}

// forget lets go of the context. The reading is locked.
func (r *reading) forget() {
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

// interrupt interrupts the read of a receive.
func (c *conn) interrupt() {
	r := &c.reading
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.role == byReceive {
		c.gate.interrupted.Store(true)
		_ = r.network.SetReadDeadline(time.Unix(1, 0)) // Of a closed connection reads end as well.
	}
}

// endReading gives the role on. The connection can be read again.
func (c *conn) endReading(to role) {
	r := &c.reading
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.kept {
		r.forget()
	}
	c.clear()
	if r.role = to; to == byReader {
		go c.read()
	}
}

// clear takes an interruption back. The reading is locked.
func (c *conn) clear() {
	if c.gate.interrupted.Load() {
		_ = c.reading.network.SetReadDeadline(time.Time{}) // As above.
		c.gate.interrupted.Store(false)
	}
}

// settle puts the messages that were read, and that nobody is about to take, into
// the inbox.
func (c *conn) settle() {
	r := &c.reading
	r.mu.Lock()
	idle := r.role == byNobody
	if idle {
		r.role = byReceive
	}
	r.mu.Unlock()
	if !idle {
		return
	}
	c.frames.offline = true
	for taken := true; taken; {
		var m message
		if taken, r.err = c.tryTake(&m); taken {
			c.inbox.tryPut(m, true) // It is little: what one read brought.
		}
	}
	if c.frames.offline = false; r.err == errInterrupted {
		r.err = nil
	}
	c.endReading(byReader)
}

// end lets go of everything when nobody will read any more.
func (r *reading) end() {
	if r.network == nil {
		return
	}
	r.patience.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	r.done = nil
}

// errHandedOver says that the reader brings what is next.
var errHandedOver = errors.New("websocket: handed over to the reader")

// readDirect waits for the next message and returns it, if it is not large, the
// error of ctx, or errHandedOver.
func (c *conn) readDirect(ctx context.Context, m *message) error {
	r := &c.reading
	for ctx.Err() == nil && c.ended() == nil {
		var taken bool
		if taken, r.err = c.tryTake(m); taken {
			c.endReading(byNobody)
			return nil
		}
		if r.err != errInterrupted {
			break
		}
		r.mu.Lock()
		c.clear()
		r.mu.Unlock()
		r.err = nil
	}
	c.endReading(byReader)
	if err := ctx.Err(); err != nil {
		return err
	}
	return errHandedOver
}

// tryTake waits for the next message, and returns it unless it is one for the
// reader.
func (c *conn) tryTake(m *message) (taken bool, err error) {
	r := &c.reading
	if r.begun == 0 {
		if r.begun, _, err = c.frames.NextReader(); err != nil {
			return false, err
		}
		r.limit = c.limit.Load()
	}
	return c.takeBegun(m)
}

// takeBegun is tryTake when the message has begun. It is a function of its own
// for the sake of the stack on which tryTake waits.
func (c *conn) takeBegun(m *message) (taken bool, err error) {
	r := &c.reading
	in := incoming{c: c, kind: r.begun, r: c.frames, limit: r.limit}
	if size, known := c.frames.size(); known && in.limit > 0 && size > in.limit {
		return false, nil // It need not arrive to be refused.
	}
	size, there, err := c.frames.gather()
	switch {
	case err != nil:
		return false, err
	case !there, size >= minLent && size <= c.lendable(in.kind), c.ended() != nil:
		r.detour = detour
		return false, nil
	}
	r.begun = 0
	if m.data, err = in.fill(make([]byte, size)); err != nil {
		return false, err
	}
	m.kind = in.kind
	more := c.frames.buffered()
	if more && c.burst.Load() == 0 {
		c.gate.writeLate()
	}
	c.noted(more)
	return true, nil
}
