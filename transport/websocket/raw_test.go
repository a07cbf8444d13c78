package websocket_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

// The opcodes of RFC 6455 section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// rawFrame is a frame as it is on the wire.
type rawFrame struct {
	fin     bool
	opcode  byte
	payload []byte
}

// bytes returns the frame, masked if a client sends it.
func (f rawFrame) bytes(masked bool) []byte {
	b := []byte{f.opcode, 0}
	if f.fin {
		b[0] |= 0x80
	}
	switch n := len(f.payload); {
	case n < 126:
		b[1] = byte(n)
	case n < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if !masked {
		return append(b, f.payload...)
	}
	b[1] |= 0x80
	mask := []byte{1, 2, 3, 4}
	b = append(b, mask...)
	for i, c := range f.payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

// closeFrame returns a close frame.
func closeFrame(code int, reason string) rawFrame {
	return rawFrame{fin: true, opcode: opClose, payload: append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)}
}

// readFrame reads a frame, of either side.
func readFrame(r io.Reader) (rawFrame, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return rawFrame{}, err
	}
	f := rawFrame{fin: head[0]&0x80 != 0, opcode: head[0] & 0x0f}
	if head[0]&0x70 != 0 {
		return f, fmt.Errorf("reserved bits in %x", head)
	}
	size := uint64(head[1] & 0x7f)
	if size >= 126 {
		long := make([]byte, 8)
		n := 2 + 6*int(size-126)
		if _, err := io.ReadFull(r, long[8-n:]); err != nil {
			return f, err
		}
		size = binary.BigEndian.Uint64(long)
	}
	var mask [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(r, mask[:]); err != nil {
			return f, err
		}
	}
	var payload bytes.Buffer
	if _, err := io.CopyN(&payload, r, int64(size)); err != nil {
		return f, err
	}
	f.payload = payload.Bytes()
	for i := range f.payload {
		f.payload[i] ^= mask[i%4]
	}
	return f, nil
}

// rawConn is a WebSocket without any manners: what the test says is on the
// wire.
type rawConn struct {
	t testing.TB
	net.Conn
	r      *bufio.Reader
	client bool
}

// rawClient connects to the place's server.
func (p *place) rawClient(t testing.TB) *rawConn { return p.raw(t, "") }

// rawCompressing connects and offers compression.
func (p *place) rawCompressing(t testing.TB) *rawConn {
	return p.raw(t, "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n")
}

func (p *place) raw(t testing.TB, header string) *rawConn {
	t.Helper()
	conn, err := p.network.DialContext(t.Context(), "tcp", "server:80")
	if err != nil {
		t.Fatal(err)
	}
	return shakeHands(t, conn, header)
}

// shakeHands opens a connection to a server.
func shakeHands(t testing.TB, conn net.Conn, header string) *rawConn {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() }) // The test may have done so.
	c := &rawConn{t: t, Conn: conn, r: bufio.NewReader(conn), client: true}
	c.write([]byte("GET /ws HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" + header + "\r\n"))
	response, err := http.ReadResponse(c.r, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake: %v, %v", response, err)
	}
	return c
}

// rawServer listens at addr and hands over connections after their handshakes.
func (p *place) rawServer(t testing.TB, addr string) <-chan *rawConn {
	t.Helper()
	conns := make(chan *rawConn, 1)
	serveHTTP(t, p.network.Listen(addr), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		c := &rawConn{t: t, Conn: conn, r: rw.Reader}
		t.Cleanup(func() { _ = conn.Close() }) // The test may have done so.
		c.write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Accept: " + acceptKey(r.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n"))
		conns <- c
	}))
	return conns
}

func (c *rawConn) write(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Errorf("the raw side's write: %v", err)
	}
}

// send sends frames.
func (c *rawConn) send(frames ...rawFrame) {
	c.t.Helper()
	for _, f := range frames {
		c.write(f.bytes(c.client))
	}
}

// next returns the next frame.
func (c *rawConn) next() rawFrame {
	c.t.Helper()
	f, err := readFrame(c.r)
	if err != nil {
		c.t.Fatalf("the raw side's read: %v", err)
	}
	return f
}

// rest returns the frames up to the end of the connection.
func (c *rawConn) rest() []rawFrame {
	c.t.Helper()
	return framesIn(c.t, c.r)
}

// framesIn returns all frames in r. A part of one at the end is ignored.
func framesIn(t testing.TB, r io.Reader) []rawFrame {
	t.Helper()
	var all []rawFrame
	for {
		f, err := readFrame(r)
		if err != nil {
			return all
		}
		all = append(all, f)
	}
}
