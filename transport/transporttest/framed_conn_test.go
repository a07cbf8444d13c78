package transporttest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aip-go/aip/transport"
)

// framedConn is one connection of a framed transport. Four goroutines serve
// it: one reads, one writes, one pings, and one waits for the end.
type framedConn struct {
	owner   *framed
	net     net.Conn
	done    chan struct{}          // closed when all goroutines have stopped
	notices transport.CloseNotices // of done

	mu        sync.Mutex
	changed   chan struct{}
	out, in   pieces
	streaming bool     // a stream is being sent
	taking    bool     // a message is being received
	partial   *partial // what a receive has taken already
	inFull    bool     // the reader waits for the receiver

	pingWanted, pingSent, ponged uint64
	pongWanted                   uint64
	reads                        uint64

	cause                    *transport.CloseError
	failed                   bool // the state is failed
	broken                   bool // net can no longer be used
	stopped                  bool
	closeSent, closeReceived bool
	kind                     transport.Kind // of the message that is arriving
	size, limit              int64
	tail                     []byte
}

// piece is a message or a part of one.
type piece struct {
	kind        transport.Kind
	data        []byte
	first, last bool
}

// pieces is a queue.
type pieces struct {
	list     []piece
	bytes    int64
	messages int
}

func (q *pieces) put(p piece) {
	q.list = append(q.list, p)
	q.bytes += int64(len(p.data))
	if p.first {
		q.messages++
	}
}

// take removes up to n bytes of the oldest piece, and moves what is left of it
// to the end if it is to rotate.
func (q *pieces) take(n int, rotate bool) piece {
	p := q.list[0]
	if p.first {
		q.messages--
	}
	if len(p.data) > n {
		q.list[0].data, q.list[0].first = p.data[n:], false
		p.data, p.last = p.data[:n], false
		if rotate {
			q.list = append(q.list[1:], q.list[0])
		}
	} else {
		q.list = q.list[1:]
	}
	q.bytes -= int64(len(p.data))
	return p
}

// The frames of the wire: an operation and a length of four bytes.
const (
	opText  = byte(transport.Text)
	opMore  = 0
	opClose = 8
	opPing  = 9
	opPong  = 10
	opLast  = 0x80

	fragment = 16 << 10
)

func newFramedConn(owner *framed, conn net.Conn) *framedConn {
	return &framedConn{owner: owner, net: conn, done: make(chan struct{})}
}

func (c *framedConn) flaw(f flaw) bool { return c.owner.flaw == f }

// signal wakes everybody. The connection is locked.
func (c *framedConn) signal() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// await waits for a condition. The connection is locked, but not while it waits.
func (c *framedConn) await(ctx context.Context, ready func() bool) error {
	for !ready() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		c.mu.Lock()
	}
	return nil
}

// run serves the connection to its end.
func (c *framedConn) run() {
	var running sync.WaitGroup
	running.Go(c.read)
	running.Go(c.write)
	if c.flaw(flawCloseLeaks) {
		go c.keepAlive()
	} else {
		running.Go(c.keepAlive)
	}

	background := context.Background()
	c.mu.Lock()
	_ = c.await(background, func() bool { return c.cause != nil })
	ctx, cancel := context.WithTimeout(background, c.owner.settings.CloseTimeout)
	if c.flaw(flawUnboundedClose) {
		cancel()
		ctx, cancel = context.WithTimeout(background, time.Minute)
	}
	_ = c.await(ctx, func() bool {
		return c.broken && !c.flaw(flawCutIgnored) || c.closeSent && (c.closeReceived || c.failed)
	})
	cancel()
	c.stopped = true
	c.signal()
	c.mu.Unlock()
	if !c.flaw(flawAbortLeavesOpen) || !c.failed {
		_ = c.net.Close()
		running.Wait()
	}
	c.mu.Lock()
	if !c.failed {
		c.to(transport.Disconnected)
	}
	c.mu.Unlock()
	close(c.done)
	c.notices.Notify()
	if c.flaw(flawLateEnd) {
		c.mu.Lock()
		c.wait(100*time.Millisecond, func() bool { return false })
		c.mu.Unlock()
		c.to(transport.Failed)
	}
}

