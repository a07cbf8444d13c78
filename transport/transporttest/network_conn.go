package transporttest

import (
	"io"
	"net"
	"os"
	"time"
)

// conn is one end of a [Link]. Except for the addresses it is guarded by the
// link's lock.
type conn struct {
	link          *Link
	out, in       *flow
	local, remote address

	owned         bool // somebody dialled or accepted it
	closed        bool
	readDeadline  time.Time
	writeDeadline time.Time
}

// Read reads what has arrived, and waits if nothing has.
func (c *conn) Read(p []byte) (int, error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for {
		if err := c.usable(c.readDeadline); err != nil {
			return 0, c.error("read", err)
		}
		if len(p) == 0 {
			return 0, nil
		}
		var due time.Time
		if !c.in.stalled || c.link.cut {
			if n := c.in.get(p); n > 0 {
				c.link.signal()
				return n, nil
			}
			if len(c.in.segments) > 0 {
				due = c.in.segments[0].at
			} else {
				var err error
				if due, err = c.link.ended(c.in); err != nil {
					return 0, c.error("read", err)
				}
			}
		}
		c.wait(c.readDeadline, due)
	}
}

// Write writes all of p. It waits for room in the buffer and for a Write that
// is running.
func (c *conn) Write(p []byte) (int, error) {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	for c.out.writing {
		if err := c.usable(c.writeDeadline); err != nil {
			return 0, c.error("write", err)
		}
		c.wait(c.writeDeadline, time.Time{})
	}
	c.out.writing = true
	defer func() {
		c.out.writing = false
		c.link.signal()
	}()
	n := 0
	for {
		if err := c.usable(c.writeDeadline); err != nil {
			return n, c.error("write", err)
		}
		if err := c.link.broken(c.in); err != nil {
			return n, c.error("write", err)
		}
		if n == len(p) {
			return n, nil
		}
		if k := c.link.put(c.out, p[n:]); k > 0 {
			n += k
			c.link.signal()
			if n == len(p) {
				return n, nil
			}
			continue
		}
		c.wait(c.writeDeadline, time.Time{})
	}
}

// Close closes this end. What was written before is still delivered.
func (c *conn) Close() error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.error("close", net.ErrClosed)
	}
	c.closed = true
	c.out.fin, c.out.finAt = true, c.out.arrival(0)
	c.in.drop()
	c.link.signal()
	return nil
}

// taken notes that the end is somebody's to close.
func (c *conn) taken() { c.link.change(func() { c.owned = true }) }

// usable returns why the end cannot be used: it is closed or out of time.
func (c *conn) usable(deadline time.Time) error {
	switch {
	case c.closed:
		return net.ErrClosed
	case !deadline.IsZero() && !time.Now().Before(deadline):
		return os.ErrDeadlineExceeded
	default:
		return nil
	}
}

// wait waits for a change of the link or for the earlier of two moments that
// are set.
func (c *conn) wait(a, b time.Time) {
	changed := c.link.watch()
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		a = b
	}
	c.link.mu.Unlock()
	defer c.link.mu.Lock()
	if a.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(a))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

func (c *conn) error(op string, err error) error {
	if err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: networkName, Source: c.local, Addr: c.remote, Err: err}
}

// LocalAddr returns the address of this end.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the other end.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	return c.setDeadline(func() { c.readDeadline, c.writeDeadline = t, t })
}

// SetReadDeadline sets when reads fail, the one that is running included.
func (c *conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(func() { c.readDeadline = t })
}

// SetWriteDeadline sets when writes fail, the one that is running included.
func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(func() { c.writeDeadline = t })
}

// ReadsGoOn says that a read which a deadline has ended can be repeated.
func (c *conn) ReadsGoOn() {}

func (c *conn) setDeadline(set func()) error {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	if c.closed {
		return c.error("set", net.ErrClosed)
	}
	set()
	c.link.signal()
	return nil
}
