package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

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

// credentialsTimeout bounds one call of Credentials.
const credentialsTimeout = 10 * time.Second

// webSockets dials the WebSockets of one link, one after the other.
type webSockets struct {
	dialing
	client  *http.Client // nil for the default
	refused string       // the token that was refused last, and none accepted since
}

// dialWebSockets returns a Dialer for one link. A token is shown as the query
// parameter that AIP's servers look for, credentials as a header.
func dialWebSockets(d dialing) Dialer {
	w := &webSockets{dialing: d}
	if d.tls != nil {
		// Not what the program has made of the default one: that may have a TLS
		// of its own.
		w.client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: d.tls.Clone()}}
	}
	return w.dial
}

// dial connects. A token that is refused is replaced once, if there is another.
func (w *webSockets) dial(ctx context.Context, url string) (transport.Transport, error) {
	if w.tls != nil && !strings.HasPrefix(url, "wss:") && !strings.HasPrefix(url, "https:") {
		return nil, fmt.Errorf("%w: TLS is set, so it has to be wss", transport.ErrInvalidURL)
	}
	var refusal error
	for {
		bearer, err := w.bearer(ctx, url)
		if err != nil {
			return nil, err
		}
		if refusal != nil && bearer == w.refused {
			return nil, refusal
		}
		t, err := w.connect(ctx, url, bearer)
		if err == nil {
			w.refused = ""
			return t, nil
		}
		if w.credentials == nil || !refusesToken(err) {
			return nil, err
		}
		w.refused = bearer
		if refusal != nil {
			return nil, err
		}
		refusal = err
	}
}

// bearer returns the token to show now.
func (w *webSockets) bearer(ctx context.Context, url string) (string, error) {
	if w.credentials == nil {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, credentialsTimeout)
	defer cancel()
	token, err := w.credentials(ctx, CredentialsRequest{URL: transport.RedactURL(url), Refused: w.refused})
	if err != nil {
		return "", fmt.Errorf("endpoint: Credentials: %w", err)
	}
	if strings.ContainsFunc(token, unicode.IsControl) {
		return "", fmt.Errorf("%w: endpoint: Credentials: the token has control characters, which no header can have", transport.ErrInvalidOptions)
	}
	return token, nil
}

func (w *webSockets) connect(ctx context.Context, url, bearer string) (transport.Transport, error) {
	o := websocket.Options{
		Token: w.token, HTTPClient: w.client, Logger: w.logger, PingInterval: pingInterval, PingTimeout: pingTimeout,
	}
	if bearer != "" {
		o.Header = http.Header{"Authorization": {"Bearer " + bearer}}
	}
	t := websocket.New(&o)
	if err := t.Connect(ctx, url); err != nil {
		if refusesCertificate(err) {
			err = &certificateError{err}
		}
		return nil, err
	}
	return t, nil
}

// refusesToken reports whether a server has answered that the credentials are
// not the right ones.
func refusesToken(err error) bool {
	var answer *websocket.HandshakeError
	return errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden)
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
