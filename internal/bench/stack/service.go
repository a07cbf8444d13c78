// Package stack has what is measured above the messages of package peer: the
// protocol, streams and files, endpoints, and what does the same as they do. A
// Service is the side that serves, in a process of its own; the functions whose
// names begin with Open are the other side.
package stack

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// Service is a server.
type Service struct {
	Name string
	// make returns what answers requests, and what ends it.
	make func() (http.Handler, func() error, error)
}

// All returns all services.
func All() []Service {
	return []Service{
		{TypedService, typedHandler},
		{StreamService, streamHandler},
		{EndpointService, endpointHandler},
		{DefaultsService, defaultsHandler},
		{MCPService, mcpHandler},
	}
}

// Named returns the service of that name.
func Named(name string) (Service, bool) {
	for _, s := range All() {
		if s.Name == name {
			return s, true
		}
	}
	return Service{}, false
}

// Listener is a service that runs.
type Listener struct {
	listener net.Listener
	server   *http.Server
	served   chan error
	end      func() error
}

// Listen starts the service on the loopback.
func (s Service) Listen() (*Listener, error) {
	handler, end, err := s.make()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, end())
	}
	l := &Listener{listener: listener, server: &http.Server{Handler: handler}, served: make(chan error, 1), end: end}
	go func() { l.served <- l.server.Serve(listener) }()
	return l, nil
}

// Addr is the address that it listens on.
func (l *Listener) Addr() string { return l.listener.Addr().String() }

// Close ends all connections, waits until they are served, and stops.
func (l *Listener) Close() error {
	err := errors.Join(l.end(), l.server.Close())
	if served := <-l.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// upgrades are the requests that became connections, each of which is served by
// its request's goroutine.
type upgrades struct {
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func newUpgrades() *upgrades {
	u := new(upgrades)
	u.ctx, u.cancel = context.WithCancel(context.Background())
	return u
}

// handle returns a handler that serves a connection. serve has to return when
// its context ends; its error is the end of the connection, which the other
// side knows.
func (u *upgrades) handle(serve func(ctx context.Context, w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		u.done.Add(1)
		defer u.done.Done()
		_ = serve(u.ctx, w, r)
	}
}

// end ends all connections.
func (u *upgrades) end() error {
	u.cancel()
	u.done.Wait()
	return nil
}
