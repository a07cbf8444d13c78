// Package peer gives every way to send messages that is measured one form: a
// listener that serves connections, and a dialer. What is measured is then
// written once, for all of them.
package peer

import (
	"context"
	"errors"
	"net"
)

// MaxMessage is the read limit given to every peer, in bytes.
const MaxMessage = 16 << 20

// Peer is one way to send and receive messages.
type Peer struct {
	// Name is the peer's name in the results.
	Name string
	// Ours marks what this module's transport is part of.
	Ours bool
	// InProcess marks a peer whose two sides are in one process.
	InProcess bool
	// Bytes marks a peer whose Dial uses the DialFunc that it is given.
	Bytes bool
	// Listen starts a server on the loopback. It calls serve on a goroutine of
	// its own for each connection; the connection ends when serve returns.
	Listen func(serve func(Conn)) (Listener, error)
	// Dial connects to what Listener.Addr returned.
	Dial func(ctx context.Context, addr string, dial DialFunc) (Conn, error)
}

// DialFunc opens the connection that a peer's frames go over.
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// TCP is the DialFunc of the system.
func TCP(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// Listener is a running server.
type Listener interface {
	// Addr is what the peer's Dial needs.
	Addr() string
	// Close ends all connections, waits until they are served, and stops.
	Close() error
}

// Conn is one end of a connection. Close may be called at any time.
type Conn interface {
	// Send sends one message of at least a byte, and may be called from any
	// number of goroutines. The message is not kept, and not changed. What
	// buffers may hold it back until Flush or until its side waits for messages.
	Send(message []byte) error
	// Flush sends what Send holds back.
	Flush() error
	// Receive calls each for every message, until each returns an error, which
	// it returns then, or the connection ends. The message is valid until each
	// returns. Receive is called once.
	Receive(each func(message []byte) error) error
	// Close ends the connection.
	Close() error
}

// ErrDone ends a Receive.
var ErrDone = errors.New("done")

// All returns all peers. The first is the one that the others are compared
// with.
func All() []Peer {
	return []Peer{
		nhooyrPeer(),
		aipPeer(),
		aipCoderPeer(),
		linkPeer(),
		memoryPeer(),
		coderPeer(),
		gorillaPeer(),
		gwsPeer(),
		gobwasPeer(),
		rawPeer(),
		bufferedPeer(),
		grpcPeer(),
		quicPeer(),
		natsPeer(),
	}
}

// Named returns the peer of that name.
func Named(name string) (Peer, bool) {
	for _, p := range All() {
		if p.Name == name {
			return p, true
		}
	}
	return Peer{}, false
}
