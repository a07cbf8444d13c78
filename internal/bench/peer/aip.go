package peer

import (
	"context"
	"errors"
	"net/http"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// aipPeer is the transport, with its default options.
func aipPeer() Peer { return aipEnginePeer("aip", websocket.EngineNhooyr) }

// aipCoderPeer is the transport on its other engine.
func aipCoderPeer() Peer { return aipEnginePeer("aip on coder", websocket.EngineCoder) }

func aipEnginePeer(name string, engine websocket.Engine) Peer {
	return Peer{
		Name:  name,
		Ours:  true,
		Bytes: true,
		Listen: func(serve func(Conn)) (Listener, error) {
			options := &websocket.AcceptOptions{Options: &websocket.Options{Engine: engine}}
			return listenHTTP(serve, func(w http.ResponseWriter, r *http.Request) (Conn, error) {
				t, err := websocket.Accept(w, r, options)
				if err != nil {
					return nil, err
				}
				return &transportConn{t, t.Abort}, nil
			})
		},
		Dial: func(ctx context.Context, addr string, dial DialFunc) (Conn, error) {
			t := websocket.New(&websocket.Options{Engine: engine, HTTPClient: httpClient(dial)})
			if err := t.Connect(ctx, "ws://"+addr); err != nil {
				return nil, err
			}
			return &transportConn{t, t.Abort}, nil
		},
	}
}

// memoryHub has the in-memory connections of the process.
var memoryHub = transport.NewMemoryHub()

// memoryPeer is the in-memory pair.
func memoryPeer() Peer {
	return Peer{
		Name:      "aip memory pair",
		Ours:      true,
		InProcess: true,
		Listen: func(serve func(Conn)) (Listener, error) {
			return listenMemory(memoryHub, serve)
		},
		Dial: func(ctx context.Context, addr string, _ DialFunc) (Conn, error) {
			t := memoryHub.NewTransport(nil)
			if err := t.Connect(ctx, addr); err != nil {
				return nil, err
			}
			return &transportConn{t, t.Abort}, nil
		},
	}
}

// errClosed is why a connection is aborted: the measurement is over.
var errClosed = errors.New("bench: closed")

// transportConn is any transport.
type transportConn struct {
	transport.Transport
	abort func(cause error)
}

func (c *transportConn) Send(message []byte) error {
	return c.Transport.Send(context.Background(), message)
}

func (c *transportConn) Flush() error { return nil }

// Receive borrows messages if the transport lends them. Gws and the raw peers,
// too, read into memory that they use again.
func (c *transportConn) Receive(each func([]byte) error) error {
	ctx := context.Background()
	if lender, err := transport.As[transport.Lender](c.Transport); err == nil {
		use := func(f transport.Frame) error { return each(f.Data) }
		for err == nil {
			err = lender.Borrow(ctx, use)
		}
		return err
	}
	for {
		message, err := c.Transport.Receive(ctx)
		if err != nil {
			return err
		}
		if err := each(message); err != nil {
			return err
		}
	}
}

// Close drops the connection, as it does with the other peers, and waits for
// what it owned.
func (c *transportConn) Close() error {
	c.abort(errClosed)
	return c.Transport.Close()
}
