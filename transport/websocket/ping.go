package websocket

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/aip-go/aip/transport"
)

// maxPings is how many pings are sent without an answer to the latest one.
const maxPings = 8

// pings are those that were not answered yet.
type pings struct {
	mu      sync.Mutex
	latest  *flight // nil when it was answered
	n       int     // those that were not
	number  uint64  // of the latest frame of this package's making
	flights []*flight
	stopped bool
}

// flight is a ping that is underway.
type flight struct {
	began time.Time
	done  chan struct{}
	err   error
	// Of a frame of this package's making:
	number uint64      // what it carries, in decimal digits
	timer  *time.Timer // gives it up
}

// maxPing bounds a ping where PingTimeout does not.
const maxPing = 3 * time.Minute

// send sends a ping and returns it, or the latest one when that is not answered
// yet and no other one is asked for. It is nil when the connection is at its
// end.
func (p *pings) send(c *conn, another bool) *flight {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.latest != nil && (!another || p.n >= maxPings) {
		return p.latest
	}
	f := &flight{began: time.Now(), done: make(chan struct{})}
	switch {
	case p.stopped:
		return nil
	case c.framed():
		p.write(c, f)
	case !c.spawn(func() { p.run(c, f) }):
		return nil
	}
	p.latest = f
	p.n++
	return f
}

// timeout bounds a ping.
func (p *pings) timeout(c *conn) time.Duration {
	if c.PingTimeout > 0 {
		return c.PingTimeout
	}
	return maxPing
}

// write writes the frame of a ping. The pings are locked.
func (p *pings) write(c *conn, f *flight) {
	p.number++
	f.number = p.number
	f.timer = time.AfterFunc(p.timeout(c), func() { p.end(c, f, context.DeadlineExceeded) })
	p.flights = append(p.flights, f)
	c.gate.writeControl(opPing, strconv.AppendUint(nil, f.number, 10))
}

// answered takes note of a pong. It answers the pings before its own as well: a
// peer may leave these out (RFC 6455 section 5.5.3). A pong that nobody has
// asked for is nothing but a sign of life.
func (p *pings) answered(c *conn, payload []byte) {
	number, err := strconv.ParseUint(string(payload), 10, 64)
	if err != nil {
		return
	}
	p.mu.Lock()
	var flights []*flight
	if number <= p.number {
		for _, f := range p.flights {
			if f.number <= number {
				flights = append(flights, f)
			}
		}
	}
	p.mu.Unlock()
	for _, f := range flights {
		p.end(c, f, nil)
	}
}

// run has the engine send a ping, and waits for the pong.
func (p *pings) run(c *conn, f *flight) {
	// The caller's context must not reach the engine, which would drop the
	// connection if it ended at the wrong moment.
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout(c))
	defer cancel()
	err := c.link.Ping(ctx)
	if err == nil {
		c.seen.Store(true) // Where there is no gate this is all that tells.
	}
	p.end(c, f, err)
}

// end ends a ping, once.
func (p *pings) end(c *conn, f *flight, err error) {
	took := time.Since(f.began)
	p.mu.Lock()
	select {
	case <-f.done:
		p.mu.Unlock()
		return
	default:
	}
	p.n--
	if p.latest == f {
		p.latest = nil
	}
	for i, other := range p.flights {
		if other == f {
			p.flights = append(p.flights[:i], p.flights[i+1:]...)
			break
		}
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	f.err = err
	close(f.done)
	p.mu.Unlock()
	if err == nil && c.Hooks.Ping != nil {
		c.Hooks.Ping(took)
	}
}

// stop ends the timers, and lets nobody send any more. Who waits is told of the
// end by the connection.
func (p *pings) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for _, f := range p.flights {
		f.timer.Stop()
	}
}

// ping sends a ping and waits for its answer.
func (c *conn) ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if cause := c.ended(); cause != nil {
		return cause
	}
	f := c.pings.send(c, false)
	if f == nil {
		return c.ended() // Or else it would have been sent.
	}
	c.resume() // Its answer is to be seen at once.
	select {
	case <-f.done:
	case <-c.ending:
		return c.ended()
	case <-ctx.Done():
		return ctx.Err()
	}
	switch {
	case f.err == nil:
		return nil
	case errors.Is(f.err, context.DeadlineExceeded):
		return transport.ErrPingTimeout
	}
	c.unwritable(f.err)
	<-c.ending // See unwritable.
	return c.ended()
}
