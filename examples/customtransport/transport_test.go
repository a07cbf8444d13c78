package main

import (
	"context"
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestConformance is all it takes to test a transport of one's own against the
// contract, faults of the network included.
func TestConformance(t *testing.T) {
	transporttest.Run(t, transporttest.Harness{
		Carrier:  transporttest.FaultyNetwork,
		Features: transporttest.Resets,
		Start:    start,
	})
}

func start(t testing.TB, env transporttest.Env) transporttest.Endpoint {
	listener := env.Network.Listen("server:1")
	silent := env.Network.Listen("silent:1")
	conns := make(chan net.Conn)
	stopped := make(chan struct{})
	quit := make(chan struct{})
	t.Cleanup(func() {
		_, _ = listener.Close(), silent.Close()
		close(quit)
		<-stopped
	})
	go func() {
		defer close(stopped)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			select {
			case conns <- conn:
			case <-quit:
				_ = conn.Close()
				return
			}
		}
	}()
	return transporttest.Endpoint{
		URL:        "custom://server:1",
		RefusedURL: "custom://nobody:1",
		SilentURL:  "custom://silent:1",
		NewClient: func() transport.Transport {
			return &CustomTransport{Dial: env.Network.DialContext, MaxMessage: int(env.Client.MaxMessageSize)}
		},
		Accept: func(ctx context.Context) (transport.Transport, error) {
			for {
				select {
				case conn := <-conns:
					// One that was lost before the hello is none.
					if server, err := Wrap(conn, int(env.Server.MaxMessageSize)); err == nil {
						return server, nil
					}
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
		},
	}
}
