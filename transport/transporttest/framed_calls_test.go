package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aip-go/aip/transport"
)

func notSent(err error) error { return &transport.Error{Op: "send", Err: err} }

// sendFrames puts the frames into the queue when there is room.
func (c *framedConn) sendFrames(ctx context.Context, frames []transport.Frame) error {
	if err := ctx.Err(); err != nil {
		return notSent(err)
	}
	var size int64
	for _, frame := range frames {
		size += int64(len(frame.Data))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.await(ctx, func() bool {
		return c.cause != nil || (!c.streaming || c.flaw(flawMixesStreams)) && (c.fits(&c.out, size) || c.flaw(flawUnboundedSend))
	})
	if c.cause != nil {
		return notSent(c.cause)
	}
	if err != nil {
		if c.flaw(flawCancelKills) {
			c.broken = true
			c.end(&transport.CloseError{Code: transport.StatusAbnormal, Err: err}, true)
		}
		return notSent(err)
	}
	for _, frame := range frames {
		data := frame.Data
		if !c.flaw(flawKeepsBuffer) {
			data = bytes.Clone(data)
		}
		c.out.put(piece{kind: frame.Kind, data: data, first: true, last: true})
	}
	c.signal()
	return nil
}

func (c *framedConn) sendStream(ctx context.Context, kind transport.Kind, r io.Reader) error {
	if err := ctx.Err(); err != nil {
		return notSent(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.await(ctx, func() bool { return c.cause != nil || !c.streaming })
	if c.cause != nil {
		return notSent(c.cause)
	}
	if err != nil {
		return notSent(err)
	}
	c.streaming = true
	defer func() {
		c.streaming = false
		c.signal()
	}()
	var size int64
	for first := true; ; first = false {
		c.mu.Unlock()
		buffer := make([]byte, fragment)
		n, err := 0, error(nil)
		for n < len(buffer) && err == nil {
			var got int
			got, err = r.Read(buffer[n:])
			n += got
		}
		c.mu.Lock()
		size += int64(n)
		if size > c.owner.settings.MaxMessageSize && !c.flaw(flawNoSendLimit) {
			err = transport.ErrMessageTooLarge
		}
		if err != nil && err != io.EOF && !(c.flaw(flawTruncatesStream) && errors.Is(err, io.ErrUnexpectedEOF)) {
			c.broken = true
			c.end(&transport.CloseError{Code: transport.StatusAbnormal, Err: err}, true)
			return &transport.Error{Op: "send", Outcome: transport.MaybeSent, Err: err}
		}
		_ = c.await(context.Background(), func() bool {
			return c.cause != nil || c.fits(&c.out, int64(n)) || c.flaw(flawUnboundedStream)
		})
		if c.cause != nil {
			return &transport.Error{Op: "send", Outcome: transport.MaybeSent, Err: c.cause}
		}
		c.out.put(piece{kind: kind, data: buffer[:n], first: first, last: err != nil})
		c.signal()
		if err != nil {
			return nil
		}
	}
}

// partial is a message of which a part was taken from the queue.
type partial struct {
	kind    transport.Kind
	data    []byte
	last    bool
	discard bool
}

// lockReceive waits for its turn to receive.
func (c *framedConn) lockReceive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	if err := c.await(ctx, func() bool { return !c.taking }); err != nil {
		c.mu.Unlock()
		return err
	}
	c.taking = true
	return nil
}

func (c *framedConn) unlockReceive() {
	c.taking = false
	c.signal()
	c.mu.Unlock()
}

// more takes the next piece. The connection is locked.
func (c *framedConn) more(ctx context.Context) error {
	err := c.await(ctx, func() bool { return len(c.in.list) > 0 || c.cause != nil && !c.flaw(flawReceiveHangs) })
	if err != nil {
		return err
	}
	if len(c.in.list) == 0 {
		if c.partial == nil || c.partial.discard {
			return c.cause
		}
		c.partial = nil
		if c.cause.Is(io.EOF) {
			return fmt.Errorf("incomplete: %w: %v", io.ErrUnexpectedEOF, c.cause)
		}
		return fmt.Errorf("incomplete: %w: %w", io.ErrUnexpectedEOF, c.cause)
	}
	p := c.in.take(1<<30, false)
	c.signal()
	if c.partial == nil {
		c.partial = &partial{kind: p.kind}
	}
	if c.partial.last = p.last; !c.partial.discard {
		c.partial.data = append(c.partial.data, p.data...)
	}
	return nil
}

// begin makes partial a message that is wanted. The connection is locked.
func (c *framedConn) begin(ctx context.Context) error {
	for c.partial == nil || c.partial.discard {
		if c.partial != nil && c.partial.last {
			c.partial = nil
			continue
		}
		if err := c.more(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *framedConn) receive(ctx context.Context) (transport.Frame, error) {
	if err := c.lockReceive(ctx); err != nil {
		return transport.Frame{}, err
	}
	defer c.unlockReceive()
	if err := c.begin(ctx); err != nil {
		return transport.Frame{}, err
	}
	for !c.partial.last {
		if err := c.more(ctx); err != nil {
			if c.flaw(flawForgetsPart) && ctx.Err() != nil {
				c.partial = nil
			}
			return transport.Frame{}, err
		}
	}
	frame := transport.Frame{Kind: c.partial.kind, Data: c.partial.data}
	c.partial = nil
	return frame, nil
}

func (c *framedConn) receiveStream(ctx context.Context) (transport.Kind, io.ReadCloser, error) {
	err := c.lockReceive(ctx)
	if err == nil {
		if err = c.begin(ctx); err != nil {
			c.unlockReceive()
		}
	}
	if err != nil {
		return 0, nil, &transport.Error{Op: "receive", Err: err}
	}
	defer c.mu.Unlock()
	return c.partial.kind, &framedReader{conn: c}, nil
}

// framedReader reads the message whose beginning is in conn.partial.
type framedReader struct {
	conn *framedConn
	err  error
}

func (r *framedReader) Read(p []byte) (int, error) {
	c := r.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	for len(c.partial.data) == 0 {
		if c.partial.last {
			c.partial = nil
			return 0, r.stop(io.EOF)
		}
		if err := c.more(context.Background()); err != nil {
			if c.flaw(flawPartIsWhole) {
				return 0, r.stop(io.EOF)
			}
			return 0, r.stop(&transport.Error{Op: "receive", Err: err})
		}
	}
	n := copy(p, c.partial.data)
	c.partial.data = c.partial.data[n:]
	return n, nil
}

func (r *framedReader) Close() error {
	c := r.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.err == nil {
		c.partial.data, c.partial.discard = nil, !c.flaw(flawKeepsRest)
		_ = r.stop(transport.ErrClosed)
	}
	return nil
}

// stop lets the next receive begin. The connection is locked.
func (r *framedReader) stop(err error) error {
	r.err = err
	r.conn.taking = false
	r.conn.signal()
	return err
}
