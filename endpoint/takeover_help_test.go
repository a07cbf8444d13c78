package endpoint

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"testing"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
	"github.com/aip-go/aip/transport/websocket"
)

// place is a server behind HTTP on a network that fails on request, for a bubble
// of synctest.
type place struct {
	*testServer
	t       *testing.T
	network *transporttest.Network
	events  *recorder
}

// newPlace starts a server at ws://server/ws. Its Observer is the place's.
func newPlace(t *testing.T, options ServerOptions) *place {
	t.Helper()
	p := &place{t: t, network: transporttest.NewNetwork(), events: &recorder{}}
	options.Observer = p.events.observe
	p.testServer = startServer(t, &options)
	web := &http.Server{Handler: p.testServer, ErrorLog: log.New(io.Discard, "", 0)}
	stopped := make(chan error, 1)
	listener := p.network.Listen("server:80")
	go func() { stopped <- web.Serve(listener) }()
	t.Cleanup(func() {
		if err := web.Close(); err != nil {
			t.Error(err)
		}
		if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		p.network.Close()
	})
	return p
}

// dial returns a Dialer that shows a token.
func (p *place) dial(token string) Dialer {
	return func(ctx context.Context, _ string) (transport.Transport, error) {
		t := websocket.New(&websocket.Options{
			Token: token, PingInterval: pingInterval, PingTimeout: pingTimeout,
			HTTPClient: &http.Client{Transport: &http.Transport{DialContext: p.network.DialContext, DisableKeepAlives: true}},
		})
		if err := t.Connect(ctx, "ws://server/ws"); err != nil {
			return nil, err
		}
		return t, nil
	}
}

// peer connects a client that is the test itself.
func (p *place) peer(token string) *peer {
	p.t.Helper()
	tr, err := p.dial(token)(soon(p.t), "")
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = tr.Close() })
	return &peer{p.t, tr}
}

// lose makes the latest connection swallow everything, both ways.
func (p *place) lose() {
	links := p.network.Links()
	for _, d := range transporttest.Directions {
		links[len(links)-1].BlackHole(d)
	}
}

// of returns the server's events of a kind.
func (p *place) of(kind EventKind) []Event { return p.events.of(kind) }
