package websocket_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport/websocket"
)

// over returns both ends of a connection of which the client's network is wrapped.
func over(t *testing.T, wrap func(net.Conn) net.Conn) (client, server *websocket.Transport) {
	t.Helper()
	p := newPlace(t, nil)
	client = websocket.New(&websocket.Options{HTTPClient: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			c, err := p.network.DialContext(ctx, "tcp", addr)
			return wrap(c), err
		},
	}}})
	if err := client.Connect(t.Context(), "ws://server/ws"); err != nil {
		t.Fatal(err)
	}
	accepted, err := p.accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server = accepted.(*websocket.Transport)
	t.Cleanup(func() {
		client.Abort(nil)
		server.Abort(nil)
	})
	return client, server
}

// impatient is a network connection with a deadline of its own.
type impatient struct {
	net.Conn
	reads atomic.Int64
	over  atomic.Bool
}

func (*impatient) ReadsGoOn() {}

func (i *impatient) Read(p []byte) (int, error) {
	if i.reads.Add(1); i.over.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := i.Conn.Read(p)
	if i.over.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	return n, err
}

// Protects: a network connection that ends reads of its own accord. That is an
// end, not an interruption.
func TestDeadlineOfTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network *impatient
		client, server := over(t, func(c net.Conn) net.Conn {
			network = &impatient{Conn: c}
			return network
		})
		usable(t, server, client)
		usable(t, server, client)
		got := receiving(t.Context(), client)
		before := network.reads.Load()
		network.over.Store(true)
		if err := server.Send(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		is(t, "Receive", (<-got).err, os.ErrDeadlineExceeded)
		if n := network.reads.Load() - before; n > 3 {
			t.Errorf("%d reads after it", n)
		}
	})
}

// foreign is a network connection that somebody else has made.
type foreign struct {
	net.Conn
	readErr     error // in place of an expired deadline
	setDeadline func(net.Conn, time.Time) error
}

func (f *foreign) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if f.readErr != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = f.readErr
	}
	return n, err
}

func (f *foreign) SetReadDeadline(at time.Time) error { return f.setDeadline(f.Conn, at) }

// known is one that says of itself how it is.
type known struct{ foreign }

func (*known) ReadsGoOn() {}

// timeout is an expired deadline as multiplexers have it.
type timeout struct{}

func (timeout) Error() string   { return "deadline reached" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

// Protects: the end of a receive's context over network connections that are
// somebody else's: it ends the receive, and not the connection.
func TestReceiveOverForeignNetworks(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"its own timeout": func(c net.Conn) net.Conn {
			return &known{foreign{c, timeout{}, net.Conn.SetReadDeadline}}
		},
		"no deadlines": func(c net.Conn) net.Conn {
			return &foreign{c, nil, func(net.Conn, time.Time) error { return errors.ErrUnsupported }}
		},
		"deadlines that do nothing": func(c net.Conn) net.Conn {
			return &foreign{c, nil, func(net.Conn, time.Time) error { return nil }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := over(t, wrap)
				for range 3 {
					usable(t, server, client)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				select {
				case r := <-receiving(ctx, client):
					is(t, "Receive", r.err, context.DeadlineExceeded)
				case <-time.After(time.Minute):
					t.Fatal("Receive does not return")
				}
				usable(t, server, client)
			})
		})
	}
}

// counted is a network connection that counts how often its deadline is set.
type counted struct {
	net.Conn
	deadlines atomic.Int64
}

func (*counted) ReadsGoOn() {}

func (c *counted) SetReadDeadline(at time.Time) error {
	c.deadlines.Add(1)
	return c.Conn.SetReadDeadline(at)
}

// Protects: receives with a context for each, as with timeouts, from the late end
// of the context before.
func TestReceiveIsNotInterruptedByTheContextBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network *counted
		client, server := over(t, func(c net.Conn) net.Conn {
			network = &counted{Conn: c}
			return network
		})
		before, direct := network.deadlines.Load(), 0
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			got := receiving(ctx, client)
			if client.ReadsItself() {
				direct++
			}
			if err := server.Send(t.Context(), []byte("x")); err != nil {
				t.Fatal(err)
			}
			if r := <-got; r.err != nil {
				t.Fatal(r.err)
			}
			cancel()
		}
		if n := network.deadlines.Load() - before; direct < 50 || n > 0 {
			t.Errorf("%d of 100 receives read from the network, with %d deadlines", direct, n)
		}
	})
}
