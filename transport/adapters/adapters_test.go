package adapters_test

//lint:file-ignore SA1019 nhooyr.io/websocket is deprecated; it is one of the libraries that are adapted.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	nhooyr "nhooyr.io/websocket"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/adapters"
)

// opener opens connections on both sides.
type opener struct {
	dial   func(ctx context.Context, url string, client *http.Client) (adapters.Conn, error)
	accept func(http.ResponseWriter, *http.Request) (adapters.Conn, error)
}

// engine opens with one of the package's engines.
func engine(e adapters.Engine) opener {
	return opener{
		dial: func(ctx context.Context, url string, client *http.Client) (adapters.Conn, error) {
			conn, _, err := e.Dial(ctx, url, adapters.DialOptions{Client: client})
			return conn, err
		},
		accept: func(w http.ResponseWriter, r *http.Request) (adapters.Conn, error) {
			return e.Accept(w, r, adapters.AcceptOptions{})
		},
	}
}

// detected adapts what somebody else opened.
func detected(conn any, err error) (adapters.Conn, error) {
	if err != nil {
		return nil, err
	}
	return adapters.Detect(conn)
}

var openers = map[string]opener{
	"nhooyr engine": engine(adapters.Nhooyr),
	"coder engine":  engine(adapters.Coder),
	"nhooyr": {
		dial: func(ctx context.Context, url string, client *http.Client) (adapters.Conn, error) {
			conn, _, err := nhooyr.Dial(ctx, url, &nhooyr.DialOptions{HTTPClient: client})
			return detected(conn, err)
		},
		accept: func(w http.ResponseWriter, r *http.Request) (adapters.Conn, error) {
			return detected(nhooyr.Accept(w, r, nil))
		},
	},
	"coder": {
		dial: func(ctx context.Context, url string, client *http.Client) (adapters.Conn, error) {
			conn, _, err := coder.Dial(ctx, url, &coder.DialOptions{HTTPClient: client})
			return detected(conn, err)
		},
		accept: func(w http.ResponseWriter, r *http.Request) (adapters.Conn, error) {
			return detected(coder.Accept(w, r, nil))
		},
	},
	"gorilla": {
		dial: func(ctx context.Context, url string, _ *http.Client) (adapters.Conn, error) {
			conn, _, err := gorilla.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(url, "http"), nil)
			return detected(conn, err)
		},
		accept: func(w http.ResponseWriter, r *http.Request) (adapters.Conn, error) {
			return detected(new(gorilla.Upgrader).Upgrade(w, r, nil))
		},
	},
}

// eachOpener runs a test on a connection of each kind.
func eachOpener(t *testing.T, test func(t *testing.T, client, server adapters.Conn)) {
	t.Helper()
	for name, o := range openers {
		t.Run(name, func(t *testing.T) {
			accepted := make(chan adapters.Conn, 1)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conn, err := o.accept(w, r)
				if err != nil {
					t.Errorf("accept: %v", err)
				}
				accepted <- conn
			}))
			defer s.Close()
			client, err := o.dial(t.Context(), s.URL, s.Client())
			if err != nil {
				t.Fatalf("dial: %v", err)
			}
			server := <-accepted
			test(t, client, server)
			for _, conn := range []adapters.Conn{client, server} {
				_ = conn.CloseNow() // The peer may have closed it.
				if err := conn.CloseNow(); err != nil {
					t.Errorf("CloseNow again: %v", err)
				}
			}
		})
	}
}

// next reads a message.
func next(conn adapters.Conn) (transport.Kind, string, error) {
	kind, r, err := conn.NextReader()
	if err != nil {
		return 0, "", err
	}
	data, err := io.ReadAll(r)
	return kind, string(data), err
}

