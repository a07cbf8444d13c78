package websocket

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/adapters"
)

// Engine is a WebSocket library; see [Options.Engine].
type Engine int

// The engines.
const (
	// EngineNhooyr is nhooyr.io/websocket, the default.
	EngineNhooyr Engine = iota
	// EngineCoder is github.com/coder/websocket.
	EngineCoder
)

// SendPolicy says what happens when more than [Options.SendQueueBytes] of
// messages wait to be sent because the peer reads too slowly.
type SendPolicy int

// The policies.
const (
	// SendBlock lets senders wait, each with its own message. Nothing is dropped,
	// and the transport holds no more than 64 KiB of small messages whose senders
	// did not have to wait; see [Transport].
	SendBlock SendPolicy = iota
	// SendDropOldest gives up the message that waits longest and was not begun:
	// its Send fails with [ErrDropped].
	SendDropOldest
	// SendDisconnect gives up the connection, with [ErrSlowPeer].
	SendDisconnect
)

// Options configures a [Transport]. Nil and zero values mean the defaults. The
// value is copied; what it points to must not be changed while it is in use.
type Options struct {
	// Profile replaces the defaults of the fields that it has too, where its
	// values are not zero. The zero value means [transport.ProfileDefault].
	Profile transport.Profile

	// PingInterval is the time between two pings. Default 30 s; negative for no
	// pings, and no detection of a lost peer.
	PingInterval time.Duration
	// PingTimeout is how long nothing at all may arrive after a ping before the
	// connection is given up with [transport.ErrPingTimeout]. A peer that
	// vanished is thus found after at most PingInterval + PingTimeout. Default
	// 180 s; negative for ever.
	PingTimeout time.Duration
	// PingJitter shortens each interval by a random part of it, at most this
	// one, so that connections that began together do not ping together.
	// Default 0.1; negative for none; at most 1.
	PingJitter float64
	// WriteTimeout is how long the peer may take to read 128 KiB before the
	// connection is given up with [transport.ErrWriteTimeout]. As long as the
	// network is fast, up to four times as much is written at once, and has as
	// much more time. Default 60 s; negative for ever.
	WriteTimeout time.Duration
	// CloseTimeout bounds Close: the rest of the message that is being sent,
	// for half of the time, and the closing handshake. Default 10 s; it must
	// not be negative.
	CloseTimeout time.Duration
	// MaxMessageSize is the largest message, in bytes, that is sent. Default
	// 100 MiB; negative for no limit.
	MaxMessageSize int64
	// ReadLimit is the largest message, in bytes, that is received until
	// SetReadLimit changes it; after decompression. Default MaxMessageSize;
	// negative for no limit.
	ReadLimit int64

	// ReceiveQueueBytes and ReceiveQueueMessages bound what was received and
	// not yet taken; beyond that the peer has to wait, and its pings too. A
	// message is let in when nothing else waits, but of one larger than 1 MiB
	// only 1 MiB at a time. For a program that borrows (see Borrow) less is
	// read ahead, if there is a bound at all. Default 1 MiB and 256; negative for
	// no bound.
	ReceiveQueueBytes    int64
	ReceiveQueueMessages int
	// SendQueueBytes is how many bytes may wait to be sent before SendPolicy
	// applies. A message is let in when nothing else waits, however large.
	// Default 1 MiB; negative for no bound.
	SendQueueBytes int64
	// SendPolicy is what happens then. Default [SendBlock].
	SendPolicy SendPolicy

	// Engine is the library that makes the handshake and, with Compression, reads
	// and writes the frames. Default [EngineNhooyr]. It is not used by [Wrap].
	Engine Engine
	// Compression offers, or accepts, the compression of messages
	// (permessage-deflate, RFC 7692) without context takeover. It costs memory,
	// and time, and helps large messages only. Default off. It is not used by
	// Wrap.
	Compression bool
	// Subprotocols are offered by Connect, in this order, or chosen from by
	// Accept, which prefers the first. That none is chosen is no error.
	Subprotocols []string

	// HandshakeTimeout bounds a Connect, in addition to its context. Default
	// 10 s; negative for none.
	HandshakeTimeout time.Duration
	// HTTPClient sends Connect's request, so that its proxies, certificates,
	// cookies and redirect policy apply. If its transport is an
	// [http.Transport] a clone of that is used, which leaves no connections
	// behind; another one must use HTTP/1.1 for the request. A proxy is asked to
	// CONNECT for wss, and to pass on the request for ws. Connections that its
	// DialContext wraps cost a goroutine each; see docs/transport.md. Default
	// [http.DefaultClient].
	HTTPClient *http.Client
	// Header is sent with Connect's request.
	Header http.Header
	// Token is added to Connect's URL as the query parameter "token",
	// percent-encoded, which is where AIP's reference server looks for it.
	Token string
	// Authorize, if not nil, is called with the request of every Connect, after
	// Header and Token were added, and may change its header and URL; for
	// credentials that change. Its error fails the Connect.
	Authorize func(ctx context.Context, r *http.Request) error

	// Logger gets what happens to connections, never what they carry, and no
	// credentials. Nil is silent.
	Logger *zap.Logger
	// Hooks are called when things happen.
	Hooks Hooks
}