func (c *framedConn) to(states ...transport.State) {
	for _, s := range states {
		_ = c.owner.machine.To(s)
	}
}

// fail ends the connection as a loss.
func (c *framedConn) fail(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
	if c.flaw(flawLosesCause) && cause != nil {
		cause = errors.New(cause.Error())
	}
	c.end(&transport.CloseError{Code: transport.StatusAbnormal, Err: cause}, true)
}

// end decides how the connection ends, once. The connection is locked.
func (c *framedConn) end(cause *transport.CloseError, failed bool) {
	if c.cause == nil {
		c.cause, c.failed = cause, failed
		if failed {
			c.to(transport.Failed)
		} else {
			c.to(transport.Disconnecting)
		}
		if cause.Remote || failed {
			c.out = pieces{} // Nobody reads it any more.
		}
		if c.flaw(flawEndDropsReceived) {
			c.in = pieces{}
		}
	}
	c.signal()
}

func (c *framedConn) close(code transport.StatusCode, reason string) {
	c.mu.Lock()
	c.end(&transport.CloseError{Code: code, Reason: reason}, false)
	c.mu.Unlock()
	<-c.done
}

func (c *framedConn) loss() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed || c.cause.Remote && !c.cause.Clean() {
		return c.cause
	}
	return nil
}

