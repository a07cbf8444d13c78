package websocket

import (
	"math/bits"
	"sync"
)

// buffer holds bytes on their way. It comes from a pool, so that connections
// with nothing to do hold none.
type buffer struct {
	b []byte
	// part: it is a part of a message, and never pooled.
	part bool
	last bool // it is the last part of a stream
}

const (
	// bufferSize holds the largest fragment and control frames beside it.
	bufferSize = maxFragment + 4<<10
	// maxPooled is the largest buffer that is kept for others.
	maxPooled = maxFastFragment + bufferSize
)

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, bufferSize)} }}

// getBuffer returns an empty buffer.
func getBuffer() *buffer { return buffers.Get().(*buffer) }

// grow makes room for n bytes more, and little beyond that.
func (b *buffer) grow(n int) {
	if size := len(b.b) + n; size > cap(b.b) {
		b.b = append(make([]byte, 0, size+bufferSize-maxFragment), b.b...)
	}
}

// free gives the buffer back.
func (b *buffer) free() {
	if !b.part && cap(b.b) <= maxPooled {
		b.b, b.last = b.b[:0], false
		buffers.Put(b)
	}
}

// maxLentAhead is how many bytes may wait for a program that borrows messages, when
// the last of them are to be lent. What is read ahead of such a program saves it
// little time and costs what lending is to save.
const maxLentAhead = 128 << 10

// minLent is the least that is worth lending.
const minLent = 4 << 10

// lent are buffers for whole messages, by the power of two that they hold: up to
// 2 MiB, the next one after maxBase.
var lent [22]sync.Pool

// getLent returns an empty buffer with room for n bytes, at least minLent and at
// most maxBase. It is given back by giveBack.
func getLent(n int) *buffer {
	class := bits.Len(uint(n - 1))
	if b, ok := lent[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, 0, 1<<class), part: true}
}

// giveBack gives back a buffer of getLent; nil is none.
func (b *buffer) giveBack() {
	if b != nil {
		b.b = b.b[:0]
		lent[bits.Len(uint(cap(b.b)-1))].Put(b)
	}
}
