package websocket

import (
	"io"

	"github.com/aip-go/aip/transport"
)

// write sends a batch of entries; the caller has the turn. The error is what
// ended the connection.
func (c *conn) write(batch *entry) error {
	scratch := getBuffer()
	defer scratch.free()
	var err error
	unflushed := 0 // bytes of messages
	for e := batch; e != nil && err == nil; e = e.next {
		for len(e.frames) > 0 && err == nil {
			kind := e.frames[0].Kind
			p, last := e.piece(scratch)
			if unflushed+len(p) > maxFragment {
				if err = c.flush(); err != nil {
					break
				}
				unflushed = 0
			}
			unflushed += len(p)
			err = c.writePieces(kind, p, last, func() ([]byte, bool, error) {
				p, last := e.piece(scratch)
				unflushed = len(p) // Those before were flushed.
				return p, last, nil
			})
		}
	}
	if err == nil {
		err = c.flush()
	}
	return c.explain(err)
}

// explain returns what ended the connection when an error was met in writing.
func (c *conn) explain(err error) error {
	if err == nil {
		return nil
	}
	if err != errCloseSent {
		c.unwritable(err)
	}
	<-c.ending // It is near: whoever sent the close frame, or unwritable, is at it.
	return c.ended()
}

// writePieces sends a message that consists of the piece and, unless that is the
// last one, of those that next returns. The last piece is left to be flushed.
func (c *conn) writePieces(kind transport.Kind, p []byte, last bool, next func() (p []byte, last bool, err error)) error {
	if last {
		return c.engine(func() error { return c.link.WriteMessage(kind, p) })
	}
	w, err := c.fragments(kind)
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

// engine has the engine write a frame. Where there is a gate that goes to
// memory; else to the network, within the bound for that.
func (c *conn) engine(write func() error) error {
	if c.gate == nil {
		c.watch.start()
		defer c.watch.stop()
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

// fragments returns a writer for a message in several frames. The engines'
// own ones keep the end of each fragment back until the next one, so that is
// left to the gate where possible; compressed messages must come from one
// writer of the engine.
func (c *conn) fragments(kind transport.Kind) (io.WriteCloser, error) {
	if c.gate == nil || c.Compression {
		return c.link.NextWriter(kind)
	}
	return &fragmentWriter{c: c, kind: kind, part: firstPart}, nil
}

// fragmentWriter writes a message by having the engine write messages of which
// the gate makes fragments of one.
type fragmentWriter struct {
	c    *conn
	kind transport.Kind
	part part
}

func (w *fragmentWriter) Write(p []byte) (int, error) {
	if err := w.write(p); err != nil {
		return 0, err
	}
	w.part = middlePart
	return len(p), nil
}

func (w *fragmentWriter) Close() error {
	w.part = lastPart
	return w.write(nil)
}

func (w *fragmentWriter) write(p []byte) error {
	w.c.gate.setPart(w.part)
	defer w.c.gate.setPart(wholeMessage)
	return w.c.link.WriteMessage(w.kind, p)
}
