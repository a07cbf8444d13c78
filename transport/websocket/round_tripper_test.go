package websocket_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// roundTripper is a program's own.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// countedBody counts what is written.
type countedBody struct {
	io.ReadWriteCloser
	n *atomic.Int64
}

func (b countedBody) Write(p []byte) (int, error) {
	b.n.Add(int64(len(p)))
	return b.ReadWriteCloser.Write(p)
}

// Protects: programs whose RoundTripper wraps the stream of a connection, and
// has to see what is written.
func TestRoundTripperSeesAllThatIsWritten(t *testing.T) {
	var written atomic.Int64
	base := &http.Transport{DisableKeepAlives: true}
	client, server := overTCP(t, &websocket.Options{HTTPClient: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := base.RoundTrip(r)
		if err == nil && response.StatusCode == http.StatusSwitchingProtocols {
			response.Body = countedBody{response.Body.(io.ReadWriteCloser), &written}
		}
		return response, err
	})}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := client.Send(ctx, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if got, err := server.Receive(ctx); err != nil || string(got) != "hello" {
		t.Fatalf("Receive: %q, %v", got, err)
	}
	if n := written.Load(); n < 5 {
		t.Errorf("the stream that the RoundTripper returned was given %d bytes of a message of 5", n)
	}
}

// Protects: messages go where the connection is, also when the RoundTripper
// made a request of its own with the context of the handshake.
func TestRoundTripperWithRequestsOfItsOwn(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveHTTP(t, other, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	base, tokens := &http.Transport{DisableKeepAlives: true}, &http.Transport{}
	t.Cleanup(tokens.CloseIdleConnections)
	client, server := overTCP(t, &websocket.Options{HTTPClient: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := base.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		audit, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://"+other.Addr().String(), nil)
		if err != nil {
			return nil, err
		}
		if answer, err := tokens.RoundTrip(audit); err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
		}
		return response, nil
	})}})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := client.Send(ctx, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	if got, err := server.Receive(ctx); err != nil || string(got) != "secret" {
		t.Fatalf("Receive: %q, %v", got, err)
	}
}

// Protects: a peer that reads 128 KiB within WriteTimeout, after a time in which
// the network was fast.
func TestWriteTimeoutIsFor128KiB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, &websocket.Options{PingInterval: -1, WriteTimeout: 10 * time.Second})
		raw := p.rawClient(t)
		server, err := p.accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = raw.Close(); closeAll(t, server) })
		sent := make(chan error, 1)
		go func() {
			m := transport.Frame{Kind: transport.Binary, Data: make([]byte, 16<<20)}
			sent <- server.(*websocket.Transport).SendFrames(context.Background(), m)
		}()
		if _, err := io.CopyN(io.Discard, raw.r, 8<<20); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			time.Sleep(8 * time.Second)
			if _, err := io.CopyN(io.Discard, raw.r, 128<<10); err != nil {
				t.Fatalf("%v; the send: %v", err, <-sent)
			}
		}
		if _, err := io.CopyN(io.Discard, raw.r, 7<<20); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, raw.r) }() // Until the connection is closed.
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	})
}
