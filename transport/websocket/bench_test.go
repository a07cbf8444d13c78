package websocket_test

//lint:file-ignore SA1019 nhooyr.io/websocket is deprecated; it is the engine that the transport is measured beside.

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	coder "github.com/coder/websocket"
	nhooyr "nhooyr.io/websocket"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// BenchmarkEcho measures one round trip at a time, over the loopback: through
// transports on both sides, and through the plain engines in the loop that
// their documentation shows.
func BenchmarkEcho(b *testing.B) {
	for _, size := range []int{128, 1 << 10, 64 << 10, 1 << 20} {
		message := []byte(strings.Repeat("x", size))
		for _, peer := range []struct {
			name string
			run  func(*testing.B, []byte)
		}{
			{"nhooyr/plain", benchNhooyr},
			{"nhooyr/transport", func(b *testing.B, m []byte) { benchTransport(b, websocket.EngineNhooyr, m) }},
			{"coder/plain", benchCoder},
			{"coder/transport", func(b *testing.B, m []byte) { benchTransport(b, websocket.EngineCoder, m) }},
		} {
			b.Run(fmt.Sprintf("%dB/%s", size, peer.name), func(b *testing.B) {
				b.SetBytes(2 * int64(size))
				b.ReportAllocs()
				peer.run(b, message)
			})
		}
	}
}

// listen serves a handler on the loopback and returns its URL.
func listen(b testing.TB, handler http.HandlerFunc) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // It says that the server was closed.
	}()
	b.Cleanup(func() {
		if err := server.Close(); err != nil {
			b.Error(err)
		}
		<-done
	})
	return "ws://" + l.Addr().String()
}

func benchTransport(b *testing.B, engine websocket.Engine, message []byte) {
	ctx := context.Background()
	opts := &websocket.Options{Engine: engine}
	done := make(chan struct{})
	url := listen(b, func(w http.ResponseWriter, r *http.Request) {
		server, err := websocket.Accept(w, r, &websocket.AcceptOptions{Options: opts})
		if err != nil {
			b.Error(err)
			return
		}
		go func() {
			defer close(done)
			for {
				data, err := server.Receive(ctx)
				if err != nil {
					return
				}
				if err := server.Send(ctx, data); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	})
	client := websocket.New(opts)
	if err := client.Connect(ctx, url); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := client.Send(ctx, message); err != nil {
			b.Fatal(err)
		}
		data, err := client.Receive(ctx)
		if err != nil || len(data) != len(message) {
			b.Fatal(len(data), err)
		}
	}
	if err := client.Close(); err != nil {
		b.Fatal(err)
	}
	<-done
}

func benchNhooyr(b *testing.B, message []byte) {
	ctx := context.Background()
	done := make(chan struct{})
	url := listen(b, func(w http.ResponseWriter, r *http.Request) {
		server, err := nhooyr.Accept(w, r, nil)
		if err != nil {
			b.Error(err)
			return
		}
		server.SetReadLimit(-1)
		go func() {
			defer close(done)
			defer server.CloseNow()
			for {
				kind, data, err := server.Read(ctx)
				if err != nil {
					return
				}
				if err := server.Write(ctx, kind, data); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	})
	client, _, err := nhooyr.Dial(ctx, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	client.SetReadLimit(-1)
	for b.Loop() {
		if err := client.Write(ctx, nhooyr.MessageText, message); err != nil {
			b.Fatal(err)
		}
		_, data, err := client.Read(ctx)
		if err != nil || len(data) != len(message) {
			b.Fatal(len(data), err)
		}
	}
	if err := client.CloseNow(); err != nil {
		b.Fatal(err)
	}
	<-done
}

func benchCoder(b *testing.B, message []byte) {
	ctx := context.Background()
	done := make(chan struct{})
	url := listen(b, func(w http.ResponseWriter, r *http.Request) {
		server, err := coder.Accept(w, r, nil)
		if err != nil {
			b.Error(err)
			return
		}
		server.SetReadLimit(-1)
		go func() {
			defer close(done)
			defer server.CloseNow()
			for {
				kind, data, err := server.Read(ctx)
				if err != nil {
					return
				}
				if err := server.Write(ctx, kind, data); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	})
	client, _, err := coder.Dial(ctx, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	client.SetReadLimit(-1)
	for b.Loop() {
		if err := client.Write(ctx, coder.MessageText, message); err != nil {
			b.Fatal(err)
		}
		_, data, err := client.Read(ctx)
		if err != nil || len(data) != len(message) {
			b.Fatal(len(data), err)
		}
	}
	if err := client.CloseNow(); err != nil {
		b.Fatal(err)
	}
	<-done
}

// BenchmarkSend measures messages in one direction: from one sender, and from
// many at the same time.
func BenchmarkSend(b *testing.B) {
	message := []byte(strings.Repeat("x", 256))
	for _, senders := range []int{1, 64} {
		for _, cancelable := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dsenders/cancelable=%v", senders, cancelable), func(b *testing.B) {
				b.ReportAllocs()
				benchSend(b, senders, cancelable, message)
			})
		}
	}
}

func benchSend(b *testing.B, senders int, cancelable bool, message []byte) {
	ctx := context.Background()
	if cancelable {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
	}
	done := make(chan struct{})
	url := listen(b, func(w http.ResponseWriter, r *http.Request) {
		server, err := websocket.Accept(w, r, nil)
		if err != nil {
			b.Error(err)
			return
		}
		go func() {
			defer close(done)
			for range b.N {
				if _, err := server.Receive(context.Background()); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	})
	client := transport.Transport(websocket.New(nil))
	if err := client.Connect(ctx, url); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	work := make(chan struct{}, senders)
	finished := make(chan error, senders)
	for range senders {
		go func() {
			for range work {
				if err := client.Send(ctx, message); err != nil {
					finished <- err
					return
				}
			}
			finished <- nil
		}()
	}
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	for range senders {
		if err := <-finished; err != nil {
			b.Fatal(err)
		}
	}
	<-done
	b.StopTimer()
	if err := client.Close(); err != nil {
		b.Fatal(err)
	}
}
