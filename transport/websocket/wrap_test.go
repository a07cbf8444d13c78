package websocket_test

//lint:file-ignore SA1019 nhooyr.io/websocket is deprecated; what it opened can be wrapped all the same.

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	nhooyr "nhooyr.io/websocket"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
	"github.com/aip-go/aip/transport/websocket"
)

// library opens connections as its documentation shows.
type library struct {
	dial   func(*place, *testing.T) (any, error)
	accept func(http.ResponseWriter, *http.Request) (any, error)
}

var libraries = map[string]library{
	"nhooyr": {
		dial: func(p *place, t *testing.T) (any, error) {
			conn, _, err := nhooyr.Dial(t.Context(), "ws://server/", &nhooyr.DialOptions{HTTPClient: p.http})
			return conn, err
		},
		accept: func(w http.ResponseWriter, r *http.Request) (any, error) { return nhooyr.Accept(w, r, nil) },
	},
	"coder": {
		dial: func(p *place, t *testing.T) (any, error) {
			conn, _, err := coder.Dial(t.Context(), "ws://server/", &coder.DialOptions{HTTPClient: p.http})
			return conn, err
		},
		accept: func(w http.ResponseWriter, r *http.Request) (any, error) { return coder.Accept(w, r, nil) },
	},
	"gorilla": {
		dial: func(p *place, t *testing.T) (any, error) {
			d := gorilla.Dialer{NetDialContext: p.network.DialContext}
			conn, _, err := d.DialContext(t.Context(), "ws://server/", nil)
			return conn, err
		},
		accept: func(w http.ResponseWriter, r *http.Request) (any, error) {
			return new(gorilla.Upgrader).Upgrade(w, r, nil)
		},
	},
}

// eachLibrary runs a test with each library, wrapped on both sides.
func eachLibrary(t *testing.T, opts websocket.Options, test func(t *testing.T, p *place, client, server *websocket.Transport)) {
	t.Helper()
	for name, lib := range libraries {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wrap := func(conn any, err error) (*websocket.Transport, error) {
					if err != nil {
						return nil, err
					}
					return websocket.Wrap(conn, &opts)
				}
				p := &place{t: t, network: transporttest.NewNetwork()}
				p.http = &http.Client{Transport: &http.Transport{DialContext: p.network.DialContext, DisableKeepAlives: true}}
				p.accept = serve(t, p.network.Listen("server:80"), func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
					return wrap(lib.accept(w, r))
				})
				client, err := wrap(lib.dial(p, t))
				if err != nil {
					t.Fatal(err)
				}
				server, err := p.accept(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				test(t, p, client, server.(*websocket.Transport))
				closeAll(t, client, server)
			})
		})
	}
}

