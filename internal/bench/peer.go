package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"
)

// maxMessage is the read limit given to every peer.
const maxMessage = 16 << 20

// Peer is one way to send and receive WebSocket messages.
type Peer struct {
	Name string
	// Dial opens a connection to a WebSocket URL.
	Dial func(ctx context.Context, url string) (Conn, error)
	// Echo accepts a connection and sends back what it receives, until the
	// other side closes.
	Echo http.HandlerFunc
}

// Conn is the dialling side of a peer.
type Conn interface {
	Send(ctx context.Context, message []byte) error
	Receive(ctx context.Context) ([]byte, error)
	Close() error
}

// Peers returns all that is measured. The first is what the others are
// compared with.
func Peers() []Peer {
	return slices.Concat([]Peer{nhooyrPeer()}, aipPeers(), []Peer{coderPeer(), gorillaPeer()})
}

// Link is a connection to an echo server in this process, over loopback TCP,
// both of the same peer.
type Link struct {
	conn   Conn
	server *http.Server
	served chan error
	echoed chan struct{}
}

// Open starts the peer's echo server and connects to it.
func Open(ctx context.Context, peer Peer) (*Link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	link := &Link{served: make(chan error, 1), echoed: make(chan struct{})}
	link.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(link.echoed)
		peer.Echo(w, r)
	})}
	go func() { link.served <- link.server.Serve(listener) }()
	link.conn, err = peer.Dial(ctx, "ws://"+listener.Addr().String())
	if err != nil {
		return nil, errors.Join(err, link.stop())
	}
	return link, nil
}

// Echo sends the message and waits for it to come back.
func (l *Link) Echo(ctx context.Context, message []byte) error {
	if err := l.conn.Send(ctx, message); err != nil {
		return err
	}
	answer, err := l.conn.Receive(ctx)
	if err != nil {
		return err
	}
	if len(answer) != len(message) {
		return fmt.Errorf("sent %d bytes, %d came back", len(message), len(answer))
	}
	return nil
}

// Close closes the connection, waits for the echoing side and stops the
// server.
func (l *Link) Close() error {
	err := l.conn.Close()
	select {
	case <-l.echoed:
	case <-time.After(10 * time.Second):
		err = errors.Join(err, errors.New("the echoing side did not end"))
	}
	return errors.Join(err, l.stop())
}

func (l *Link) stop() error {
	err := l.server.Close()
	if served := <-l.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
