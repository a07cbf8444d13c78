package websocket

import (
	"time"

	"github.com/aip-go/aip/transport"
)

// close closes the connection, unless it has ended or is about to, and waits
// until everything has stopped.
func (c *conn) close(code transport.StatusCode, reason string) {
	reason = transport.TruncateReason(reason)
	cause := &transport.CloseError{Code: code, Reason: reason}
	c.settle()
	if c.end(cause, transport.Disconnecting) {
		c.inbox.end(cause)
		bound := time.AfterFunc(c.CloseTimeout, c.kill)
		defer bound.Stop()
		c.sayClose(code, reason)
	} else if _, failed := c.outcome(); failed {
		c.kill() // It may linger for the peer's sake.
	}
	<-c.over
}

// sayClose sends the close frame: after the message that is being sent, but if
// that takes long between two of its fragments.
func (c *conn) sayClose(code transport.StatusCode, reason string) {
	patience := time.NewTimer(c.CloseTimeout / 2)
	defer patience.Stop()
	select {
	case <-c.outbox.idle:
	case <-patience.C:
	case <-c.over:
	}
	if c.gate != nil {
		c.gate.writeClose(code, reason)
		return
	}
	c.spawn(func() { _ = c.link.WriteClose(code, reason) }) // At best the peer learns why.
}