// The defaults of what is not in a profile.
const (
	defaultPingJitter       = 0.1
	defaultWriteTimeout     = 60 * time.Second
	defaultHandshakeTimeout = 10 * time.Second
	defaultQueueBytes       = 1 << 20
	defaultQueueMessages    = 256
)

// settings are options with the defaults filled in. Nothing is negative: 0
// means off or without a limit.
type settings struct {
	Options
	engine adapters.Engine
	// err is what is wrong with the options. It is returned by Connect.
	err error
}

// resolve copies the options and fills in the defaults.
func resolve(opts *Options) *settings {
	s := &settings{}
	if opts != nil {
		s.Options = *opts
	}
	p, d := s.Profile, transport.ProfileDefault
	s.PingInterval = pick(s.PingInterval, p.PingInterval, d.PingInterval)
	s.PingTimeout = pick(s.PingTimeout, p.PingTimeout, d.PingTimeout)
	s.PingJitter = pick(s.PingJitter, defaultPingJitter)
	s.WriteTimeout = pick(s.WriteTimeout, defaultWriteTimeout)
	s.HandshakeTimeout = pick(s.HandshakeTimeout, defaultHandshakeTimeout)
	s.MaxMessageSize = pick(s.MaxMessageSize, p.MaxMessageSize, d.MaxMessageSize)
	s.ReadLimit = pick(s.ReadLimit, s.MaxMessageSize)
	s.ReceiveQueueBytes = pick(s.ReceiveQueueBytes, defaultQueueBytes)
	s.ReceiveQueueMessages = pick(s.ReceiveQueueMessages, defaultQueueMessages)
	s.SendQueueBytes = pick(s.SendQueueBytes, defaultQueueBytes)

	invalid := func(format string, args ...any) {
		if s.err == nil {
			s.err = fmt.Errorf("%w: %s", transport.ErrInvalidOptions, fmt.Sprintf(format, args...))
		}
	}
	if s.CloseTimeout < 0 || p.CloseTimeout < 0 {
		invalid("websocket: CloseTimeout is negative, but every close needs a bound")
	}
	s.CloseTimeout = pick(s.CloseTimeout, p.CloseTimeout, d.CloseTimeout)
	if !(s.PingJitter <= 1) {
		invalid("websocket: PingJitter is %v, more than the whole interval", s.PingJitter)
	}
	if s.SendPolicy < SendBlock || s.SendPolicy > SendDisconnect {
		invalid("websocket: there is no SendPolicy %d", s.SendPolicy)
	}
	switch s.Engine {
	case EngineNhooyr:
		s.engine = adapters.Nhooyr
	case EngineCoder:
		s.engine = adapters.Coder
	default:
		invalid("websocket: there is no Engine %d", s.Engine)
	}
	for _, name := range s.Subprotocols {
		if !isToken(name) {
			invalid("websocket: %q cannot be the name of a subprotocol", name)
		}
	}
	s.Subprotocols = slices.Clone(s.Subprotocols)
	s.Header = s.Header.Clone()
	if s.Logger == nil {
		s.Logger = zap.NewNop()
	}
	return s
}

// pick returns the first of the values that is not zero, or zero where that is
// negative.
func pick[T int | int64 | float64 | time.Duration](values ...T) T {
	for _, v := range values {
		if v != 0 {
			return max(v, 0)
		}
	}
	return 0
}

// isToken reports whether s is a token of HTTP (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case slices.Contains([]byte("!#$%&'*+-.^_`|~"), c):
		default:
			return false
		}
	}
	return s != ""
}
