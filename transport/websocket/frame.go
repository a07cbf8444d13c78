package websocket

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/aip-go/aip/transport"
)

// Opcodes (RFC 6455 section 5.2). Those from opClose on are control frames.
const (
	opContinuation = 0x0
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

const (
	opMask  = 0x0F
	finBit  = 0x80
	rsvBits = 0x70
	maskBit = 0x80
	// maxHeader is the longest header of a frame: two bytes, the length, the
	// mask.
	maxHeader = 2 + 8 + 4
)

// frameParser finds the frames in a stream of bytes that comes in pieces. The
// zero value is ready.
type frameParser struct {
	header [maxHeader]byte
	have   int   // bytes of the header so far
	need   int   // bytes of the header in all; 0 until the second byte is here
	left   int64 // bytes of the payload that are to come
}

// opcode returns that of the frame that the latest bytes belong to.
func (p *frameParser) opcode() byte { return p.header[0] & opMask }

// isControl reports whether the latest bytes belong to a control frame.
func (p *frameParser) isControl() bool { return p.opcode() >= opClose }

// isMasked reports whether the latest bytes belong to a frame that is known to
// be masked.
func (p *frameParser) isMasked() bool { return p.have >= 2 && p.header[1]&maskBit != 0 }

// next returns how many of the bytes, at least one, belong to one frame, and
// whether that frame ends with them. There must be at least one byte.
func (p *frameParser) next(b []byte) (n int, end bool) {
	if p.left > 0 {
		n = int(min(p.left, int64(len(b))))
		p.left -= int64(n)
		return n, p.left == 0
	}
	if p.have == p.need {
		p.have, p.need = 0, 0
	}
	for n < len(b) {
		p.header[p.have] = b[n]
		p.have++
		n++
		if p.have == 2 {
			p.need = headerSize(p.header[1])
		}
		if p.have == p.need {
			p.left = payloadSize(p.header[:p.need])
			return n, p.left == 0
		}
	}
	return n, false
}

// headerSize returns the size of a header with this second byte.
func headerSize(second byte) int {
	size := 2
	switch second &^ maskBit {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if second&maskBit != 0 {
		size += 4
	}
	return size
}

// payloadSize returns the size of the payload that a complete header announces.
func payloadSize(header []byte) int64 {
	switch short := header[1] &^ maskBit; short {
	case 126:
		return int64(binary.BigEndian.Uint16(header[2:]))
	case 127:
		return int64(binary.BigEndian.Uint64(header[2:]) &^ (1 << 63))
	default:
		return int64(short)
	}
}

// appendClose appends a close frame, masked if a client sends it.
func appendClose(b []byte, client bool, code transport.StatusCode, reason string) []byte {
	reason = transport.TruncateReason(reason)
	b = append(b, finBit|opClose, byte(2+len(reason)))
	var mask [4]byte
	if client {
		_, _ = rand.Read(mask[:]) // It never returns an error.
		b[len(b)-1] |= maskBit
		b = append(b, mask[:]...)
	}
	payload := len(b)
	b = binary.BigEndian.AppendUint16(b, uint16(code))
	b = append(b, reason...)
	for i := range b[payload:] {
		b[payload+i] ^= mask[i%4]
	}
	return b
}
