package peer

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// httpListener serves an HTTP handler on the loopback, and knows the
// connections that were made of requests.
type httpListener struct {
	listener net.Listener
	server   *http.Server
	served   chan error
	conns    connections
}

// listenHTTP starts a server. upgrade makes a connection of a request, or
// answers the request itself. When the handler returns, the request's goroutine
// ends: each connection is served by a goroutine of its own.
func listenHTTP(serve func(Conn), upgrade func(http.ResponseWriter, *http.Request) (Conn, error)) (Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &httpListener{listener: listener, served: make(chan error, 1)}
	l.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrade(w, r)
		if err != nil {
			return // the request was answered; the dialling side reports it
		}
		l.conns.serve(conn, serve)
	})}
	go func() { l.served <- l.server.Serve(listener) }()
	return l, nil
}

func (l *httpListener) Addr() string { return l.listener.Addr().String() }

func (l *httpListener) Close() error {
	err := l.server.Close()
	if served := <-l.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	l.conns.close()
	return err
}

// connections are those that a listener serves.
type connections struct {
	mu     sync.Mutex
	open   map[Conn]struct{}
	closed bool
	done   sync.WaitGroup
}

// serve serves the connection on a goroutine of its own and closes it then.
func (c *connections) serve(conn Conn, serve func(Conn)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close() // there is no one to serve it
		return
	}
	if c.open == nil {
		c.open = make(map[Conn]struct{})
	}
	c.open[conn] = struct{}{}
	c.done.Go(func() {
		serve(conn)
		_ = conn.Close() // most are closed already
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, conn)
	})
}

// close closes all connections and waits until they are served.
func (c *connections) close() {
	c.mu.Lock()
	c.closed = true
	open := make([]Conn, 0, len(c.open))
	for conn := range c.open {
		open = append(open, conn)
	}
	c.mu.Unlock()
	for _, conn := range open {
		_ = conn.Close() // what it was good for is over
	}
	c.done.Wait()
}

// httpClient returns a client whose connections are opened by dial.
func httpClient(dial DialFunc) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dial(ctx, network, addr)
		},
	}}
}
