package websocket_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
	"github.com/aip-go/aip/transport/websocket"
)

// engines are both engines: what is tested of one is tested of the other.
var engines = map[string]websocket.Engine{
	"nhooyr": websocket.EngineNhooyr,
	"coder":  websocket.EngineCoder,
}

// eachEngine runs a test with each engine, in a bubble of its own.
func eachEngine(t *testing.T, test func(*testing.T, websocket.Engine)) {
	t.Helper()
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, engine) })
		})
	}
}

// place is a network with a server at ws://server/ws.
type place struct {
	t       testing.TB
	network *transporttest.Network
	http    *http.Client
	accept  func(context.Context) (transport.Transport, error)
}

// newPlace starts the server, with these options.
func newPlace(t testing.TB, opts *websocket.Options) *place {
	t.Helper()
	p := &place{t: t, network: transporttest.NewNetwork()}
	p.http = &http.Client{Transport: &http.Transport{DialContext: p.network.DialContext, DisableKeepAlives: true}}
	p.accept = serve(t, p.network.Listen("server:80"), func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
		return websocket.Accept(w, r, &websocket.AcceptOptions{Options: opts})
	})
	return p
}

// client returns a client for the place.
func (p *place) client(opts *websocket.Options) *websocket.Transport {
	var o websocket.Options
	if opts != nil {
		o = *opts
	}
	o.HTTPClient = p.http
	return websocket.New(&o)
}

// pair returns both ends of a connection. They are closed at the end of the
// test.
func pair(t testing.TB, clientOpts, serverOpts *websocket.Options) (*place, *websocket.Transport, *websocket.Transport) {
	t.Helper()
	p := newPlace(t, serverOpts)
	client := p.client(clientOpts)
	if err := client.Connect(t.Context(), "ws://server/ws"); err != nil {
		t.Fatalf("Connect: %v", err)
	}
	accepted, err := p.accept(t.Context())
	if err != nil {
		t.Fatalf("Accept: %v", err)
	}
	server := accepted.(*websocket.Transport)
	t.Cleanup(func() { closeAll(t, client, server) })
	return p, client, server
}

// overTCP returns both ends of a connection over TCP. They are closed at the end of
// the test.
func overTCP(t testing.TB, opts *websocket.Options) (client *websocket.Transport, server transport.Transport) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accept := serve(t, l, func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
		return websocket.Accept(w, r, nil)
	})
	client = websocket.New(opts)
	if err := client.Connect(t.Context(), "ws://"+l.Addr().String()+"/ws"); err != nil {
		t.Fatal(err)
	}
	if server, err = accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(t, client, server) })
	return client, server
}

func closeAll(t testing.TB, all ...transport.Transport) {
	t.Helper()
	for _, at := range all {
		if err := at.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

// link returns the latest connection of the network.
func (p *place) link() *transporttest.Link {
	links := p.network.Links()
	return links[len(links)-1]
}

// serve runs a server that accepts as given. It is stopped at the end of the
// test.
func serve(t testing.TB, l net.Listener, accept func(http.ResponseWriter, *http.Request) (transport.Transport, error)) func(context.Context) (transport.Transport, error) {
	t.Helper()
	accepted := make(chan transport.Transport, 64)
	serveHTTP(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := accept(w, r); err == nil { // Some tests make faults in handshakes.
			accepted <- c
		}
	}))
	return func(ctx context.Context) (transport.Transport, error) {
		select {
		case c := <-accepted:
			return c, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// serveHTTP runs a server. It is stopped at the end of the test.
func serveHTTP(t testing.TB, l net.Listener, handler http.Handler) {
	t.Helper()
	// What the server logs of handshakes that were cut is no news.
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
		if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the server: %v", err)
		}
	})
}

// usable checks that messages pass both ways.
func usable(t testing.TB, a, b transport.Transport) {
	t.Helper()
	for _, way := range [][2]transport.Transport{{a, b}, {b, a}} {
		if err := way[0].Send(t.Context(), []byte("still there?")); err != nil {
			t.Fatalf("Send: %v", err)
		}
		got, err := way[1].Receive(t.Context())
		if err != nil || string(got) != "still there?" {
			t.Fatalf("Receive: %q, %v", got, err)
		}
	}
}

// within checks that something took no longer than it may.
func within(t testing.TB, what string, start time.Time, most time.Duration) {
	t.Helper()
	if took := time.Since(start); took > most {
		t.Errorf("%s took %v, more than %v", what, took, most)
	}
}

// is checks what an error matches.
func is(t testing.TB, what string, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("%s: %v; want an error that matches %q", what, err, target)
		}
	}
}

// closedWith checks the end of a connection that an error tells.
func closedWith(t testing.TB, what string, err error, code transport.StatusCode, remote bool) {
	t.Helper()
	var end *transport.CloseError
	if !errors.As(err, &end) {
		t.Errorf("%s: %v; want a CloseError", what, err)
		return
	}
	if end.Code != code || end.Remote != remote {
		t.Errorf("%s: %v; want code %s, remote %v", what, err, code, remote)
	}
}
