package websocket

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/aip-go/aip/transport"
)

// keepalive pings the peer and gives the connection up when nothing arrives any
// more. While all is well it is a timer and no goroutine.
type keepalive struct {
	conn *conn

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
	pingAt  time.Time // of the next ping
	asked   bool      // a ping was sent, and nothing arrived since then
	askedAt time.Time
}

func (k *keepalive) start(c *conn) {
	if c.PingInterval == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conn = c
	wait := k.interval()
	k.pingAt = time.Now().Add(wait)
	k.timer = time.AfterFunc(wait, k.tick)
}

// interval returns the time to the next ping: the interval, or a little less.
func (k *keepalive) interval() time.Duration {
	interval := k.conn.PingInterval
	return interval - time.Duration(rand.Float64()*k.conn.PingJitter*float64(interval))
}

func (k *keepalive) tick() {
	if k.expired() {
		k.conn.lose(transport.ErrPingTimeout)
	}
}

// expired reports whether it is time to give up. If not, it sends a ping when
// that is due, and sets the timer. It does not wait for anything.
func (k *keepalive) expired() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return false
	}
	c, now := k.conn, time.Now()
	// When the reader waits for the program, what arrives is not seen.
	if c.seen.Swap(false) || c.held.Load() {
		k.asked = false
	}
	if k.asked && c.PingTimeout > 0 && now.Sub(k.askedAt) >= c.PingTimeout {
		k.stopped = true
		return true
	}
	if !now.Before(k.pingAt) {
		k.pingAt = now.Add(k.interval())
		if !k.asked {
			k.asked, k.askedAt = true, now
		}
		c.pings.send(c, true)
	}
	next := k.pingAt
	if timeout := k.askedAt.Add(c.PingTimeout); k.asked && c.PingTimeout > 0 && timeout.Before(next) {
		next = timeout
	}
	k.timer.Reset(next.Sub(now))
	return false
}

func (k *keepalive) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	if k.timer != nil {
		k.timer.Stop()
	}
}

// maxPings is how many pings are sent without an answer to the latest one.
const maxPings = 8

// pings are those that were not answered yet.
type pings struct {
	mu     sync.Mutex
	latest *flight // nil when it was answered
	n      int     // those that were not
}

// flight is a ping that is underway.
type flight struct {
	done chan struct{}
	err  error
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
	f := &flight{done: make(chan struct{})}
	if !c.spawn(func() { p.run(c, f) }) {
		return nil
	}
	p.latest = f
	p.n++
	return f
}

func (p *pings) run(c *conn, f *flight) {
	timeout := maxPing
	if c.PingTimeout > 0 {
		timeout = c.PingTimeout
	}
	// The caller's context must not reach the engine, which would drop the
	// connection if it ended at the wrong moment.
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	began := time.Now()
	f.err = c.link.Ping(ctx)
	took := time.Since(began)
	if f.err == nil {
		c.seen.Store(true) // Where there is no gate this is all that tells.
	}
	p.mu.Lock()
	p.n--
	if p.latest == f {
		p.latest = nil
	}
	p.mu.Unlock()
	close(f.done)
	if f.err == nil && c.Hooks.Ping != nil {
		c.Hooks.Ping(took)
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
