package websocket

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/internal/watchdog"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/adapters"
)

// writeGrace is how long a connection that cannot be written to any more is
// still read: the peer may have sent a close frame that says why.
const writeGrace = time.Second

// conn is one connection, from its handshake to its end. A transport that
// connects again has another one.
type conn struct {
	*settings
	machine *transport.Machine
	limit   *atomic.Int64 // the largest message received; 0 for none
	url     string        // without credentials; empty unless this side dialled
	remote  net.Addr      // nil when it is not known
	link    adapters.Conn
	gate    *gate              // the stream beneath link; nil when that is out of reach
	watch   *watchdog.Watchdog // over the writes
	frames  *frameReader       // nil where the engine reads the messages

	fragments fragments // of whoever has the turn to write
	usual     int64     // bytes of the latest large message, 0 if it was very large; the reader's

	inbox   inbox
	outbox  outbox
	alive   keepalive
	pings   pings
	seen    atomic.Bool              // something arrived
	held    atomic.Bool              // the reader waits for the program, not for the peer
	takes   atomic.Int32             // how the program takes large messages
	spare   atomic.Pointer[inStream] // one to be used again
	burst   atomic.Int64             // messages that were sent since the latest one arrived
	more    atomic.Bool              // more has arrived than that message
	reading reading
	dying   sync.Once              // kill
	ending  chan struct{}          // closed with the first cause of the end
	over    chan struct{}          // closed when everything has stopped
	notices transport.CloseNotices // of over
	wg      sync.WaitGroup

	mu        sync.Mutex
	cause     *transport.CloseError // the first one; nil until then
	failed    bool                  // it was a failure, not a close
	finishing bool                  // spawn is over
	doomed    *time.Timer           // writeGrace
}

// newConn returns a connection that start starts. The gate is nil when the
// stream beneath link is out of reach.
func newConn(t *Transport, link adapters.Conn, gate *gate) *conn {
	c := &conn{
		settings: t.settings,
		machine:  &t.machine,
		limit:    &t.limit,
		link:     link,
		gate:     gate,
		ending:   make(chan struct{}),
		over:     make(chan struct{}),
	}
	c.watch = watchdog.New(c.WriteTimeout, func() { c.lose(transport.ErrWriteTimeout) })
	c.inbox.init(c)
	c.outbox.init(c)
	if gate != nil {
		gate.seen, gate.more, gate.watch, gate.spawn, gate.failed = &c.seen, &c.more, c.watch, c.spawn, c.unwritable
		if gate.framed = !c.Compression; gate.framed {
			c.frames = &frameReader{gate: gate, client: gate.client, onControl: c.control}
		}
	}
	return c
}

// readBy lets receives read from the network, which the gate is over, if that can
// be interrupted.
func (c *conn) readBy(network any) {
	if i := interruptible(network); i != nil && c.frames != nil {
		c.reading.network, c.reading.patience = i, watchdog.New(readerPatience, c.resume)
	}
}

// start begins to read. The state must be connected.
func (c *conn) start() {
	c.alive.start(c)
	go c.read()
}

// spawn runs f in a goroutine that the connection's end waits for, unless that
// is near.
func (c *conn) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.finishing {
		return false
	}
	c.wg.Go(f)
	return true
}

// end records the first cause of the end and makes the transition to next. It
// reports whether this is the first one.
func (c *conn) end(cause *transport.CloseError, next transport.State) bool {
	c.mu.Lock()
	first := c.cause == nil
	if first {
		c.cause, c.failed = cause, next == transport.Failed
		_ = c.machine.To(next) // Up to now it was connected.
		close(c.ending)
	}
	c.mu.Unlock()
	if first {
		c.outbox.close(cause)
		c.interrupt()
		c.resume()
	}
	return first
}

// ended returns the first cause of the end, nil while there is none.
func (c *conn) ended() *transport.CloseError {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// atEnd reports whether the connection has ended, or cannot be written to.
func (c *conn) atEnd() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause != nil || c.doomed != nil
}

// outcome returns the cause and whether it was a failure rather than a close.
func (c *conn) outcome() (cause *transport.CloseError, failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause, c.failed
}

// lose ends the connection without a closing handshake.
func (c *conn) lose(cause error) {
	c.end(&transport.CloseError{Code: transport.StatusAbnormal, Err: cause}, transport.Failed)
	c.kill()
}

// lost returns an error of the network such that it cannot be taken for a clean
// end: the plain end of the byte stream is what a lost connection looks like.
func lost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// unwritable ends the connection after a write failed, unless the peer turns
// out to have closed it.
func (c *conn) unwritable(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil && c.doomed == nil {
		c.doomed = time.AfterFunc(writeGrace, func() { c.lose(lost(err)) })
		defer c.resume()
	}
}

// kill drops the network connection and thereby ends everything that waits for
// it.
func (c *conn) kill() {
	c.dying.Do(func() {
		if c.gate != nil {
			c.gate.kill()
			return
		}
		c.spawn(func() { _ = c.link.CloseNow() }) // finish calls it again and waits.
	})
}

// abandon drops a connection that was never started.
func (c *conn) abandon() {
	c.gate.kill()
	_ = c.link.CloseNow() // It is dead already.
}

// finish stops everything the connection owns. It is the last thing the reader
// does.
func (c *conn) finish() {
	c.kill()
	c.mu.Lock()
	c.finishing = true
	cause, failed, doomed := c.cause, c.failed, c.doomed
	c.mu.Unlock()
	if doomed != nil {
		doomed.Stop()
	}
	_ = c.link.CloseNow() // The connection is closed already.
	if c.frames != nil {
		c.frames.shrink()
	}
	c.alive.stop()
	c.pings.stop()
	c.reading.end()
	c.watch.Close()
	c.wg.Wait()
	if !failed {
		_ = c.machine.To(transport.Disconnected) // Nobody else leaves that state.
	}
	c.inbox.end(cause)
	c.report(cause)
	close(c.over)
	c.notices.Notify()
}

// report tells of the end.
func (c *conn) report(cause *transport.CloseError) {
	if asked(cause) {
		c.log().Debug("websocket closed", zap.Error(cause))
	} else {
		c.log().Warn("websocket lost", zap.Error(cause))
	}
	if c.Hooks.Closed != nil {
		c.Hooks.Closed(cause)
	}
}

// log returns the logger with what identifies the connection.
func (c *conn) log() *zap.Logger {
	log := c.Logger
	if c.url != "" {
		log = log.With(zap.String("url", c.url))
	}
	if c.remote != nil {
		log = log.With(zap.Stringer("peer", c.remote))
	}
	return log
}

// wait waits until everything has stopped and returns the cause unless it is a
// clean close.
func (c *conn) wait(ctx context.Context) error {
	select {
	case <-c.over:
	default:
		select {
		case <-c.over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if cause := c.ended(); !asked(cause) {
		return cause
	}
	return nil
}

// asked reports whether a connection ended because somebody asked for it: this
// side, or the peer with a code that tells of no fault.
func asked(cause *transport.CloseError) bool {
	return cause.Clean() || cause.Code != transport.StatusAbnormal && errors.Is(cause, transport.ErrClosed)
}

// backlog returns what waits.
func (c *conn) backlog() transport.Backlog {
	var b transport.Backlog
	b.SendMessages, b.SendBytes = c.outbox.waiting()
	if c.gate != nil {
		soon := c.gate.waiting()
		b.SendMessages, b.SendBytes = b.SendMessages+soon.messages, b.SendBytes+soon.bytes
	}
	b.ReceiveMessages, b.ReceiveBytes = c.inbox.waiting()
	return b
}
