package websocket

import "sync"

// buffer holds bytes on their way. It comes from a pool, so that connections
// with nothing to do hold none.
type buffer struct {
	b []byte
	// part: it is a part of a message, and never pooled.
	part bool
}

const (
	// bufferSize holds the largest fragment and control frames beside it.
	bufferSize = maxFragment + 4<<10
	// maxPooled is the largest buffer that is kept for others.
	maxPooled = 4 * bufferSize
)

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, bufferSize)} }}

// getBuffer returns an empty buffer.
func getBuffer() *buffer { return buffers.Get().(*buffer) }

// free gives the buffer back.
func (b *buffer) free() {
	if !b.part && cap(b.b) <= maxPooled {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}
