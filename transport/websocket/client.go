package websocket

import (
	"context"
	"net"
	"net/http"
)

// handshakeClient returns a client like the given one for a single Connect.
// With an [http.Transport] it leaves nothing behind when failed ends: net/http
// itself goes on dialling, and with the TLS handshake, for later requests.
func handshakeClient(client *http.Client, failed context.Context) *http.Client {
	own := *client
	base := own.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	shared, ok := base.(*http.Transport)
	if !ok {
		return &own
	}
	carrier := shared.Clone()
	carrier.DisableKeepAlives = true
	//lint:ignore SA1019 somebody's transport may still dial with it
	if carrier.DialContext == nil && carrier.Dial == nil {
		carrier.DialContext = new(net.Dialer).DialContext
	}
	carrier.DialContext = endWith(failed, carrier.DialContext)
	carrier.DialTLSContext = endWith(failed, carrier.DialTLSContext)
	own.Transport = carrier
	return &own
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// endWith returns a function that dials and drops the connection when failed
// ends. A nil function stays nil.
func endWith(failed context.Context, dial dialFunc) dialFunc {
	if dial == nil {
		return nil
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(failed, cancel)()
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(failed, func() { _ = conn.Close() }) // The Connect has failed for a better reason.
		return conn, nil
	}
}
