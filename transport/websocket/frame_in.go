package websocket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/aip-go/aip/transport"
)

// What a frame of the peer can be at fault for (RFC 6455 sections 5.1 to 5.5).
var (
	errMasked       = errors.New("websocket: the server sent a masked frame")
	errUnmasked     = errors.New("websocket: the client sent a frame that is not masked")
	errReservedBits = errors.New("websocket: reserved bits of a frame are set")
	errLength       = errors.New("websocket: the length of a frame is not a number")
	errNotBegun     = errors.New("websocket: a fragment of a message that was not begun")
	errNotEnded     = errors.New("websocket: a message begins before the one before it has ended")
	errControlSize  = errors.New("websocket: a control frame is longer than 125 bytes, or a fragment")
	errCloseCode    = errors.New("websocket: a close frame has half of a code, or one that may not be sent")
)

// violation returns the fault of the peer that err is.
func violation(err error) error {
	return &fault{transport.StatusProtocolError, "protocol error", &protocolError{err}}
}

const (
	// smallRead is what a connection reads at once unless more arrives, and all
	// that it holds for reading while nothing does. A control frame fits.
	smallRead = 1 << 10
	// wide is how much of a message, at least, is better read into its place than
	// together with what follows it.
	wide = 16 << 10
	// maxControlPayload is that of a control frame.
	maxControlPayload = 125
)

// frameReader reads the frames of the peer, for one goroutine. An engine would
// do so as well, but at the price of two changes of goroutine for each of its
// reads, and of a goroutine of its own.
type frameReader struct {
	gate   *gate
	client bool
	// onControl is given the control frames; the payload is only lent.
	onControl func(opcode byte, payload []byte) error

	b     []byte // what was read and not taken, in large or small
	small [smallRead]byte
	large *buffer // nil while little arrives
	full  bool    // the latest read took all there was room for
	err   error   // of the network, after b
	hint  int64   // the peer said that the next message has as many bytes; 0 if not
	// offline: the network is not read, as if that was interrupted at once.
	offline bool

	// Of the message that is being read.
	left int64 // bytes of the frame
	last bool  // it is the last frame
	said int64 // bytes of the message, by the hint before it; 0 without one
	key  maskKey
}

// NextReader waits for the next message and returns its kind and a reader for
// it, which is the frameReader itself, and must be read to its end.
func (r *frameReader) NextReader() (transport.Kind, io.Reader, error) {
	opcode, err := r.next()
	switch {
	case err != nil: // It may be errInterrupted, and the hint is for the next time.
		return 0, r, err
	case opcode == opContinuation:
		return 0, r, violation(errNotBegun)
	}
	r.said, r.hint = r.hint, 0
	return transport.Kind(opcode), r, nil
}

// Read reads from the message. It returns io.EOF together with its last bytes,
// or after them.
func (r *frameReader) Read(p []byte) (int, error) {
	for r.left == 0 {
		if r.last {
			return 0, io.EOF
		}
		opcode, err := r.next()
		if err == nil && opcode != opContinuation {
			err = violation(errNotEnded)
		}
		if err != nil {
			return 0, err
		}
	}
	p = p[:min(int64(len(p)), r.left)]
	if r.full && len(p) < wide {
		if err := r.fill(1); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	if n == 0 {
		n, r.err = r.network(p)
		r.full = false
		if n == 0 {
			return 0, r.err
		}
	}
	if r.left -= int64(n); !r.client {
		r.key = r.key.apply(p[:n])
	}
	if r.left == 0 && r.last {
		return n, io.EOF
	}
	return n, nil
}

// size returns how long the message is, if that is known: when it has one frame
// only. It is to be asked before anything was read from it.
func (r *frameReader) size() (n int64, known bool) { return r.left, r.last }

// gather waits until the message is there, if it has one frame, and that is not
// wide. It returns how long it is, and whether it is there. It is to be called
// before anything was read from the message, and may be called again after
// errInterrupted.
func (r *frameReader) gather() (n int64, there bool, err error) {
	if !r.last || r.left > wide {
		return 0, false, nil
	}
	err = r.fill(int(r.left))
	return r.left, err == nil, err
}

// buffered reports whether there is more than was asked for.
func (r *frameReader) buffered() bool { return len(r.b) > 0 }

// next reads the header of the next frame of data and returns its opcode.
// Control frames before it are taken note of.
func (r *frameReader) next() (opcode byte, err error) {
	for {
		if err := r.fill(2); err != nil {
			return 0, err
		}
		size := headerSize(r.b[1])
		if err := r.fill(size); err != nil {
			return 0, err
		}
		header := r.b[:size]
		opcode, masked := header[0]&opMask, header[1]&maskBit != 0
		switch {
		case masked && r.client:
			return 0, violation(errMasked)
		case !masked && !r.client:
			return 0, violation(errUnmasked)
		case header[0]&rsvBits != 0:
			return 0, violation(errReservedBits)
		case opcode > opBinary && opcode < opClose || opcode > opPong:
			return 0, violation(fmt.Errorf("websocket: there is no opcode %d", opcode))
		case header[1]&^maskBit == 127 && header[2]&0x80 != 0:
			return 0, violation(errLength)
		case opcode >= opClose:
			if err := r.control(header); err != nil {
				return 0, err
			}
			continue
		}
		r.last, r.left = header[0]&finBit != 0, payloadSize(header)
		if masked {
			r.key = maskKey(binary.LittleEndian.Uint32(header[size-4:]))
		}
		r.b = r.b[size:]
		return opcode, nil
	}
}

// control reads a control frame, which is for others unless it is a hint.
func (r *frameReader) control(header []byte) error {
	n := payloadSize(header)
	if n > maxControlPayload || header[0]&finBit == 0 {
		return violation(errControlSize)
	}
	whole := len(header) + int(n)
	if err := r.fill(whole); err != nil {
		return err
	}
	header, payload := r.b[:len(header)], r.b[len(header):whole]
	r.b = r.b[whole:]
	if !r.client {
		maskKey(binary.LittleEndian.Uint32(header[len(header)-4:])).apply(payload)
	}
	opcode := header[0] & opMask
	if opcode == opPong && r.hinted(payload) {
		return nil
	}
	return r.onControl(opcode, payload)
}

// fill reads until there are n bytes, at most wide.
func (r *frameReader) fill(n int) error {
	for len(r.b) < n {
		if r.err != nil {
			return r.err
		}
		large := r.full || n > smallRead
		if large && r.large == nil {
			r.large = getBuffer()
		}
		room := r.small[:]
		if large {
			room = r.large.b[:bufferSize]
		}
		have := copy(room, r.b)
		if !large {
			r.shrink()
		}
		got, err := r.network(room[have:])
		r.b, r.full = room[:have+got], have+got == len(room)
		if err == errInterrupted {
			return err
		}
		r.err = err
	}
	return nil
}

// network reads from the network.
func (r *frameReader) network(p []byte) (int, error) {
	switch {
	case r.err != nil:
		return 0, r.err
	case r.offline:
		return 0, errInterrupted
	}
	r.gate.writePostponed()
	return r.gate.receive(p)
}

// shrink gives back the large buffer, in which nothing is left.
func (r *frameReader) shrink() {
	if r.large != nil {
		r.large.free()
		r.large = nil
	}
}
