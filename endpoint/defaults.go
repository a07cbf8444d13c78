package endpoint

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// This file alone names a transport: the one that is used when the options
// give no other.

// The reference's server pings each 20 s and waits as long: a connection whose
// other end is gone is found within 40 s, and the client's id is free again.
const (
	pingInterval = 20 * time.Second
	pingTimeout  = 20 * time.Second
)

// dialWebSocket returns a Dialer of WebSockets that shows token, if it is not
// empty, as the query parameter that AIP's servers look for.
func dialWebSocket(token string, logger *zap.Logger) Dialer {
	return func(ctx context.Context, url string) (transport.Transport, error) {
		t := websocket.New(&websocket.Options{
			Token: token, Logger: logger, PingInterval: pingInterval, PingTimeout: pingTimeout,
		})
		if err := t.Connect(ctx, url); err != nil {
			return nil, err
		}
		return t, nil
	}
}

// acceptWebSocket returns a function that accepts WebSockets with messages of
// at most maxSize bytes, of which it receives up to firstSize until its read
// limit is set; from a page only if it is of the same origin.
func acceptWebSocket(firstSize, maxSize int64, logger *zap.Logger) func(http.ResponseWriter, *http.Request) (transport.Transport, error) {
	return func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
		t, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Options: &websocket.Options{
				ReadLimit: firstSize, MaxMessageSize: maxSize, Logger: logger, PingInterval: pingInterval, PingTimeout: pingTimeout,
			},
		})
		if err != nil {
			return nil, err
		}
		return t, nil
	}
}
