package websocket_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
	"github.com/aip-go/aip/transport/websocket"
)

// acceptor accepts a connection for a server.
type acceptor func(http.ResponseWriter, *http.Request, *websocket.Options) (transport.Transport, error)

func acceptOwn(w http.ResponseWriter, r *http.Request, opts *websocket.Options) (transport.Transport, error) {
	return websocket.Accept(w, r, &websocket.AcceptOptions{Options: opts})
}

func acceptGorilla(w http.ResponseWriter, r *http.Request, opts *websocket.Options) (transport.Transport, error) {
	conn, err := new(gorilla.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return nil, err
	}
	return websocket.Wrap(conn, opts)
}

// Protects: the contract, with each engine on both sides.
func TestConformance(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) { conform(t, engine, acceptOwn, nil) })
	}
}

// Protects: the contract, over TLS.
func TestConformanceTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	config := server.TLS.Clone()
	config.NextProtos = nil
	server.Close()
	conform(t, websocket.EngineNhooyr, acceptOwn, config)
}

// Protects: the contract, with what gorilla accepts on the server's side.
func TestConformanceGorilla(t *testing.T) {
	conform(t, websocket.EngineNhooyr, acceptGorilla, nil)
}

// conform runs the kit over its faulty network, with TLS if there is a
// configuration for it.
func conform(t *testing.T, engine websocket.Engine, accept acceptor, config *tls.Config) {
	t.Helper()
	transporttest.Run(t, transporttest.Harness{
		Carrier:  transporttest.FaultyNetwork,
		Features: transporttest.AllFeatures,
		Start: func(t testing.TB, env transporttest.Env) transporttest.Endpoint {
			_ = env.Network.Listen("silent:80")
			l, scheme := env.Network.Listen("server:80"), "ws://"
			carrier := &http.Transport{DialContext: env.Network.DialContext, DisableKeepAlives: true}
			if config != nil {
				l, scheme = tls.NewListener(l, config), "wss://"
				carrier.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
			}
			client := &http.Client{Transport: carrier}
			server := optionsFor(env.Server, engine)
			return transporttest.Endpoint{
				URL:        scheme + "server:80/ws",
				RefusedURL: scheme + "nobody:80/ws",
				SilentURL:  scheme + "silent:80/ws",
				NewClient: func() transport.Transport {
					opts := optionsFor(env.Client, engine)
					opts.HTTPClient = client
					return websocket.New(opts)
				},
				Accept: serve(t, l, func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
					return accept(w, r, server)
				}),
			}
		},
	})
}

// Protects: the contract, on sockets, with the default client.
func TestConformanceSockets(t *testing.T) {
	transporttest.Run(t, transporttest.Harness{
		Carrier:  transporttest.Sockets,
		Features: transporttest.AllFeatures,
		Start: func(t testing.TB, env transporttest.Env) transporttest.Endpoint {
			listen := func() net.Listener {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				return l
			}
			silent, refused, server := listen(), listen(), listen()
			t.Cleanup(func() {
				if err := silent.Close(); err != nil {
					t.Error(err)
				}
			})
			if err := refused.Close(); err != nil {
				t.Error(err)
			}
			opts := optionsFor(env.Server, websocket.EngineNhooyr)
			return transporttest.Endpoint{
				URL:        "ws://" + server.Addr().String(),
				RefusedURL: "ws://" + refused.Addr().String(),
				SilentURL:  "ws://" + silent.Addr().String(),
				NewClient: func() transport.Transport {
					return websocket.New(optionsFor(env.Client, websocket.EngineNhooyr))
				},
				Accept: serve(t, server, func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
					return acceptOwn(w, r, opts)
				}),
			}
		},
	})
}

// optionsFor returns the kit's settings as options.
func optionsFor(s transporttest.Settings, engine websocket.Engine) *websocket.Options {
	return &websocket.Options{
		MaxMessageSize:    s.MaxMessageSize,
		ReceiveQueueBytes: s.QueueBytes,
		SendQueueBytes:    s.QueueBytes,
		PingInterval:      s.PingInterval,
		PingTimeout:       s.PingTimeout,
		CloseTimeout:      s.CloseTimeout,
		WriteTimeout:      10 * time.Minute, // The kit stalls networks for longer than the default.
		Engine:            engine,
	}
}
