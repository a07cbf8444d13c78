package websocket_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
	"github.com/aip-go/aip/transport/websocket"
)

func TestConformance(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			transporttest.Run(t, transporttest.Harness{
				Carrier:  transporttest.FaultyNetwork,
				Features: transporttest.AllFeatures,
				Start: func(t testing.TB, env transporttest.Env) transporttest.Endpoint {
					return startOnNetwork(t, env, engine)
				},
			})
		})
	}
}

var engines = map[string]websocket.Engine{
	"nhooyr": websocket.EngineNhooyr,
	"coder":  websocket.EngineCoder,
}

// optionsFor returns the kit's settings as options.
func optionsFor(s transporttest.Settings, engine websocket.Engine, client *http.Client) *websocket.Options {
	return &websocket.Options{
		MaxMessageSize:    s.MaxMessageSize,
		ReceiveQueueBytes: s.QueueBytes,
		SendQueueBytes:    s.QueueBytes,
		PingInterval:      s.PingInterval,
		PingTimeout:       s.PingTimeout,
		CloseTimeout:      s.CloseTimeout,
		WriteTimeout:      10 * time.Minute, // The kit stalls networks for longer than the default.
		Engine:            engine,
		HTTPClient:        client,
	}
}

func startOnNetwork(t testing.TB, env transporttest.Env, engine websocket.Engine) transporttest.Endpoint {
	t.Helper()
	_ = env.Network.Listen("silent:80")
	carrier := &http.Transport{DialContext: env.Network.DialContext, DisableKeepAlives: true}
	client := &http.Client{Transport: carrier}
	accept := serve(t, env.Network.Listen("server:80"), func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
		return websocket.Accept(w, r, &websocket.AcceptOptions{Options: optionsFor(env.Server, engine, nil)})
	})
	return transporttest.Endpoint{
		URL:        "ws://server/ws",
		RefusedURL: "ws://nobody/ws",
		SilentURL:  "ws://silent/ws",
		NewClient: func() transport.Transport {
			return websocket.New(optionsFor(env.Client, engine, client))
		},
		Accept: accept,
	}
}

// serve runs a server that accepts as given. It is stopped at the end of the
// test.
func serve(t testing.TB, l net.Listener, accept func(http.ResponseWriter, *http.Request) (transport.Transport, error)) func(context.Context) (transport.Transport, error) {
	t.Helper()
	accepted := make(chan transport.Transport, 64)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := accept(w, r)
		if err == nil { // The kit makes faults in handshakes too.
			accepted <- c
		}
	})}
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
	return func(ctx context.Context) (transport.Transport, error) {
		select {
		case c := <-accepted:
			return c, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
