package websocket_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// Protects: the reasons of failed connects, each of a type of its own, and
// whether to try again.
func TestFailedConnects(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		p := newPlace(t, &websocket.Options{Engine: engine})
		status := func(addr string, status int, header ...string) {
			serveHTTP(t, p.network.Listen(addr), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for i := 0; i < len(header); i += 2 {
					w.Header().Set(header[i], header[i+1])
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, "what the server says") // The client may have gone.
			}))
		}
		_ = p.network.Listen("silent:80")
		status("unauthorized:80", http.StatusUnauthorized)
		status("forbidden:80", http.StatusForbidden)
		status("missing:80", http.StatusNotFound)
		status("portal:80", http.StatusOK)
		status("busy:80", http.StatusTooManyRequests, "Retry-After", "7")
		status("down:80", http.StatusServiceUnavailable, "Retry-After", "Sat, 01 Jan 2000 00:01:00 GMT")
		status("gateway:80", http.StatusBadGateway)
		status("elsewhere:80", http.StatusFound, "Location", "ws://forbidden/")
		serveHTTP(t, p.network.Listen("impostor:80"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: wrong\r\n\r\n")
			_ = rw.Flush() // The client sees whether it worked.
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close() // Nothing is left to do.
		}))
		for _, c := range []struct {
			url       string
			want      error
			status    int
			after     time.Duration
			retryable bool
		}{
			{url: "ws://unauthorized/", status: 401},
			{url: "ws://forbidden/", status: 403},
			{url: "ws://missing/", status: 404},
			{url: "ws://portal/", status: 200},
			{url: "ws://elsewhere/", status: 403},
			{url: "ws://impostor/", status: 101},
			{url: "ws://busy/", status: 429, after: 7 * time.Second, retryable: true},
			{url: "ws://down/", status: 503, after: time.Minute, retryable: true},
			{url: "ws://gateway/", status: 502, retryable: true},
			{url: "ws://nobody/", want: syscall.ECONNREFUSED, retryable: true},
			{url: "ws://silent/", want: context.DeadlineExceeded, retryable: true},
			{url: "ftp://server/", want: transport.ErrInvalidURL},
			{url: "server:80", want: transport.ErrInvalidURL},
			{url: "ws:///path", want: transport.ErrInvalidURL},
			{url: "ws://server/#part", want: transport.ErrInvalidURL},
			{url: "ws://server:port/", want: transport.ErrInvalidURL},
			{url: "", want: transport.ErrInvalidURL},
		} {
			client := p.client(&websocket.Options{Engine: engine, HandshakeTimeout: 5 * time.Second})
			start := time.Now()
			err := client.Connect(t.Context(), c.url)
			var whole *transport.Error
			if !errors.As(err, &whole) || whole.Op != "connect" {
				t.Errorf("%s: %v", c.url, err)
			}
			var refusal *websocket.HandshakeError
			switch {
			case c.want != nil:
				is(t, c.url, err, c.want)
			case !errors.As(err, &refusal) || refusal.StatusCode != c.status:
				t.Errorf("%s: %v, want status %d", c.url, err, c.status)
			default:
				if after, ok := refusal.RetryAfter(); ok != (c.after != 0) || after > c.after || after < c.after/2 {
					t.Errorf("%s: retry after %v, %v", c.url, after, ok)
				}
			}
			if got := transport.Retryable(err); got != c.retryable {
				t.Errorf("%s: retryable %v: %v", c.url, got, err)
			}
			within(t, c.url, start, 5*time.Second)
			if client.State() != transport.Failed {
				t.Errorf("%s: the state is %s", c.url, client.State())
			}
			if err := client.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	})
}

// Protects: options, which are refused when they make no sense.
func TestInvalidOptions(t *testing.T) {
	for name, opts := range map[string]websocket.Options{
		"CloseTimeout":         {CloseTimeout: -1},
		"Profile.CloseTimeout": {Profile: transport.Profile{CloseTimeout: -1}},
		"PingJitter":           {PingJitter: 1.5},
		"SendPolicy":           {SendPolicy: 3},
		"Engine":               {Engine: 2},
		"Subprotocols":         {Subprotocols: []string{"two words"}},
	} {
		err := websocket.New(&opts).Connect(t.Context(), "ws://nowhere.invalid/")
		is(t, name, err, transport.ErrInvalidOptions)
		if transport.Retryable(err) {
			t.Errorf("%s: %v is retryable", name, err)
		}
		_, err = websocket.Wrap(nil, &opts)
		is(t, name, err, transport.ErrInvalidOptions)
	}
}

