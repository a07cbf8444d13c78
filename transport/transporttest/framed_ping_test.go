package transporttest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aip-go/aip/transport"
)

// keepAlive pings, and gives up a peer from which nothing comes.
func (c *framedConn) keepAlive() {
	s := c.owner.settings
	if s.PingInterval < 0 {
		return
	}
	switch c.owner.flaw {
	case flawSlowDetection:
		s.PingTimeout += time.Second
	case flawImpatientPing:
		s.PingTimeout /= 4
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	over := func() bool { return c.stopped || c.cause != nil }
	for {
		if c.wait(s.PingInterval, func() bool { return over() && !c.flaw(flawCloseLeaks) }); over() {
			return
		}
		if c.flaw(flawNoKeepAlive) {
			continue
		}
		c.pingWanted++
		c.signal()
		reads, id := c.reads, c.pingWanted
		alive := func() bool {
			return over() || c.reads > reads || c.ponged >= id || c.inFull
		}
		if c.wait(s.PingTimeout, alive); !alive() {
			c.broken = true
			cause := transport.ErrPingTimeout
			if c.flaw(flawPingTimeoutUntyped) {
				cause = errors.New("the peer is gone")
			}
			c.end(&transport.CloseError{Code: transport.StatusAbnormal, Err: cause}, true)
			return
		}
	}
}

// wait is await with a time limit.
func (c *framedConn) wait(d time.Duration, ready func() bool) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	_ = c.await(ctx, ready)
}

func (c *framedConn) ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pingWanted++
	c.signal()
	id := c.pingWanted
	err := c.await(ctx, func() bool { return c.ponged >= id || c.cause != nil && !c.flaw(flawPingHangs) })
	if err != nil && c.flaw(flawPingKills) {
		c.broken = true
		c.end(&transport.CloseError{Code: transport.StatusAbnormal, Err: fmt.Errorf("ping: %w", err)}, true)
	}
	if c.cause != nil {
		return c.cause
	}
	return err
}
