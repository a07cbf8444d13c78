package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"

	"go.uber.org/zap"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/adapters"
)

// dial opens a connection that is not started yet.
func (t *Transport) dial(ctx context.Context, address string) (_ *conn, err error) {
	s := t.settings
	if s.err != nil {
		return nil, s.err
	}
	if s.HandshakeTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.HandshakeTimeout)
		defer cancel()
	}
	request, err := s.request(ctx, address)
	if err != nil {
		return nil, err
	}
	var (
		gate    *gate
		network net.Conn
	)
	failed, fail := context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			fail()
		}
	}()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { network = got.Conn },
	})
	client := s.HTTPClient
	if client == nil {
		client = http.DefaultClient
	}
	client = handshakeClient(client, failed)
	link, response, err := s.engine.Dial(ctx, request.URL.String(), adapters.DialOptions{
		Client:        client,
		Header:        request.Header,
		Host:          request.Host,
		Subprotocols:  s.Subprotocols,
		Compression:   s.Compression,
		HandshakeOnly: !s.Compression,
		Wrap: func(stream io.ReadWriteCloser) io.ReadWriteCloser {
			gate = newGate(stream, true)
			return gate
		},
	})
	if err != nil {
		return nil, s.dialError(ctx, request, response, err)
	}
	c := newConn(t, link, gate)
	c.url = transport.RedactURL(address)
	if network != nil {
		c.remote = network.RemoteAddr()
		// Another RoundTripper may have wrapped the stream, or made requests of
		// its own with the same context.
		if _, plain := client.Transport.(*http.Transport); plain {
			gate.nowait = newNowait(network)
			c.readBy(network)
		}
	}
	c.log().Debug("websocket connected", zap.String("subprotocol", link.Subprotocol()))
	return c, nil
}

// request returns the request that opens a connection, with its credentials.
func (s *settings) request(ctx context.Context, address string) (*http.Request, error) {
	u, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	if s.Token != "" {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += "token=" + escape(s.Token)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be requested", transport.ErrInvalidURL)
	}
	if s.Header != nil {
		request.Header = s.Header.Clone()
	}
	if s.Authorize != nil {
		if err := s.Authorize(ctx, request); err != nil {
			return nil, fmt.Errorf("websocket: Authorize: %w", err)
		}
	}
	return request, nil
}

// escape returns a value for a query, without plus signs, which mean a space to
// some servers only.
func escape(value string) string {
	return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

// parseURL checks an address. Its errors quote nothing, because anything in it
// may be a credential.
func parseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: it cannot be parsed; it has to look like ws://host:port/path", transport.ErrInvalidURL)
	case u.Scheme != "ws" && u.Scheme != "wss" && u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%w: the scheme must be ws, wss, http or https", transport.ErrInvalidURL)
	case u.Host == "":
		return nil, fmt.Errorf("%w: it has no host", transport.ErrInvalidURL)
	case u.Fragment != "":
		return nil, fmt.Errorf("%w: it must not have a fragment (RFC 6455 section 3)", transport.ErrInvalidURL)
	default:
		return u, nil
	}
}

// dialError returns the error of a dial without the request's URL, which
// net/http puts in.
func (s *settings) dialError(ctx context.Context, request *http.Request, response *http.Response, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("websocket: no answer to the handshake in time: %w", ctx.Err())
	}
	for {
		var named *url.Error
		if !errors.As(err, &named) {
			break
		}
		err = named.Err
	}
	// The longest first, which contain others.
	password, _ := request.URL.User.Password()
	err = conceal(err, request.URL.RawQuery, request.URL.User.String(), password, escape(s.Token), url.QueryEscape(s.Token), s.Token)
	if response == nil {
		return err
	}
	refused := &HandshakeError{StatusCode: response.StatusCode, Header: response.Header}
	if response.StatusCode == http.StatusSwitchingProtocols {
		refused.Err = err
	}
	return refused
}

// concealed is an error whose own text contains a credential.
type concealed struct {
	error
	text string
}

func (c *concealed) Error() string { return c.text }
func (c *concealed) Unwrap() error { return c.error }

// conceal takes credentials out of the text of an error, which may be that of
// somebody's [http.RoundTripper].
func conceal(err error, secrets ...string) error {
	text := err.Error()
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "redacted")
		}
	}
	if text == err.Error() {
		return err
	}
	return &concealed{error: err, text: text}
}
