package websocket

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// defaultClient is the client of a Connect without [Options.HTTPClient]. It
// keeps no idle connections, and nothing of a Connect that has failed: net/http
// itself goes on dialling for later requests.
var defaultClient = sync.OnceValue(func() *http.Client {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultClient
	}
	own := base.Clone()
	own.DisableKeepAlives = true
	dial := own.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	own.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		failed, ok := ctx.Value(failedKey{}).(context.Context)
		if !ok {
			return dial(ctx, network, address)
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(failed, cancel)()
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		// This ends the TLS handshake, or the one with a proxy.
		context.AfterFunc(failed, func() { _ = conn.Close() })
		return conn, nil
	}
	return &http.Client{Transport: own}
})

// failedKey is the key of a context that ends when the Connect has failed. The
// values of contexts reach the dialling, their end does not.
type failedKey struct{}
