package websocket

import (
	"time"

	"github.com/aip-go/aip/transport"
)

// Hooks are called when things happen to a transport, for metrics and traces.
// Each may be nil. They are called from whatever goroutine is at hand, also
// several at a time, and must return soon: the connection waits for them. They
// must not call the transport's Close, CloseWith or WaitClosed.
type Hooks struct {
	// Dial is called after every Connect that the state allowed, with the URL
	// without credentials.
	Dial func(url string, took time.Duration, err error)
	// Ping is called with the round trip time of every ping that was answered.
	Ping func(roundTrip time.Duration)
	// ReceiveQueueFull is called when the peer has to wait because the program
	// does not take what was received.
	ReceiveQueueFull func(transport.Backlog)
	// Drop is called when a message is given up by [SendDropOldest], with its
	// size in bytes.
	Drop func(size int64)
	// Closed is called once when a connection has ended and everything it owned
	// has stopped, with the first cause.
	Closed func(cause *transport.CloseError)
}