func TestMessages(t *testing.T) {
	eachOpener(t, func(t *testing.T, client, server adapters.Conn) {
		large := strings.Repeat("large ", 50_000)
		for _, way := range [][2]adapters.Conn{{client, server}, {server, client}} {
			sent := make(chan error, 1)
			go func() {
				sent <- func() error {
					if err := way[0].WriteMessage(transport.Text, []byte("text")); err != nil {
						return err
					}
					if err := way[0].WriteMessage(transport.Binary, nil); err != nil {
						return err
					}
					if err := way[0].WriteMessage(transport.Text, []byte(large)); err != nil {
						return err
					}
					w, err := way[0].NextWriter(transport.Binary)
					if err != nil {
						return err
					}
					for _, piece := range []string{"a ", "message ", "in ", "pieces"} {
						if _, err := io.WriteString(w, piece); err != nil {
							return err
						}
					}
					return w.Close()
				}()
			}()
			for _, want := range []transport.Frame{
				{Kind: transport.Text, Data: []byte("text")}, {Kind: transport.Binary},
				{Kind: transport.Text, Data: []byte(large)}, {Kind: transport.Binary, Data: []byte("a message in pieces")},
			} {
				kind, got, err := next(way[1])
				if err != nil || kind != want.Kind || got != string(want.Data) {
					t.Fatalf("read %s %.40q, %v; want %s %.40q", kind, got, err, want.Kind, want.Data)
				}
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestPing(t *testing.T) {
	eachOpener(t, func(t *testing.T, client, server adapters.Conn) {
		ends := make(chan error, 2)
		for _, conn := range []adapters.Conn{client, server} {
			go func() {
				_, _, err := next(conn)
				ends <- err
			}()
		}
		for _, conn := range []adapters.Conn{client, server, client} {
			if err := conn.Ping(t.Context()); err != nil {
				t.Errorf("Ping: %v", err)
			}
		}
		if err := client.CloseNow(); err != nil {
			t.Errorf("CloseNow: %v", err)
		}
		for range 2 {
			if err := <-ends; err == nil || errors.As(err, new(*transport.CloseError)) {
				t.Errorf("after a loss: %v", err)
			}
		}
		if err := client.Ping(t.Context()); err == nil {
			t.Error("Ping on a dropped connection succeeded")
		}
	})
}

func TestClose(t *testing.T) {
	eachOpener(t, func(t *testing.T, client, server adapters.Conn) {
		answered := make(chan error, 1)
		go func() {
			_, _, err := next(client)
			answered <- err
		}()
		closing := make(chan error, 1)
		go func() { closing <- client.WriteClose(4000, "why") }()
		_, _, err := next(server)
		var end *transport.CloseError
		if !errors.As(err, &end) || end.Code != 4000 || end.Reason != "why" || !end.Remote {
			t.Errorf("the peer's error: %v", err)
		}
		if err := <-answered; err == nil {
			t.Error("a message came after the close")
		}
		<-closing // The libraries differ in what they call an error.
		if err := client.WriteClose(4001, "again"); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("WriteClose again: %v", err)
		}
		if err := client.WriteMessage(transport.Text, []byte("late")); err == nil {
			t.Error("WriteMessage after WriteClose succeeded")
		}
	})
}

// CloseNow ends everything that waits, a closing handshake with a silent peer
// included.
func TestCloseNow(t *testing.T) {
	eachOpener(t, func(t *testing.T, client, _ adapters.Conn) {
		var waiting []chan error
		wait := func(f func() error) {
			c := make(chan error, 1)
			waiting = append(waiting, c)
			go func() { c <- f() }()
		}
		reading := make(chan struct{})
		wait(func() error {
			close(reading)
			_, _, err := next(client)
			return err
		})
		<-reading
		wait(func() error { return client.Ping(context.Background()) })
		wait(func() error {
			for {
				if err := client.WriteMessage(transport.Binary, make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		})
		if err := client.CloseNow(); err != nil {
			t.Errorf("CloseNow: %v", err)
		}
		for i, c := range waiting {
			if err := <-c; err == nil {
				t.Errorf("call %d was ended without an error", i)
			}
		}
	})
}

func TestDialFails(t *testing.T) {
	for _, e := range []adapters.Engine{adapters.Nhooyr, adapters.Coder} {
		t.Run(e.Name(), func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "5")
				w.WriteHeader(http.StatusServiceUnavailable)
			}))
			defer s.Close()
			conn, response, err := e.Dial(t.Context(), s.URL, adapters.DialOptions{Client: s.Client()})
			if err == nil || conn != nil || response == nil || response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") != "5" {
				t.Errorf("Dial: %v, %+v, %v", conn, response, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, _, err := e.Dial(ctx, s.URL, adapters.DialOptions{Client: s.Client()}); !errors.Is(err, context.Canceled) {
				t.Errorf("Dial with a cancelled context: %v", err)
			}
			w := httptest.NewRecorder()
			if _, err := e.Accept(w, httptest.NewRequest(http.MethodGet, "/", nil), adapters.AcceptOptions{}); !errors.Is(err, errors.ErrUnsupported) || w.Code != http.StatusNotImplemented {
				t.Errorf("Accept without hijacking: %v, status %d", err, w.Code)
			}
		})
	}
}

// Protects: the goroutines of a connection whose handshake succeeded just when
// its context ended; TestMain looks for them.
func TestDialEndsTooLate(t *testing.T) {
	for _, e := range []adapters.Engine{adapters.Nhooyr, adapters.Coder} {
		t.Run(e.Name(), func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conn, err := e.Accept(w, r, adapters.AcceptOptions{})
				if err != nil {
					t.Errorf("Accept: %v", err)
					return
				}
				_, _, _ = conn.NextReader() // It ends with the connection.
				_ = conn.CloseNow()
			}))
			defer s.Close()
			ctx, cancel := context.WithCancel(t.Context())
			conn, _, err := e.Dial(ctx, s.URL, adapters.DialOptions{Client: s.Client(), Wrap: func(stream io.ReadWriteCloser) io.ReadWriteCloser {
				cancel() // The server has answered.
				return stream
			}})
			if conn != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("Dial: %v, %v", conn, err)
			}
		})
	}
}