// Protects: a Connect that is ended from outside: by its context, by Close and
// by Abort. Nothing is left of it.
func TestAbortedConnects(t *testing.T) {
	fault := errors.New("the fault")
	for name, end := range map[string]struct {
		run  func(context.CancelFunc, *websocket.Transport)
		want error
	}{
		"context": {func(cancel context.CancelFunc, _ *websocket.Transport) { cancel() }, context.Canceled},
		"Close":   {func(_ context.CancelFunc, at *websocket.Transport) { _ = at.Close() }, net.ErrClosed},
		"Abort":   {func(_ context.CancelFunc, at *websocket.Transport) { at.Abort(fault) }, fault},
	} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, engine websocket.Engine) {
				p := newPlace(t, &websocket.Options{Engine: engine})
				_ = p.network.Listen("silent:80")
				caused, cause := context.WithCancelCause(t.Context())
				cancel := func() { cause(errors.New("not the context's error")) }
				defer cancel()
				client := p.client(&websocket.Options{Engine: engine})
				connecting := make(chan error, 1)
				go func() { connecting <- client.Connect(caused, "ws://silent/") }()
				synctest.Wait()
				if client.State() != transport.Connecting {
					t.Fatalf("the state is %s", client.State())
				}
				is(t, "Connect meanwhile", client.Connect(t.Context(), "ws://server/ws"), transport.ErrAlreadyConnected)
				is(t, "Send meanwhile", client.Send(t.Context(), nil), transport.ErrNotConnected)
				end.run(cancel, client)
				is(t, "Connect", <-connecting, end.want)
				var transition *transport.TransitionError
				if err := client.Connect(t.Context(), "ws://server/ws"); !errors.As(err, &transition) {
					t.Errorf("Connect without Reset: %v", err)
				}
				if err := client.Reset(); err != nil {
					t.Fatal(err)
				}
				if err := client.Connect(t.Context(), "ws://server/ws"); err != nil {
					t.Fatal(err)
				}
				server, err := p.accept(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				usable(t, client, server)
				closeAll(t, client, server)
			})
		})
	}
}

// Protects: networks behind a proxy, which the http.Client knows.
func TestConnectThroughProxy(t *testing.T) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			address, accept := loopback(t, func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
				return websocket.Accept(w, r, &websocket.AcceptOptions{Options: &websocket.Options{Engine: engine}})
			})
			var mu sync.Mutex
			var connects []string
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var tunnels sync.WaitGroup
			t.Cleanup(tunnels.Wait)
			serveHTTP(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				connects = append(connects, r.Method+" "+r.Host)
				tunnels.Add(1) // Before the test can see the request, so before it waits.
				mu.Unlock()
				defer tunnels.Done()
				if r.Method != http.MethodConnect {
					w.WriteHeader(http.StatusMethodNotAllowed)
					return
				}
				tunnel(t, w, r.Host)
			}))
			proxy := &url.URL{Scheme: "http", Host: l.Addr().String()}
			// A plain ws URL goes through CONNECT only if the client dials so.
			client := websocket.New(&websocket.Options{Engine: engine, HTTPClient: &http.Client{Transport: &http.Transport{
				DisableKeepAlives: true,
				DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
					return connectThrough(ctx, proxy.Host, addr)
				},
			}}})
			if err := client.Connect(t.Context(), address); err != nil {
				t.Fatal(err)
			}
			server, err := accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			usable(t, client, server)
			closeAll(t, client, server)

			// Transport.Proxy is used for the handshake as for any request.
			client = websocket.New(&websocket.Options{Engine: engine, HTTPClient: &http.Client{Transport: &http.Transport{
				DisableKeepAlives: true,
				Proxy:             http.ProxyURL(proxy),
			}}})
			err = client.Connect(t.Context(), "wss"+strings.TrimPrefix(address, "ws"))
			if err == nil {
				t.Error("a server without TLS was taken for one with it")
			}
			mu.Lock()
			defer mu.Unlock()
			want := "CONNECT " + strings.TrimPrefix(address, "ws://")
			if len(connects) != 2 || connects[0] != want || connects[1] != want {
				t.Errorf("the proxy was asked for %q", connects)
			}
		})
	}
}

// tunnel connects a proxy's client to where it wants to go, until one of them
// closes.
func tunnel(t *testing.T, w http.ResponseWriter, host string) {
	there, err := net.Dial("tcp", host)
	if err != nil {
		t.Error(err)
		return
	}
	here, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n") // The client sees whether it worked.
	var ways sync.WaitGroup
	defer ways.Wait()
	for _, way := range [][2]net.Conn{{here, there}, {there, here}} {
		ways.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].Close() // Either way may be the first to end.
			_ = way[1].Close()
		})
	}
}

// connectThrough asks a proxy for a connection.
func connectThrough(ctx context.Context, proxy, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", proxy)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", addr, addr); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
	if err != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the proxy said %v, %v", response, err)
	}
	return conn, nil
}

// Protects: what was dialled with the default client: nothing of a Connect that
// failed goes on.
func TestDefaultClientLeavesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, scheme := range []string{"ws://", "wss://"} {
		ctx, cancel := context.WithCancel(t.Context())
		client := websocket.New(nil)
		connecting := make(chan error, 1)
		go func() { connecting <- client.Connect(ctx, scheme+l.Addr().String()) }()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		// The beginning of the request, or of TLS's handshake.
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		cancel()
		is(t, "Connect", <-connecting, context.Canceled)
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: the client did not close: %v", scheme, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Protects: servers from clients that were refused: their connections do not
// stay.
func TestRefusedConnectionIsClosed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(closed)
			}
		},
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l) // It says that the server was closed.
	}()
	err = websocket.New(nil).Connect(t.Context(), "ws://"+l.Addr().String())
	var refused *websocket.HandshakeError
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusForbidden {
		t.Errorf("Connect: %v", err)
	}
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the connection was kept")
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	<-served
}
