package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
	"github.com/aip-go/aip/transport/websocket"
)

// stage is a server with resumable sessions on a network that can be broken, and
// the clients that it knows. It works in a bubble of testing/synctest.
type stage struct {
	t       testing.TB
	network *transporttest.Network
	// plain has the server take no notice of offers, as one that does not know
	// the extension.
	plain bool
	owner string
	// answering is called before a registration is answered; it may be nil.
	answering func()
	// interval and timeout are those of the pings of both sides.
	interval, timeout time.Duration
	// dialled is told of every new connection and its number, from 0, before
	// anything is sent; it may be nil. One link at a time may dial then.
	dialled func(number int, l *transporttest.Link)

	mu      sync.Mutex
	resumer *resilience.Resumer
	online  map[string]transport.Transport
	// sessions gets each new session, or connection if it is plain.
	sessions chan transport.Transport
	// registered gets every registration, in order, before its answer.
	registered chan *messages.ClientMessage
	conns      sync.WaitGroup
	failures   []error
}

func newStage(t testing.TB) *stage {
	s := &stage{
		t: t, network: transporttest.NewNetwork(), interval: 20 * time.Second, timeout: 20 * time.Second, online: map[string]transport.Transport{},
		sessions: make(chan transport.Transport, 1024), registered: make(chan *messages.ClientMessage, 100_000),
	}
	s.restart(nil)
	t.Cleanup(s.network.Close)
	return s
}

// restart makes the server forget its sessions.
func (s *stage) restart(opts *resilience.ResumerOptions) {
	r, err := resilience.NewResumer(opts)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resumer = r
	s.online = map[string]transport.Transport{}
}

// cut cuts the latest connection, and returns when that was noticed: nobody may
// have been reading for an instant.
func (s *stage) cut() {
	s.latest().Cut(io.ErrUnexpectedEOF)
	time.Sleep(2 * time.Millisecond)
	synctest.Wait()
}

// listen serves at addr until the test ends.
func (s *stage) listen(addr string) {
	server := &http.Server{Handler: http.HandlerFunc(s.serve), ErrorLog: log.New(io.Discard, "", 0)}
	stopped := make(chan error, 1)
	l := s.network.Listen(addr)
	go func() { stopped <- server.Serve(l) }()
	s.t.Cleanup(func() {
		if err := server.Close(); err != nil {
			s.t.Error(err)
		}
		if err := <-stopped; !errors.Is(err, http.ErrServerClosed) {
			s.t.Error(err)
		}
		s.conns.Wait()
	})
}

func (s *stage) serve(w http.ResponseWriter, r *http.Request) {
	at, err := websocket.Accept(w, r, &websocket.AcceptOptions{Options: &websocket.Options{PingInterval: s.interval, PingTimeout: s.timeout}})
	if err != nil {
		return // The client's connection was cut.
	}
	s.conns.Add(1)
	defer s.conns.Done()
	if err := s.admit(context.Background(), at); err != nil {
		s.mu.Lock()
		s.failures = append(s.failures, err)
		s.mu.Unlock()
		_ = at.Close() // It has failed already.
	}
}

// admit answers the registration on a new connection.
func (s *stage) admit(ctx context.Context, t transport.Transport) error {
	p, err := protocol.NewServer(t, nil)
	if err != nil {
		return err
	}
	registration, err := protocol.AwaitRegistration(ctx, p)
	if err != nil {
		return err
	}
	s.registered <- registration.Message
	if s.answering != nil {
		s.answering()
	}
	s.mu.Lock()
	resumer, owner := s.resumer, s.owner
	s.mu.Unlock()
	if s.plain {
		if err := registration.Confirm(ctx); err != nil {
			return err
		}
		s.sessions <- t
		return nil
	}
	if session := resumer.Claim(registration, owner); session != nil {
		err := session.Resume(ctx, t, registration)
		if !errors.Is(err, resilience.ErrSessionLost) {
			return err
		}
	}
	s.mu.Lock()
	old := s.online[registration.ClientID]
	s.mu.Unlock()
	if old != nil {
		if old.IsConnected() {
			return registration.Refuse(ctx, "already registered")
		}
		if err := old.Close(); err != nil {
			return err
		}
	}
	session, err := resumer.Confirm(ctx, t, registration, owner)
	if err != nil {
		return err
	}
	if session == nil {
		s.sessions <- t
		return nil
	}
	s.mu.Lock()
	s.online[registration.ClientID] = session
	s.mu.Unlock()
	s.sessions <- session
	return nil
}

// session returns the next new session.
func (s *stage) session() transport.Transport {
	s.t.Helper()
	select {
	case session := <-s.sessions:
		return session
	case <-time.After(10 * time.Minute):
		s.t.Fatal("the server has no new session")
		return nil
	}
}

// dial opens a connection of the network.
func (s *stage) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := s.network.DialContext(ctx, network, addr)
	if err == nil && s.dialled != nil {
		links := s.network.Links()
		s.dialled(len(links)-1, links[len(links)-1])
	}
	return c, err
}

// options returns those of a link over the stage's network.
func (s *stage) options(id string) *resilience.LinkOptions {
	return &resilience.LinkOptions{
		Dial: func(ctx context.Context, url string) (transport.Transport, error) {
			at := websocket.New(&websocket.Options{
				PingInterval: s.interval, PingTimeout: s.timeout, HandshakeTimeout: 5 * time.Second,
				HTTPClient: &http.Client{Transport: &http.Transport{
					DisableKeepAlives: true,
					DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
						return s.dial(ctx, network, addr)
					},
				}},
			})
			return at, at.Connect(ctx, url)
		},
		Registration: func(context.Context) (*messages.ClientMessage, error) {
			return messages.NewDeviceRegistration(id, messages.PlatformLinux, messages.Value{}), nil
		},
		Strategy: steady{},
		Resume:   &resilience.ResumeOptions{},
	}
}

// steady waits 100 ms, without end.
type steady struct{}

func (steady) NextDelay(int, error) (time.Duration, bool) {
	return 100 * time.Millisecond, true
}

// link returns a connected link.
func (s *stage) link(opts *resilience.LinkOptions) *resilience.Link {
	s.t.Helper()
	l, err := resilience.NewLink(opts)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := l.Connect(context.Background(), "ws://server/ws"); err != nil {
		s.t.Fatal(err)
	}
	return l
}

// latest returns the latest connection of the network.
func (s *stage) latest() *transporttest.Link {
	links := s.network.Links()
	return links[len(links)-1]
}

// numbered is a message with a number of its own.
func numbered(n int) []byte {
	return fmt.Appendf(nil, `{"type":"task","status":"ok","task_name":"message %d","n":%d}`, n, n)
}

// expectNumbered receives messages and checks that they are from to to.
func expectNumbered(t testing.TB, in transport.Transport, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		got, err := in.Receive(context.Background())
		if err != nil || string(got) != string(numbered(n)) {
			t.Fatalf("message %d: %q, %v", n, got, err)
		}
	}
}

func closeAll(t testing.TB, all ...transport.Transport) {
	t.Helper()
	for _, at := range all {
		if err := at.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}