// broken is a writer whose connection cannot be taken over, for a reason of its
// own.
type broken struct{ http.ResponseWriter }

var errBroken = errors.New("broken")

func (broken) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errBroken }

// Protects: the client from a server that fails: the answer says so, and not
// that there never will be a WebSocket.
func TestHijackFails(t *testing.T) {
	for _, e := range []adapters.Engine{adapters.Nhooyr, adapters.Coder} {
		w := httptest.NewRecorder()
		_, err := e.Accept(broken{w}, httptest.NewRequest(http.MethodGet, "/", nil), adapters.AcceptOptions{})
		if !errors.Is(err, errBroken) || w.Code != http.StatusInternalServerError {
			t.Errorf("%s: %v, status %d", e.Name(), err, w.Code)
		}
	}
}

// own is a connection of a library that the package does not know.
type own struct{ adapters.Conn }

func TestDetect(t *testing.T) {
	mine := own{}
	if found, err := adapters.Detect(mine); err != nil || found != adapters.Conn(mine) {
		t.Errorf("Detect of a Conn: %v, %v", found, err)
	}
	for _, unknown := range []any{nil, 1, "text", &net.TCPConn{}, (*nhooyr.Conn)(nil), (*coder.Conn)(nil), (*gorilla.Conn)(nil)} {
		_, err := adapters.Detect(unknown)
		var unsupported *adapters.UnsupportedError
		if !errors.Is(err, errors.ErrUnsupported) || !errors.As(err, &unsupported) || unsupported.Type != fmt.Sprintf("%T", unknown) {
			t.Errorf("Detect of a %T: %v", unknown, err)
		}
	}
}

func ExampleDetect() {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgraded, err := new(gorilla.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		conn, err := adapters.Detect(upgraded)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		_ = conn.WriteMessage(transport.Text, []byte("hello")) // The client sees whether it worked.
	}))
	defer s.Close()

	conn, _, err := adapters.Nhooyr.Dial(context.Background(), s.URL, adapters.DialOptions{Client: s.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.CloseNow()
	kind, r, err := conn.NextReader()
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := io.ReadAll(r)
	fmt.Println(kind, string(data), err)
	// Output: text hello <nil>
}
