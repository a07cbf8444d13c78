package peer

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// rawPeer is what TCP allows without any protocol: a length of four bytes, then
// the message, both in one write.
func rawPeer() Peer { return lengthPeer("raw TCP", false) }

// bufferedPeer combines what is written until its side waits: the limit.
func bufferedPeer() Peer { return lengthPeer("raw TCP buffered", true) }

func lengthPeer(name string, combine bool) Peer {
	return Peer{
		Name:  name,
		Bytes: true,
		Listen: func(serve func(Conn)) (Listener, error) {
			return listenTCP(func(conn net.Conn) Conn { return newLengthConn(conn, conn, combine) }, serve)
		},
		Dial: func(ctx context.Context, addr string, dial DialFunc) (Conn, error) {
			conn, err := dial(ctx, "tcp", addr)
			if err != nil {
				return nil, err
			}
			return newLengthConn(conn, conn, combine), nil
		},
	}
}

// tcpListener accepts plain connections.
type tcpListener struct {
	listener net.Listener
	accepted chan error
	conns    connections
}

func listenTCP(wrap func(net.Conn) Conn, serve func(Conn)) (Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &tcpListener{listener: listener, accepted: make(chan error, 1)}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				l.accepted <- err
				return
			}
			l.conns.serve(wrap(conn), serve)
		}
	}()
	return l, nil
}

func (l *tcpListener) Addr() string { return l.listener.Addr().String() }

func (l *tcpListener) Close() error {
	err := l.listener.Close()
	if accepted := <-l.accepted; !errors.Is(accepted, net.ErrClosed) {
		err = errors.Join(err, accepted)
	}
	l.conns.close()
	return err
}

// lengthConn sends messages with a length before them over a stream of bytes.
type lengthConn struct {
	stream io.ReadWriter
	closer io.Closer
	r      *bufio.Reader
	in     []byte

	mu  sync.Mutex    // of what follows
	out []byte        // one message with its length
	w   *bufio.Writer // nil writes each message by itself
}

func newLengthConn(stream io.ReadWriter, closer io.Closer, combine bool) *lengthConn {
	c := &lengthConn{stream: stream, closer: closer, r: bufio.NewReader(stream)}
	if combine {
		c.w = bufio.NewWriterSize(stream, 64<<10)
	}
	return c
}

func (c *lengthConn) Send(message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.w == nil {
		c.out = binary.BigEndian.AppendUint32(c.out[:0], uint32(len(message)))
		c.out = append(c.out, message...)
		_, err := c.stream.Write(c.out)
		return err
	}
	var header [4]byte
	binary.BigEndian.PutUint32(header[:], uint32(len(message)))
	if _, err := c.w.Write(header[:]); err != nil {
		return err
	}
	_, err := c.w.Write(message)
	return err
}

func (c *lengthConn) Flush() error {
	if c.w == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.w.Flush()
}

func (c *lengthConn) Receive(each func([]byte) error) error {
	for {
		if c.r.Buffered() == 0 {
			if err := c.Flush(); err != nil {
				return err
			}
		}
		var header [4]byte
		if _, err := io.ReadFull(c.r, header[:]); err != nil {
			return err
		}
		size := int(binary.BigEndian.Uint32(header[:]))
		if size > MaxMessage {
			return fmt.Errorf("a message of %d bytes", size)
		}
		if size > cap(c.in) {
			c.in = make([]byte, size)
		}
		c.in = c.in[:size]
		if _, err := io.ReadFull(c.r, c.in); err != nil {
			return err
		}
		if err := each(c.in); err != nil {
			return err
		}
	}
}

func (c *lengthConn) Close() error { return c.closer.Close() }
