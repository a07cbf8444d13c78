package adapters_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/adapters"
)

// TestHandshakeOnly: the library is gone after the handshake, and the stream is
// the caller's, on both sides. TestMain looks for the library's goroutines.
func TestHandshakeOnly(t *testing.T) {
	for _, e := range []adapters.Engine{adapters.Nhooyr, adapters.Coder} {
		t.Run(e.Name(), func(t *testing.T) {
			var near, far io.ReadWriteCloser
			hold := func(into *io.ReadWriteCloser) func(io.ReadWriteCloser) io.ReadWriteCloser {
				return func(stream io.ReadWriteCloser) io.ReadWriteCloser {
					*into = stream
					return stream
				}
			}
			accepted := make(chan adapters.Conn, 1)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conn, err := e.Accept(w, r, adapters.AcceptOptions{Subprotocols: []string{"aip"}, HandshakeOnly: true, Wrap: hold(&far)})
				if err != nil {
					t.Errorf("Accept: %v", err)
				}
				accepted <- conn
			}))
			defer s.Close()
			client, _, err := e.Dial(t.Context(), s.URL, adapters.DialOptions{
				Client: s.Client(), Subprotocols: []string{"aip"}, HandshakeOnly: true, Wrap: hold(&near),
			})
			if err != nil {
				t.Fatalf("Dial: %v", err)
			}
			server := <-accepted
			for _, conn := range []adapters.Conn{client, server} {
				if conn.Subprotocol() != "aip" {
					t.Errorf("the subprotocol is %q", conn.Subprotocol())
				}
				if err := conn.CloseNow(); err != nil {
					t.Errorf("CloseNow: %v", err)
				}
				_, _, read := conn.NextReader()
				_, begin := conn.NextWriter(transport.Text)
				for _, err := range []error{
					read, begin, conn.WriteMessage(transport.Text, nil), conn.Ping(t.Context()), conn.WriteClose(transport.StatusNormal, ""),
				} {
					if !errors.Is(err, errors.ErrUnsupported) {
						t.Errorf("%v, want an error that matches %q", err, errors.ErrUnsupported)
					}
				}
			}
			for _, way := range []struct{ from, to io.ReadWriteCloser }{{near, far}, {far, near}} {
				if _, err := way.from.Write([]byte("bytes")); err != nil {
					t.Errorf("writing to the stream: %v", err)
				}
				got := make([]byte, 5)
				if _, err := io.ReadFull(way.to, got); err != nil || string(got) != "bytes" {
					t.Errorf("read %q, %v", got, err)
				}
			}
			for _, stream := range []io.Closer{near, far} {
				if err := stream.Close(); err != nil {
					t.Errorf("closing the stream: %v", err)
				}
			}
		})
	}
}
