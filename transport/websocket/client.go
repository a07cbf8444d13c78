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
	own.CheckRedirect = redirects(client.CheckRedirect)
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

// maxRequests is how many requests one Connect makes when it is redirected, as
// net/http has it; the engines would go on without end.
const maxRequests = 10

// redirects returns a redirect policy like the given one, nil for the usual,
// that names no referrer: its query has credentials, and the next server may be
// somebody else's. The usual one does not lead out of TLS: net/http would show a
// server's credentials to all who listen.
func redirects(policy func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	return func(r *http.Request, via []*http.Request) error {
		if via[0].Header.Get("Referer") == "" {
			r.Header.Del("Referer")
		}
		switch {
		case policy != nil:
			return policy(r, via)
		case len(via) >= maxRequests, via[len(via)-1].URL.Scheme == "https" && r.URL.Scheme != "https":
			return http.ErrUseLastResponse
		default:
			return nil
		}
	}
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
