package adapters

import (
	"context"
	"io"
	"net/http"
)

// Engine opens WebSockets with one of the libraries.
type Engine interface {
	// Name is the import path of the library.
	Name() string

	// Dial opens a connection to a ws, wss, http or https URL. The context
	// bounds the handshake only. The response is there whenever the server gave
	// one, but has no body. The error may name the URL, with its query.
	Dial(ctx context.Context, url string, opts DialOptions) (Conn, *http.Response, error)

	// Accept answers the handshake of a client, also when middleware has wrapped
	// w in writers with an Unwrap method (see [http.ResponseController]). It
	// does not look at the Origin header: the caller does. On an error it has
	// answered the request.
	Accept(w http.ResponseWriter, r *http.Request, opts AcceptOptions) (Conn, error)
}

// The engines.
var (
	// Nhooyr is nhooyr.io/websocket.
	Nhooyr Engine = nhooyrEngine{}
	// Coder is github.com/coder/websocket, its maintained continuation.
	Coder Engine = coderEngine{}
)

// DialOptions are what an [Engine] needs to dial.
type DialOptions struct {
	// Client sends the handshake request. Its transport's response must have a
	// body that can be written to, as that of [http.Transport] has.
	Client *http.Client
	// Header is sent with the request; it is not changed.
	Header http.Header
	// Host is the Host header, if it is not the URL's.
	Host string
	// Subprotocols are offered in this order.
	Subprotocols []string
	// Compression offers permessage-deflate without context takeover (RFC 7692).
	Compression bool
	// HandshakeOnly says that the caller reads and writes the frames himself,
	// over what is given to Wrap: the library is let go after the handshake, and
	// the Conn has a subprotocol and nothing else. It does not go with
	// Compression.
	HandshakeOnly bool
	// Wrap, if not nil, is called once with the byte stream of the open
	// connection and returns the one to use instead.
	Wrap func(io.ReadWriteCloser) io.ReadWriteCloser
}

// AcceptOptions are what an [Engine] needs to accept.
type AcceptOptions struct {
	// Subprotocols are those the server has, in order of preference. The first
	// one that the client offers is chosen, or else none.
	Subprotocols []string
	// Compression accepts permessage-deflate without context takeover.
	Compression bool
	// HandshakeOnly is as in [DialOptions].
	HandshakeOnly bool
	// Wrap is as in [DialOptions]. It is given a [net.Conn].
	Wrap func(io.ReadWriteCloser) io.ReadWriteCloser
}
