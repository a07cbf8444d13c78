package websocket

import (
	"strconv"
	"strings"
)

// A hint tells how large the message is whose first fragment comes directly
// after it: the receiver of fragments would not know before the last one, and
// need twice the memory to join them. It is a pong that nobody asked for, which
// every peer has to ignore (RFC 6455 section 5.5.3), and a hint only: whatever
// it says, the message is what its fragments are. Pings consist of digits, so
// nothing waits for a pong like it.

const (
	// hintPrefix begins the payload of a hint. The size in bytes follows as a
	// decimal number.
	hintPrefix = "aip.size:"
	// maxHint is the longest payload of a hint.
	maxHint = len(hintPrefix) + 19
)

// writeHinted takes over the hint for a message of that size and the message's
// first frame. The next flush writes them, in one go.
func (g *gate) writeHinted(size int, first byte, payload []byte) {
	hint := strconv.AppendInt(append(make([]byte, 0, maxHint), hintPrefix...), int64(size), 10)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open() {
		g.add(finBit|opPong, hint)
		g.add(first, payload)
	}
}

// parseHint returns the size that the payload of a pong tells. It is more than
// maxBase, or the pong is no hint.
func parseHint(payload []byte) (size int64, ok bool) {
	if len(payload) > maxHint {
		return 0, false
	}
	number, ok := strings.CutPrefix(string(payload), hintPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(number, 10, strconv.IntSize-1)
	return int64(n), err == nil && n > maxBase
}

// hinted takes note of the payload of a pong if that is a hint, and reports
// whether it is.
func (r *frameReader) hinted(payload []byte) bool {
	size, ok := parseHint(payload)
	if ok {
		r.hint = size
	}
	return ok
}

// hint returns how large the message is by what the peer said, or unknown: also
// if it may not be as large.
func (in *incoming) hint() int64 {
	if in.c.frames == nil {
		return unknown
	}
	size := in.c.frames.said
	if size == 0 || in.limit > 0 && size > in.limit {
		return unknown
	}
	return size
}