func TestWrap(t *testing.T) {
	eachLibrary(t, websocket.Options{}, func(t *testing.T, _ *place, client, server *websocket.Transport) {
		usable(t, client, server)
		for _, way := range [][2]*websocket.Transport{{client, server}, {server, client}} {
			large := strings.Repeat("€", 100_000)
			sent := make(chan error, 1)
			go func() {
				sent <- errors.Join(
					way[0].SendFrames(t.Context(), transport.Frame{Kind: transport.Binary, Data: []byte{0xff}}, transport.Frame{Kind: transport.Text}),
					way[0].Send(t.Context(), []byte(large)),
					way[0].SendStream(t.Context(), transport.Text, strings.NewReader(large)))
			}()
			for _, want := range []transport.Frame{
				{Kind: transport.Binary, Data: []byte{0xff}}, {Kind: transport.Text},
				{Kind: transport.Text, Data: []byte(large)}, {Kind: transport.Text, Data: []byte(large)},
			} {
				got, err := way[1].ReceiveFrame(t.Context())
				if err != nil || got.Kind != want.Kind || string(got.Data) != string(want.Data) {
					t.Fatalf("received %s of %d bytes, %v; want %s of %d", got.Kind, len(got.Data), err, want.Kind, len(want.Data))
				}
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			if err := way[0].Ping(t.Context()); err != nil {
				t.Errorf("Ping: %v", err)
			}
		}
		is(t, "Connect", client.Connect(t.Context(), "ws://server/"), transport.ErrAlreadyConnected)
		if err := client.CloseWith(4000, "why"); err != nil {
			t.Errorf("CloseWith: %v", err)
		}
		_, err := server.Receive(t.Context())
		closedWith(t, "Receive", err, 4000, true)
		_, err = client.Receive(t.Context())
		is(t, "Receive after Close", err, transport.ErrClosed)
		is(t, "Connect after Close", client.Connect(t.Context(), "ws://server/"), errors.ErrUnsupported)
	})
}

func TestWrapStaysAlive(t *testing.T) {
	eachLibrary(t, websocket.Options{PingInterval: 20 * time.Second, PingTimeout: 20 * time.Second}, func(t *testing.T, p *place, client, server *websocket.Transport) {
		<-time.After(time.Hour)
		usable(t, client, server)
		for _, d := range transporttest.Directions {
			p.link().BlackHole(d)
		}
		start := time.Now()
		for _, side := range []*websocket.Transport{client, server} {
			is(t, "WaitClosed", side.WaitClosed(t.Context()), transport.ErrPingTimeout)
			within(t, "the detection", start, 40*time.Second)
		}
	})
}

func TestWrapFaults(t *testing.T) {
	eachLibrary(t, websocket.Options{MaxMessageSize: 300_000}, func(t *testing.T, p *place, client, server *websocket.Transport) {
		client.SetReadLimit(100)
		if err := server.Send(t.Context(), make([]byte, 200_000)); err != nil {
			closedWith(t, "Send", err, transport.StatusMessageTooBig, true)
		}
		_, err := client.Receive(t.Context())
		is(t, "Receive", err, transport.ErrMessageTooLarge)
		closedWith(t, "Receive", err, transport.StatusMessageTooBig, false)
		closedWith(t, "WaitClosed", server.WaitClosed(t.Context()), transport.StatusMessageTooBig, true)
		if client.State() != transport.Failed || server.State() != transport.Disconnected {
			t.Errorf("the states are %s and %s", client.State(), server.State())
		}
	})
}

func TestWrapLoss(t *testing.T) {
	eachLibrary(t, websocket.Options{}, func(t *testing.T, p *place, client, server *websocket.Transport) {
		p.link().Cut(nil)
		for _, side := range []*websocket.Transport{client, server} {
			_, err := side.Receive(t.Context())
			closedWith(t, "Receive", err, transport.StatusAbnormal, false)
			if side.State() != transport.Failed {
				t.Errorf("the state is %s", side.State())
			}
		}
	})
}

// Protects: the bound of Close, within what the libraries allow.
func TestWrapClose(t *testing.T) {
	eachLibrary(t, websocket.Options{CloseTimeout: 2 * time.Second, PingInterval: -1}, func(t *testing.T, p *place, client, server *websocket.Transport) {
		for _, d := range transporttest.Directions {
			p.link().Stall(d)
		}
		sending := make(chan error, 1)
		go func() { sending <- client.Send(t.Context(), make([]byte, 1<<20)) }()
		synctest.Wait()
		start := time.Now()
		closeAll(t, client)
		within(t, "Close with a stuck writer", start, 7*time.Second)
		is(t, "Send", <-sending, transport.ErrClosed)
		start = time.Now()
		closeAll(t, server)
		within(t, "Close with a silent peer", start, 7*time.Second)
	})
}

// Protects: the expiry of writes on connections whose stream is out of reach.
func TestWrapWriteTimeout(t *testing.T) {
	eachLibrary(t, websocket.Options{WriteTimeout: 3 * time.Second, PingInterval: -1}, func(t *testing.T, p *place, client, _ *websocket.Transport) {
		p.link().Stall(transporttest.ToServer)
		start := time.Now()
		is(t, "Send", client.Send(t.Context(), make([]byte, 1<<20)), transport.ErrWriteTimeout)
		within(t, "Send", start, 3*time.Second)
	})
}

// Protects: a connection whose writer is busy for longer than a ping waits.
func TestWrapPingBehindWrite(t *testing.T) {
	eachLibrary(t, websocket.Options{PingTimeout: time.Second, WriteTimeout: -1, PingInterval: -1}, func(t *testing.T, p *place, client, server *websocket.Transport) {
		p.link().Stall(transporttest.ToServer)
		message := make([]byte, 1<<20)
		sending := make(chan error, 1)
		go func() { sending <- client.Send(t.Context(), message) }()
		synctest.Wait()
		is(t, "Ping", client.Ping(t.Context()), transport.ErrPingTimeout)
		<-time.After(3 * time.Second) // If something is to come of it.
		p.link().Resume(transporttest.ToServer)
		if got, err := server.Receive(t.Context()); err != nil || len(got) != len(message) {
			t.Fatalf("Receive: %d bytes, %v", len(got), err)
		}
		if err := <-sending; err != nil {
			t.Errorf("Send: %v", err)
		}
		usable(t, client, server)
	})
}

func TestWrapUnknown(t *testing.T) {
	for _, conn := range []any{nil, "text", (*nhooyr.Conn)(nil), (*coder.Conn)(nil), (*gorilla.Conn)(nil)} {
		_, err := websocket.Wrap(conn, nil)
		is(t, "Wrap", err, errors.ErrUnsupported)
	}
}
