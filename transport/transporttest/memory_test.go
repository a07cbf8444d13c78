package transporttest_test

import (
	"context"
	"testing"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
)

func TestMemory(t *testing.T) {
	transporttest.Run(t, transporttest.Harness{
		Carrier:  transporttest.OwnMemory,
		Features: transporttest.AllFeatures &^ transporttest.KeepAlive,
		Start:    startMemory,
	})
}

// startMemory starts a server of the in-memory transport.
func startMemory(t testing.TB, env transporttest.Env) transporttest.Endpoint {
	hub := transport.NewMemoryHub()
	options := func(s transporttest.Settings) *transport.MemoryOptions {
		return &transport.MemoryOptions{MaxMessageSize: s.MaxMessageSize, QueueBytes: s.QueueBytes}
	}
	listen := func(name string) *transport.MemoryListener {
		listener, err := hub.Listen(name, options(env.Server))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := listener.Close(); err != nil {
				t.Error(err)
			}
		})
		return listener
	}
	listener, silent := listen("server"), listen("silent")
	return transporttest.Endpoint{
		URL:        listener.URL(),
		RefusedURL: "mem://nobody",
		SilentURL:  silent.URL(),
		NewClient:  func() transport.Transport { return hub.NewTransport(options(env.Client)) },
		Accept: func(ctx context.Context) (transport.Transport, error) {
			return listener.Accept(ctx)
		},
	}
}
