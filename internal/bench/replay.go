package main

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// replay is a connection that holds the same message many times over: as
// frames of a WebSocket server if it is asked for an upgrade, and else with a
// length of four bytes.
type replay struct {
	plain, framed []byte
	request       bytes.Buffer

	mu       sync.Mutex
	changed  sync.Cond
	answer   []byte // to the handshake
	frame    []byte
	last     []byte // the close frame
	left     int    // frames
	offset   int    // into frame
	begun    bool
	upgraded bool
	closed   bool
}

// newReplay returns a connection with n messages.
func newReplay(message []byte, n int) *replay {
	r := &replay{left: n}
	r.changed.L = &r.mu
	r.plain = append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)
	r.framed = append([]byte{0x81, 126, byte(len(message) >> 8), byte(len(message))}, message...) // RFC 6455 section 5.2
	r.frame = r.plain
	return r
}

// begin lets the messages be read.
func (r *replay) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = true
	r.changed.Broadcast()
}

// Write answers the request for an upgrade, and takes whatever else comes.
func (r *replay) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, net.ErrClosed
	}
	if r.upgraded {
		return len(p), nil
	}
	r.request.Write(p)
	if !bytes.HasSuffix(r.request.Bytes(), []byte("\r\n\r\n")) {
		return len(p), nil
	}
	request, err := http.ReadRequest(bufio.NewReader(&r.request))
	if err != nil {
		return 0, err
	}
	key := sha1.Sum([]byte(request.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	r.answer = []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(key[:]) + "\r\n\r\n")
	r.upgraded = true
	r.frame = r.framed
	r.last = []byte{0x88, 2, 0x03, 0xe8} // closed normally
	r.changed.Broadcast()
	return len(p), nil
}

// Read reads what there is, and waits until there is something.
func (r *replay) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed && len(r.answer) == 0 && !r.begun {
		r.changed.Wait()
	}
	switch {
	case r.closed:
		return 0, net.ErrClosed
	case len(r.answer) > 0:
		n := copy(p, r.answer)
		r.answer = r.answer[n:]
		return n, nil
	}
	n := 0
	for n < len(p) && r.left > 0 {
		copied := copy(p[n:], r.frame[r.offset:])
		n, r.offset = n+copied, r.offset+copied
		if r.offset == len(r.frame) {
			r.offset = 0
			r.left--
		}
	}
	if n == 0 && len(p) > 0 {
		n = copy(p, r.last)
		r.last = r.last[n:]
		if n == 0 {
			return 0, io.EOF
		}
	}
	return n, nil
}

func (r *replay) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return net.ErrClosed
	}
	r.closed = true
	r.changed.Broadcast()
	return nil
}

func (*replay) LocalAddr() net.Addr  { return new(net.TCPAddr) }
func (*replay) RemoteAddr() net.Addr { return new(net.TCPAddr) }

// A deadline is not needed: no read waits for long.
func (*replay) SetDeadline(time.Time) error      { return nil }
func (*replay) SetReadDeadline(time.Time) error  { return nil }
func (*replay) SetWriteDeadline(time.Time) error { return nil }
