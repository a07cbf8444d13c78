package websocket

import (
	"context"
	"time"

	"github.com/aip-go/aip/transport"
)

// write sends a batch of entries; the caller has the turn. The error is what
// ended the connection.
func (c *conn) write(batch *entry) error {
	var err error
	if c.framed() {
		err = c.writeFrames(batch)
	} else {
		err = c.writeByEngine(batch)
	}
	return c.explain(err)
}

// writeFrames sends a batch as frames of this package's making.
func (c *conn) writeFrames(batch *entry) error {
	unflushed := 0 // bytes
	for e := batch; e != nil; e = e.next {
		for len(e.frames) > 0 {
			if unflushed > 0 && unflushed+e.pieceSize(c.fragments.size()) > maxFragment {
				if err := c.flushPieces(unflushed); err != nil {
					return err
				}
				unflushed = 0
			}
			most, began := c.fragments.size(), time.Now()
			size := e.pieceSize(most)
			n, err := e.writePiece(c.gate, most)
			if err != nil {
				return err
			}
			if n == 0 { // It is on its way already.
				c.wrote(size, time.Since(began))
			}
			unflushed += n
		}
	}
	if unflushed == 0 {
		return nil // Another flush could only find that the connection has ended since.
	}
	return c.flushPieces(unflushed)
}

// flushPieces writes pieces of that size to the network.
func (c *conn) flushPieces(size int) error {
	began := time.Now()
	err := c.gate.flush()
	c.wrote(size, time.Since(began))
	return err
}

// wrote takes note of the time that the network took for pieces of that size.
func (c *conn) wrote(size int, took time.Duration) {
	c.fragments.wrote(size, took)
	c.gate.fragment.Store(int64(c.fragments.size()))
}

// writeByEngine has the engine send a batch.
func (c *conn) writeByEngine(batch *entry) error {
	scratch := getBuffer()
	defer scratch.free()
	unflushed := 0
	for e := batch; e != nil; e = e.next {
		for len(e.frames) > 0 {
			kind := e.frames[0].Kind
			p, last := e.piece(scratch)
			if unflushed+len(p) > maxFragment {
				if err := c.flush(); err != nil {
					return err
				}
				unflushed = 0
			}
			unflushed += len(p)
			if err := c.writePieces(kind, p, last, func() ([]byte, bool, error) {
				p, last := e.piece(scratch)
				unflushed = len(p) // Those before were flushed.
				return p, last, nil
			}); err != nil {
				return err
			}
		}
	}
	return c.flush()
}

// explain returns what ended the connection when an error was met in writing.
func (c *conn) explain(err error) error { return c.explainTo(context.Background(), err) }

// explainTo is explain for a sender who waits for no longer than its context
// allows.
func (c *conn) explainTo(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if err != errCloseSent {
		c.unwritable(err)
	}
	select {
	case <-c.ending: // It is near: whoever sent the close frame, or unwritable, is at it.
		return c.ended()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writePieces sends a message that consists of the piece and, unless that is the
// last one, of those that next returns. The last piece is left to be flushed.
func (c *conn) writePieces(kind transport.Kind, p []byte, last bool, next func() (p []byte, last bool, err error)) error {
	if c.framed() {
		return c.gate.writePieces(kind, p, last, next)
	}
	if last {
		return c.engine(func() error { return c.link.WriteMessage(kind, p) })
	}
	w, err := c.link.NextWriter(kind)
	for ; err == nil; p, last, err = next() {
		if err := c.engine(func() error {
			_, err := w.Write(p)
			return err
		}); err != nil {
			return err
		}
		if last {
			return c.engine(w.Close)
		}
		if err := c.flush(); err != nil {
			return err
		}
	}
	return err
}

// framed reports whether the frames of messages are read and written by this
// package. Those of compressed messages are the engine's, as is everything
// where the stream beneath is out of reach.
func (c *conn) framed() bool { return c.gate != nil && c.gate.framed }

// engine has the engine write a frame. Where there is a gate that goes to
// memory; else to the network, within the bound for that.
func (c *conn) engine(write func() error) error {
	if c.gate == nil {
		c.watch.Start()
		defer c.watch.Stop()
	}
	return write()
}

// flush writes what the gate has collected to the network.
func (c *conn) flush() error {
	if c.gate == nil {
		return nil
	}
	return c.gate.flush()
}
