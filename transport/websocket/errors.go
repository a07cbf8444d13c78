package websocket

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Sentinel errors, to be matched with errors.Is.
var (
	// ErrDropped: the message was given up because too much waited to be sent;
	// it was not sent ([SendDropOldest]).
	ErrDropped = errors.New("websocket: message dropped, newer ones took its place in the send queue")
	// ErrSlowPeer: the connection was given up because too much waited to be
	// sent ([SendDisconnect]).
	ErrSlowPeer = errors.New("websocket: send queue full, the peer reads too slowly")
	// ErrProtocol: the peer broke the WebSocket protocol.
	ErrProtocol = errors.New("websocket: the peer broke the protocol")
	// ErrNotWebSocket: the request is not a WebSocket handshake.
	ErrNotWebSocket = errors.New("websocket: not a WebSocket handshake")
	// ErrOrigin: a browser sent the request for a page of another site, which
	// [AcceptOptions] does not allow.
	ErrOrigin = errors.New("websocket: origin not allowed")
)

// HandshakeError is a server's answer that did not open a WebSocket.
type HandshakeError struct {
	// StatusCode is the answer's HTTP status. It is 101 when the rest of the
	// answer was wrong.
	StatusCode int
	// Header is the answer's header, with Retry-After where the server gave
	// one.
	Header http.Header
	// Err says what is wrong with an answer of status 101.
	Err error
}

// Error names the status and what can be done about it.
func (e *HandshakeError) Error() string {
	text := "websocket: the server answered the handshake with " + strconv.Itoa(e.StatusCode)
	if status := http.StatusText(e.StatusCode); status != "" {
		text += " " + status
	}
	switch e.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		text += "; check the token, the path and the origin"
	case http.StatusNotFound:
		text += "; check the path"
	case http.StatusOK:
		text += "; there is no WebSocket at this URL"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns what is wrong with an answer of status 101.
func (e *HandshakeError) Unwrap() error { return e.Err }

// Retryable reports whether the same request can be answered differently later:
// after 408, 425, 429 and what is a server's trouble (5xx, but not 501 and 505).
func (e *HandshakeError) Retryable() bool {
	switch e.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	default:
		return e.StatusCode >= 500
	}
}

// RetryAfter returns how long the server asks to wait before the next try (RFC
// 9110 section 10.2.3), and whether it does.
func (e *HandshakeError) RetryAfter() (time.Duration, bool) {
	value := e.Header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 1<<31)) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), 0), true
	}
	return 0, false
}

// AcceptError is a request that [Accept] refused. The request was answered.
type AcceptError struct {
	// StatusCode is the HTTP status of the answer.
	StatusCode int
	// Err is the reason. It matches [ErrNotWebSocket], [ErrOrigin],
	// [errors.ErrUnsupported] for a server whose connections cannot be taken
	// over, or [transport.ErrInvalidOptions].
	Err error
}

// Error returns the reason and the status.
func (e *AcceptError) Error() string {
	return fmt.Sprintf("%v (answered with %d %s)", e.Err, e.StatusCode, http.StatusText(e.StatusCode))
}

// Unwrap returns the reason.
func (e *AcceptError) Unwrap() error { return e.Err }
