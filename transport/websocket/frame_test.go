package websocket

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func TestFrameParser(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 127, 1<<16 - 1, 1 << 16, 1<<16 + 1} {
		for _, mask := range []byte{0, maskBit} {
			header := []byte{text, mask}
			switch {
			case size < 126:
				header[1] |= byte(size)
			case size < 1<<16:
				header[1] |= 126
				header = binary.BigEndian.AppendUint16(header, uint16(size))
			default:
				header[1] |= 127
				header = binary.BigEndian.AppendUint64(header, uint64(size))
			}
			if mask != 0 {
				header = append(header, 1, 2, 3, 4)
			}
			stream := append(append(header, make([]byte, size)...), pong, 0, bye, 0)
			for _, piece := range []int{1, 3, 1000, len(stream)} {
				var p frameParser
				var ends []int
				var opcodes []byte
				for at := 0; at < len(stream); {
					n, end := p.next(stream[at:min(at+piece, len(stream))])
					if at += n; end {
						ends, opcodes = append(ends, at), append(opcodes, p.opcode())
					}
				}
				want := []int{len(stream) - 4, len(stream) - 2, len(stream)}
				if len(ends) != 3 || ends[0] != want[0] || ends[1] != want[1] || ends[2] != want[2] || !bytes.Equal(opcodes, []byte{1, opPong, opClose}) {
					t.Errorf("size %d in pieces of %d: ends %v of %x, want %v", size, piece, ends, opcodes, want)
				}
			}
		}
	}
}
