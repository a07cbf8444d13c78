package websocket

import (
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
