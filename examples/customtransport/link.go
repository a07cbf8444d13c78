package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/aip-go/aip/transport"
)

// A length from control on is none: the lower half is 0 for the server's hello
// and a close code for a goodbye.
const control = 0xFFFF0000

const closeTimeout = 5 * time.Second

var (
	errNoHello = errors.New("the peer does not speak this transport")
)

// link is one connection. Each message is its length in four bytes, then its
// data; a goodbye tells a close from a loss. A link that has ended changes
// nothing any more, so that the next connection is safe from it.
type link struct {
	conn     net.Conn
	machine  *transport.Machine
	received chan []byte
	sending  chan struct{} // holds a token while something is written
	failed   chan error    // the first write that failed
	quit     chan struct{} // closed when this side closes
	done     chan struct{} // closed when the connection has ended
	end      *transport.CloseError
}

func newLink(conn net.Conn, machine *transport.Machine, maxMessage int) *link {
	l := &link{
		conn:     conn,
		machine:  machine,
		received: make(chan []byte, 16),
		sending:  make(chan struct{}, 1),
		failed:   make(chan error, 1),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	go l.read(maxMessage)
	return l
}

// read hands out messages until the connection ends.
func (l *link) read(maxMessage int) {
	r := bufio.NewReader(l.conn)
	for {
		data, err := readMessage(r, maxMessage)
		if err != nil {
			l.finish(err)
			return
		}
		select {
		case l.received <- data:
		case <-l.quit: // Nobody wants it any more.
		}
	}
}

// readMessage returns the next message, or errGoodbye.
func readMessage(r io.Reader, maxMessage int) ([]byte, error) {
	size, err := readLength(r)
	if err != nil {
		return nil, err
	}
	if size > control {
		return nil, &transport.CloseError{Code: transport.StatusCode(size - control), Remote: true}
	}
	if int64(size) > int64(maxMessage) {
		return nil, transport.ErrMessageTooLarge
	}
	data := make([]byte, size)
	_, err = io.ReadFull(r, data)
	return data, err
}

func readLength(r io.Reader) (uint32, error) {
	var length [4]byte
	_, err := io.ReadFull(r, length[:])
	return binary.BigEndian.Uint32(length[:]), err
}

func readHello(r io.Reader) error {
	length, err := readLength(r)
	if err == nil && length != control {
		err = errNoHello
	}
	return err
}

// finish ends the connection because of what reading met. The state decides
// between this and a close at the same moment.
func (l *link) finish(met error) {
	defer close(l.done)
	defer close(l.received)
	defer l.conn.Close()
	var goodbye *transport.CloseError
	tooLarge := met == transport.ErrMessageTooLarge
	switch {
	case errors.As(met, &goodbye) && l.machine.To(transport.Disconnecting) == nil:
		l.end = goodbye
		l.say(transport.StatusNormal)
		_ = l.machine.To(transport.Disconnected)
	case goodbye == nil && l.machine.To(transport.Failed) == nil:
		select {
		case met = <-l.failed: // It was a write that failed first.
		default:
		}
		l.end = &transport.CloseError{Code: transport.StatusAbnormal, Err: met}
		if tooLarge {
			l.end.Code = transport.StatusMessageTooBig
			l.say(l.end.Code)
		}
	default: // This side closes.
		l.end = &transport.CloseError{Code: transport.StatusNormal}
		_ = l.machine.To(transport.Disconnected)
	}
}

// close says goodbye and waits for the peer's, but not for ever.
func (l *link) close() {
	if l.machine.To(transport.Disconnecting) == nil {
		close(l.quit)
		_ = l.conn.SetDeadline(time.Now().Add(closeTimeout))
		l.say(transport.StatusNormal)
	}
	<-l.done
}

// say writes a goodbye.
func (l *link) say(code transport.StatusCode) {
	_ = l.conn.SetWriteDeadline(time.Now().Add(closeTimeout)) // Frees a stuck send, too.
	l.sending <- struct{}{}
	defer func() { <-l.sending }()
	_, _ = l.conn.Write(binary.BigEndian.AppendUint32(nil, control+uint32(code)))
}

// send writes one message. It writes a copy, in a goroutine that ends with the
// connection at the latest, so that ctx can end the call and not the message.
func (l *link) send(ctx context.Context, data []byte) (transport.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return transport.NotSent, err
	}
	select {
	case l.sending <- struct{}{}:
	case <-l.done:
		return transport.NotSent, l.end
	case <-ctx.Done():
		return transport.NotSent, ctx.Err()
	}
	if state := l.machine.State(); state != transport.Connected {
		<-l.sending
		if state == transport.Disconnecting {
			return transport.NotSent, transport.ErrClosed
		}
		<-l.done
		return transport.NotSent, l.end
	}
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
	written := make(chan error, 1)
	go func() {
		defer func() { <-l.sending }()
		_, err := l.conn.Write(frame)
		written <- err
	}()
	select {
	case err := <-written:
		if err != nil {
			select {
			case l.failed <- err:
			default:
			}
			_ = l.conn.Close()
			<-l.done
			return transport.MaybeSent, l.end
		}
		return transport.Sent, nil
	case <-ctx.Done():
		return transport.MaybeSent, ctx.Err()
	}
}

// receive returns the next message, and the end after the last one.
func (l *link) receive(ctx context.Context) ([]byte, error) {
	select {
	case data, ok := <-l.received:
		if !ok {
			return nil, l.end
		}
		return data, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
