package websocket

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strings"

	"go.uber.org/zap"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/adapters"
)

// AcceptOptions configures [Accept]. Nil and zero values mean the defaults. The
// value is copied.
type AcceptOptions struct {
	// Options are those of the connection. Those about dialling are not used.
	Options *Options

	// OriginPatterns are other sites whose pages may connect from a browser. A
	// pattern is matched with [path.Match] against the host of the Origin header
	// with its port, as in "*.example.com", or, if it contains "://", against
	// the scheme too, as in "https://example.com:8443"; without regard to case.
	// The bracket of an IPv6 address is written as in `\[2001:db8::1]:8443`.
	// Without patterns only pages from the host of the request may connect, and
	// where that came over TLS only such as came over TLS themselves.
	OriginPatterns []string
	// AllowAnyOrigin lets the pages of all sites connect. That is dangerous
	// where the browser adds credentials by itself, such as cookies.
	AllowAnyOrigin bool
}

// Accept answers a client's handshake in the handler of a server and returns a
// connected transport. Who the client is must have been checked before. The
// handler may return; the transport lives on, independent of the request's
// context, until it is closed or lost, and [http.Server.Shutdown] neither knows
// nor waits for it.
//
// The error is an [*AcceptError]; the request was answered then. It works with
// any server of HTTP/1.1, also when middleware has wrapped w in a writer with an
// Unwrap method.
//
// The transport cannot Connect again.
func Accept(w http.ResponseWriter, r *http.Request, opts *AcceptOptions) (*Transport, error) {
	var o AcceptOptions
	if opts != nil {
		o = *opts
	}
	s := resolve(o.Options)
	status, err := o.check(s, w, r)
	if err != nil {
		http.Error(w, publicText(status, err), status)
		return nil, &AcceptError{StatusCode: status, Err: err}
	}
	var (
		gate    *gate
		remote  net.Addr
		network any
	)
	link, err := s.engine.Accept(w, r, adapters.AcceptOptions{
		Subprotocols:  s.Subprotocols,
		Compression:   s.Compression,
		HandshakeOnly: !s.Compression,
		Wrap: func(stream io.ReadWriteCloser) io.ReadWriteCloser {
			if addressed, ok := stream.(interface{ RemoteAddr() net.Addr }); ok {
				remote = addressed.RemoteAddr()
			}
			network, gate = stream, newGate(stream, false)
			gate.nowait = newNowait(stream)
			return gate
		},
	})
	if err != nil {
		status := http.StatusInternalServerError
		if errors.Is(err, errors.ErrUnsupported) {
			status = http.StatusNotImplemented
		}
		return nil, &AcceptError{StatusCode: status, Err: err}
	}
	t := newTransport(s)
	c := newConn(t, link, gate)
	c.remote = remote
	c.readBy(network)
	c.log().Debug("websocket accepted", zap.String("subprotocol", link.Subprotocol()))
	t.adopt(c)
	return t, nil
}

// publicText is what a client is told about a refusal: not what the server's
// program did wrong.
func publicText(status int, err error) string {
	if status >= http.StatusInternalServerError && status != http.StatusHTTPVersionNotSupported {
		return http.StatusText(status)
	}
	return err.Error()
}

// check refuses what cannot be accepted, with the status to answer.
func (o *AcceptOptions) check(s *settings, w http.ResponseWriter, r *http.Request) (int, error) {
	if s.err != nil {
		return http.StatusInternalServerError, s.err
	}
	for _, pattern := range o.OriginPatterns {
		if _, err := path.Match(pattern, ""); err != nil {
			return http.StatusInternalServerError, fmt.Errorf("%w: websocket: origin pattern %q", transport.ErrInvalidOptions, pattern)
		}
	}
	if status, err := checkHandshake(w.Header(), r); err != nil {
		return status, err
	}
	if err := o.checkOrigin(r); err != nil {
		return http.StatusForbidden, err
	}
	return 0, nil
}

// checkHandshake checks a request against RFC 6455 section 4.2.1. It adds what
// a refusal needs to the answer's header.
func checkHandshake(answer http.Header, r *http.Request) (int, error) {
	refuse := func(status int, what string) (int, error) {
		return status, fmt.Errorf("%w: %s", ErrNotWebSocket, what)
	}
	switch {
	case r.ProtoMajor > 1:
		return refuse(http.StatusHTTPVersionNotSupported, "it needs HTTP/1.1, not "+r.Proto)
	case !r.ProtoAtLeast(1, 1):
		return refuse(http.StatusUpgradeRequired, "it needs HTTP/1.1, not "+r.Proto)
	case r.Method != http.MethodGet:
		answer.Set("Allow", http.MethodGet)
		return refuse(http.StatusMethodNotAllowed, "the method is "+r.Method+", not GET")
	case !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket"):
		answer.Set("Connection", "Upgrade")
		answer.Set("Upgrade", "websocket")
		return refuse(http.StatusUpgradeRequired, "it does not ask for an upgrade to websocket")
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		answer.Set("Sec-WebSocket-Version", "13")
		return refuse(http.StatusUpgradeRequired, "Sec-WebSocket-Version is not 13")
	}
	keys := r.Header.Values("Sec-WebSocket-Key")
	if len(keys) != 1 {
		return refuse(http.StatusBadRequest, "there must be one Sec-WebSocket-Key")
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0])); err != nil || len(key) != 16 {
		return refuse(http.StatusBadRequest, "Sec-WebSocket-Key is not 16 bytes in base64")
	}
	return 0, nil
}

// hasToken reports whether a header that is a list has the token, without
// regard to case.
func hasToken(h http.Header, name, token string) bool {
	for _, value := range h.Values(name) {
		for t := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
