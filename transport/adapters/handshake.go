package adapters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"github.com/aip-go/aip/transport"
)

// stream is the byte stream of a connection as a library has it, until it is
// taken away.
type stream struct {
	io.ReadWriteCloser
	taken atomic.Bool
}

func (s *stream) Read(p []byte) (int, error) {
	if s.taken.Load() {
		return 0, net.ErrClosed
	}
	return s.ReadWriteCloser.Read(p)
}

func (s *stream) Write(p []byte) (int, error) {
	if s.taken.Load() {
		return 0, net.ErrClosed
	}
	return s.ReadWriteCloser.Write(p)
}

func (s *stream) Close() error {
	if s.taken.Load() {
		return nil
	}
	return s.ReadWriteCloser.Close()
}

// handshake is what is left of a connection whose stream was taken away from
// its library.
type handshake struct{ subprotocol string }

// letGo ends the library's connection, and leaves its stream open.
func letGo(conn interface {
	Subprotocol() string
	CloseNow() error
}, s *stream) Conn {
	h := &handshake{conn.Subprotocol()}
	s.taken.Store(true)
	_ = conn.CloseNow() // It closes nothing any more.
	return h
}

var errHandshakeOnly = fmt.Errorf("adapters: the connection was opened for its handshake only: %w", errors.ErrUnsupported)

func (*handshake) NextReader() (transport.Kind, io.Reader, error)    { return 0, nil, errHandshakeOnly }
func (*handshake) WriteMessage(transport.Kind, []byte) error         { return errHandshakeOnly }
func (*handshake) NextWriter(transport.Kind) (io.WriteCloser, error) { return nil, errHandshakeOnly }
func (*handshake) Ping(context.Context) error                        { return errHandshakeOnly }
func (*handshake) WriteClose(transport.StatusCode, string) error     { return errHandshakeOnly }
func (*handshake) CloseNow() error                                   { return nil }
func (h *handshake) Subprotocol() string                             { return h.subprotocol }
