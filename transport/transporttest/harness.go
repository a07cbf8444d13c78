package transporttest

import (
	"context"
	"testing"
	"time"

	"github.com/aip-go/aip/transport"
)

// Carrier is what the transports under test run over. It decides which
// subtests there are.
type Carrier int

// The carriers.
const (
	// OwnMemory: something in this process that works in a bubble of package
	// testing/synctest. There are no faults to be tested.
	OwnMemory Carrier = iota
	// FaultyNetwork: connections of [Env.Network], also with TLS or the like on
	// top. Everything is tested.
	FaultyNetwork
	// Sockets: sockets of the operating system. Nothing that depends on exact
	// timing or on faults is tested, and there is no bubble.
	Sockets
)

// Features are abilities that a transport need not have. A subtest whose
// features are not declared does not exist.
type Features uint

// The features. All but the last one are optional interfaces of package
// transport, as [transport.As] finds them, on both sides.
const (
	Frames       Features = 1 << iota // [transport.FrameTransport]
	Streams                           // [transport.StreamTransport]
	Pings                             // [transport.Pinger]
	Aborts                            // [transport.Aborter]
	Codes                             // [transport.CodeCloser]
	StateWaits                        // [transport.StateWaiter]
	Resets                            // [transport.Resetter]
	ReadLimits                        // [transport.ReadLimiter]
	Backlogs                          // [transport.Backlogger]
	CloseNotices                      // [transport.CloseNotifier]
	// KeepAlive: the transport finds out by itself, by pinging, that the peer
	// is gone.
	KeepAlive

	// AllFeatures are all of them.
	AllFeatures = Frames | Streams | Pings | Aborts | Codes | StateWaits | Resets | ReadLimits | Backlogs | CloseNotices | KeepAlive
)

// Settings are options for one side's transports. The kit's assertions count
// on them exactly. An implementation passes on those that it has an option for.
// The kit stalls connections for a minute and more; a transport that gives up a
// peer which takes nothing in must be told to wait longer, say ten minutes.
type Settings struct {
	// MaxMessageSize is the largest message, in bytes, sent and received.
	MaxMessageSize int64
	// QueueBytes is how much may wait in each of the transport's queues.
	QueueBytes int64
	// PingInterval is the time between two pings; negative for no pings.
	PingInterval time.Duration
	// PingTimeout is how long the peer may take to answer one.
	PingTimeout time.Duration
	// CloseTimeout bounds Close.
	CloseTimeout time.Duration
}

// Env is what a subtest gives to [Harness.Start].
type Env struct {
	// Network is this subtest's network. It is nil unless the carrier is
	// FaultyNetwork.
	Network *Network
	// Client and Server are the settings of the two sides.
	Client, Server Settings
}

// Endpoint is a running server and the way to it.
type Endpoint struct {
	// URL is where the server is.
	URL string
	// RefusedURL is where nobody listens.
	RefusedURL string
	// SilentURL is where a Connect hangs: its connection is never accepted, or
	// accepted and never answered.
	SilentURL string
	// NewClient returns a new transport, not connected, with Env's settings for
	// clients.
	NewClient func() transport.Transport
	// Accept returns the server's side of the next connection, connected, with
	// Env's settings for servers. It is called from one goroutine at a time and
	// gets an error when ctx ends first.
	Accept func(ctx context.Context) (transport.Transport, error)
}

// Harness is an implementation under test.
type Harness struct {
	// Carrier is what the transports run over.
	Carrier Carrier
	// Features are the optional abilities that the transports have.
	Features Features
	// Start starts a server. It may end the test with t.Fatal. What it starts
	// it stops in t.Cleanup, and waits for it; the transports of the subtest
	// are closed before that.
	Start func(t testing.TB, env Env) Endpoint
}

// defaults are the settings of subtests that do not say otherwise.
func defaults() Env {
	side := Settings{
		MaxMessageSize: 1 << 20,
		QueueBytes:     64 << 10,
		PingInterval:   20 * time.Second,
		PingTimeout:    10 * time.Second,
		CloseTimeout:   5 * time.Second,
	}
	return Env{Client: side, Server: side}
}
