package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// echo is a handler that sends back what it receives.
func echo(w http.ResponseWriter, r *http.Request) {
	t, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // The request was answered.
	}
	defer t.Close()
	for {
		data, err := t.Receive(context.Background())
		if err != nil {
			return
		}
		if err := t.Send(context.Background(), data); err != nil {
			return
		}
	}
}

func Example() {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()

	ctx := context.Background()
	t := websocket.New(&websocket.Options{Profile: transport.ProfileLocal})
	if err := t.Connect(ctx, "ws"+strings.TrimPrefix(server.URL, "http")); err != nil {
		fmt.Println(err)
		return
	}
	defer t.Close()
	if err := t.Send(ctx, []byte(`{"type":"heartbeat","status":"ok"}`)); err != nil {
		fmt.Println(err)
		return
	}
	data, err := t.Receive(ctx)
	fmt.Println(string(data), err)
	// Output: {"type":"heartbeat","status":"ok"} <nil>
}

// A server that does not know the token says so once, and trying again does not
// help.
func ExampleHandshakeError() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("token") != "right" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		echo(w, r)
	}))
	defer server.Close()

	t := websocket.New(&websocket.Options{Token: "wrong"})
	err := t.Connect(context.Background(), server.URL)
	var refused *websocket.HandshakeError
	if errors.As(err, &refused) {
		fmt.Println(refused.StatusCode, "retryable:", transport.Retryable(err))
	}
	// Output: 403 retryable: false
}

// A large message passes piece by piece.
func ExampleTransport_SendStream() {
	received := make(chan int64, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // The request was answered.
		}
		defer t.Close()
		_, message, err := t.ReceiveStream(context.Background())
		if err != nil {
			return
		}
		n, err := io.Copy(io.Discard, message)
		if err == nil {
			received <- n
		}
	}))
	defer server.Close()

	ctx := context.Background()
	t := websocket.New(nil)
	if err := t.Connect(ctx, server.URL); err != nil {
		fmt.Println(err)
		return
	}
	defer t.Close()
	screenshot := io.LimitReader(zeros{}, 20<<20)
	if err := t.SendStream(ctx, transport.Binary, screenshot); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-received, "bytes")
	// Output: 20971520 bytes
}

// zeros yields zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// How a connection has ended is in the error.
func ExampleTransport_CloseWith() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // The request was answered.
		}
		_ = t.CloseWith(transport.StatusGoingAway, "maintenance") // The code may be sent.
	})}
	go server.Serve(l)
	defer server.Close()

	ctx := context.Background()
	t := websocket.New(nil)
	if err := t.Connect(ctx, "ws://"+l.Addr().String()); err != nil {
		fmt.Println(err)
		return
	}
	_, err = t.Receive(ctx)
	var end *transport.CloseError
	if errors.As(err, &end) {
		fmt.Println(end.Code, end.Reason, "by the peer:", end.Remote)
	}
	fmt.Println("clean:", errors.Is(err, io.EOF), "retryable:", transport.Retryable(err))
	// Output:
	// 1001 (going away) maintenance by the peer: true
	// clean: true retryable: true
}
