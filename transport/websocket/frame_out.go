package websocket

import (
	"encoding/binary"
	"net"
	"slices"

	"github.com/aip-go/aip/transport"
)

// appendHeader appends the header of a frame of data without a mask.
func appendHeader(b []byte, first byte, size int) []byte {
	switch {
	case size < 126:
		return append(b, first, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, first, 126), uint16(size))
	default:
		return binary.BigEndian.AppendUint64(append(b, first, 127), uint64(size))
	}
}

// appendFrame appends a frame, masked if a client sends it.
func appendFrame(b []byte, client bool, first byte, payload []byte) []byte {
	begin := len(b)
	b = appendHeader(b, first, len(payload))
	if !client {
		return append(b, payload...)
	}
	b[begin+1] |= maskBit
	key := newMaskKey()
	b = binary.LittleEndian.AppendUint32(b, uint32(key))
	begin = len(b)
	b = append(b, payload...)
	key.apply(b[begin:])
	return b
}

// firstByte is that of a frame of data.
func firstByte(kind transport.Kind, continues, last bool) byte {
	b := byte(kind)
	if continues {
		b = opContinuation
	}
	if last {
		b |= finBit
	}
	return b
}

// writePieces writes a message of one piece, which is left to be flushed, or of
// more, each a frame.
func (g *gate) writePieces(kind transport.Kind, p []byte, last bool, next func() (p []byte, last bool, err error)) error {
	for continues := false; ; continues = true {
		g.writeFrame(firstByte(kind, continues, last), p)
		if last {
			return nil
		}
		if err := g.flush(); err != nil {
			return err
		}
		var err error
		if p, last, err = next(); err != nil {
			return err
		}
	}
}

// writeFrame takes over a frame of data, which the next flush writes.
func (g *gate) writeFrame(first byte, payload []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open() {
		g.add(first, payload)
	}
}

// add adds a frame of data to the buffer. The gate is locked and open.
func (g *gate) add(first byte, payload []byte) {
	if len(payload) > maxFragment {
		g.buffer.grow(len(payload) + maxHeader)
	}
	if len(g.buffer.b) == g.whole {
		g.buffer.b = appendFrame(g.buffer.b, g.client, first, payload)
		g.whole = len(g.buffer.b)
		return
	}
	// The engine is writing a control frame.
	frame := appendFrame(nil, g.client, first, payload)
	g.buffer.b = slices.Insert(g.buffer.b, g.whole, frame...)
	g.whole += len(frame)
}

// writeSoon takes over small messages, if there is room for them, and has them
// written by a goroutine if somebody writes already or the caller is in no
// hurry. Otherwise it reports that the caller is to flush.
func (g *gate) writeSoon(frames []transport.Frame, size int, hurry bool) (taken, flush bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if int(g.underway.bytes)+g.whole+size+len(frames)*maxHeader > maxFragment || !g.open() {
		return false, false
	}
	for _, f := range frames {
		g.add(firstByte(f.Kind, false, true), f.Data)
	}
	g.soon.messages += len(frames)
	g.soon.bytes += int64(size)
	if hurry && !g.kicked && len(g.flushing) == 0 {
		return true, true
	}
	if !hurry && g.postpone() {
		return true, g.soon.messages >= maxPostponed && len(g.flushing) == 0
	}
	g.kick()
	return true, !g.kicked
}

// busy reports whether somebody writes to the network, or is about to.
func (g *gate) busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kicked || len(g.flushing) > 0
}

// waiting returns what writeSoon took over and is not written yet.
func (g *gate) waiting() load {
	g.mu.Lock()
	defer g.mu.Unlock()
	return load{g.soon.messages + g.underway.messages, g.soon.bytes + g.underway.bytes}
}

// open reports whether a frame of data can still go out, and gets a buffer for
// it. The gate is locked.
func (g *gate) open() bool {
	if g.closing || g.killed || g.sendErr != nil {
		g.dropped = true
		return false
	}
	if g.buffer == nil {
		g.buffer = getBuffer()
	}
	return true
}

// direct is how large a piece is, at least, that is not copied on its way to
// the network. A client's are masked, and copied for that.
const direct = 8 << 10

// flushFrame writes what there is, and then a frame, without copying it.
func (g *gate) flushFrame(first byte, payload []byte) error {
	if !g.enter() {
		return net.ErrClosed
	}
	defer g.leave()
	return g.writeOut(appendHeader(make([]byte, 0, maxHeader), first, len(payload)), payload)
}
