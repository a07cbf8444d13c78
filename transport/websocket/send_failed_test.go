package websocket_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/aip-go/aip/transport/websocket"
)

// Protects: the end of a sender's context, when the network takes nothing more
// and the peer has not closed.
func TestSendEndsWithItsContextAfterAWriteHasFailed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
				"Sec-WebSocket-Accept: " + acceptKey(r.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n"))
		}
		far <- c
	}()
	var conn *net.TCPConn
	client := websocket.New(&websocket.Options{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			conn = c.(*net.TCPConn)
		}
		return c, err
	}}}})
	if err := client.Connect(t.Context(), "ws://"+l.Addr().String()+"/ws"); err != nil {
		t.Fatal(err)
	}
	defer (<-far).Close()
	defer client.Abort(nil)
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	began := time.Now()
	err = client.Send(ctx, []byte("x"))
	t.Logf("%v after %v", err, time.Since(began))
	within(t, "Send", began, 500*time.Millisecond)
}