// write writes what there is to write: pings and pongs, messages, and the
// close frame after them.
func (c *framedConn) write() {
	for {
		c.mu.Lock()
		_ = c.await(context.Background(), func() bool {
			return c.stopped || c.broken || c.pingWanted > c.pingSent || c.pongWanted > 0 ||
				len(c.out.list) > 0 || c.cause != nil && !c.closeSent
		})
		if c.stopped || c.broken {
			c.mu.Unlock()
			return
		}
		op, payload := c.nextWrite()
		c.mu.Unlock()
		header := append([]byte{op}, binary.BigEndian.AppendUint32(nil, uint32(len(payload)))...)
		_, err := c.net.Write(append(header, payload...))
		c.mu.Lock()
		if err == nil && op&^opLast == opClose {
			c.closeSent = true
			c.signal()
		}
		c.mu.Unlock()
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// nextWrite returns the next frame. The connection is locked.
func (c *framedConn) nextWrite() (op byte, payload []byte) {
	defer c.signal()
	size := fragment
	if c.flaw(flawNoFragments) {
		size = 1 << 30
	}
	switch {
	case c.pongWanted > 0 && !(c.flaw(flawPongsLast) && len(c.out.list) > 0):
		id := c.pongWanted
		c.pongWanted = 0
		return opPong, binary.BigEndian.AppendUint64(nil, id)
	case c.pingWanted > c.pingSent:
		c.pingSent = c.pingWanted
		return opPing, binary.BigEndian.AppendUint64(nil, c.pingSent)
	case len(c.out.list) > 0 && !(c.flaw(flawCloseDrops) && c.cause != nil):
		p := c.out.take(size, c.flaw(flawMixesFragments))
		if p.first {
			op = byte(p.kind)
		}
		if p.last {
			op |= opLast
		}
		return op, p.data
	default:
		code := c.cause.Code
		if c.flaw(flawCloseCode) {
			code = transport.StatusNormal
		}
		return opClose, append(binary.BigEndian.AppendUint16(nil, uint16(code)), c.cause.Reason...)
	}
}

// Read notes that the peer is alive.
func (c *framedConn) Read(p []byte) (int, error) {
	n, err := c.net.Read(p)
	c.mu.Lock()
	c.reads++
	c.signal()
	c.mu.Unlock()
	return n, err
}

// read reads frames to the end of the connection.
func (c *framedConn) read() {
	r := bufio.NewReader(c)
	for {
		op, payload, err := c.readFrame(r)
		switch {
		case err == nil:
			err = c.handle(op, payload)
		case err == io.EOF && c.flaw(flawLossIsEOF):
			c.mu.Lock()
			c.closeReceived, c.closeSent = true, true
			c.end(&transport.CloseError{Code: transport.StatusNoStatus, Remote: true}, false)
			c.mu.Unlock()
			return
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			err = io.ErrUnexpectedEOF // The peer has said nothing of an end.
		}
		var violation *transport.CloseError
		switch {
		case errors.Is(err, errClosed):
			return
		case errors.As(err, &violation):
			c.mu.Lock()
			c.end(violation, true)
			c.mu.Unlock()
			return
		case err != nil:
			c.fail(err)
			return
		}
	}
}

// errClosed ends the reader after a close frame.
var errClosed = errors.New("closed")

func (c *framedConn) readFrame(r io.Reader) (op byte, payload []byte, err error) {
	var header [5]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	op, size := header[0], binary.BigEndian.Uint32(header[1:])
	if op&^opLast < opClose {
		if err := c.admit(op, int64(size)); err != nil {
			return 0, nil, err
		}
	}
	payload = make([]byte, size)
	n, err := io.ReadFull(r, payload)
	if err != nil && c.flaw(flawDeliversParts) && op&^opLast < opClose && n > 0 {
		return op | opLast, payload[:n], nil
	}
	return op, payload, err
}

// admit checks the size of a message that begins or goes on.
func (c *framedConn) admit(op byte, size int64) error {
	limit := c.owner.limit()
	c.mu.Lock()
	defer c.mu.Unlock()
	if kind := transport.Kind(op &^ opLast); kind != opMore {
		c.kind, c.size, c.limit, c.tail = kind, 0, limit, nil
	}
	c.size += size
	if c.size > c.limit && !c.flaw(flawNoReceiveLimit) || c.flaw(flawLimitOffByOne) && c.size == c.limit {
		if c.flaw(flawLimitIsLoss) {
			return transport.ErrMessageTooLarge
		}
		return &transport.CloseError{Code: transport.StatusMessageTooBig, Err: transport.ErrMessageTooLarge}
	}
	return nil
}

// handle takes in one frame.
func (c *framedConn) handle(op byte, payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.signal()
	switch op {
	case opPing:
		if !c.flaw(flawNoPongs) {
			c.pongWanted = binary.BigEndian.Uint64(payload)
		}
		return nil
	case opPong:
		c.ponged = binary.BigEndian.Uint64(payload)
		return nil
	case opClose:
		c.closeReceived = true
		code := transport.StatusCode(binary.BigEndian.Uint16(payload))
		c.end(&transport.CloseError{Code: code, Reason: string(payload[2:]), Remote: true}, false)
		return errClosed
	}
	last := op&opLast != 0
	if c.kind == transport.Text && !c.isText(payload, last) && !c.flaw(flawNoUTF8Check) {
		return &transport.CloseError{Code: transport.StatusInvalidPayload, Err: transport.ErrInvalidUTF8}
	}
	c.inFull = true
	_ = c.await(context.Background(), func() bool {
		return c.cause != nil || c.fits(&c.in, int64(len(payload))) || c.flaw(flawUnboundedReceive)
	})
	c.inFull = false
	if c.cause == nil || c.fits(&c.in, int64(len(payload))) {
		c.in.put(piece{kind: c.kind, data: payload, first: op&^opLast != opMore, last: last})
	}
	return nil
}

// isText checks a text that comes in pieces.
func (c *framedConn) isText(payload []byte, last bool) bool {
	if c.flaw(flawChecksPieces) {
		return utf8.Valid(payload)
	}
	c.tail = append(c.tail, payload...)
	end := len(c.tail)
	for i := end - 1; i >= max(0, end-utf8.UTFMax+1); i-- {
		if utf8.RuneStart(c.tail[i]) {
			if !utf8.FullRune(c.tail[i:]) {
				end = i
			}
			break
		}
	}
	ok := utf8.Valid(c.tail[:end])
	c.tail = bytes.Clone(c.tail[end:])
	return ok && (!last || len(c.tail) == 0)
}

func (c *framedConn) fits(q *pieces, n int64) bool {
	return len(q.list) == 0 || q.bytes+n <= c.owner.settings.QueueBytes
}
