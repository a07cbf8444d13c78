package websocket_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/aip-go/aip/transport/websocket"
)

// Protects: messages whose sender may leave, and which the network takes in
// parts, or not at once: they arrive whole and in order.
func TestNetworkTakesParts(t *testing.T) {
	accepted := make(chan *websocket.Transport, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server, err := websocket.Accept(w, r, &websocket.AcceptOptions{Options: &websocket.Options{ReceiveQueueMessages: 1, PingInterval: -1}})
		if err != nil {
			t.Errorf("Accept: %v", err)
		}
		accepted <- server
	}))
	defer s.Close()
	client := websocket.New(&websocket.Options{PingInterval: -1})
	if err := client.Connect(t.Context(), s.URL); err != nil {
		t.Fatal(err)
	}
	server := <-accepted
	for _, way := range []struct{ from, to *websocket.Transport }{{client, server}, {server, client}} {
		ctx, cancel := context.WithCancel(t.Context()) // It could end.
		message := func(i int) string { return fmt.Sprint(i) + strings.Repeat("x", 1000+i*37%15000) }
		stop := make(chan struct{})
		go func() {
			for i, end := 0, ""; end == ""; i++ {
				select {
				case <-stop:
					end = "the end"
				default:
				}
				if err := way.from.Send(ctx, []byte(end+message(i))); err != nil {
					t.Errorf("Send: %v", err)
					return
				}
			}
		}()
		for way.from.Backlog().SendMessages < 2 { // The network takes no more.
			runtime.Gosched()
		}
		close(stop)
		for i, end := 0, false; !end; i++ {
			got, err := way.to.Receive(t.Context())
			rest, last := strings.CutPrefix(string(got), "the end")
			if end = last; err != nil || rest != message(i) {
				t.Fatalf("message %d is %.20q of %d bytes, %v", i, got, len(got), err)
			}
		}
		cancel()
	}
	closeAll(t, client, server)
}
