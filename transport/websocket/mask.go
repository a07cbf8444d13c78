package websocket

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"sync"
)

// maskKey is what the payload of one frame is masked with (RFC 6455 section
// 5.3), as a little-endian number whose lowest byte is for the next byte.
type maskKey uint32

// apply masks or unmasks the next bytes of a payload, and returns the key for
// those that follow.
func (k maskKey) apply(b []byte) maskKey {
	word := uint64(k)<<32 | uint64(k)
	for len(b) >= 32 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^word)
		binary.LittleEndian.PutUint64(b[8:], binary.LittleEndian.Uint64(b[8:])^word)
		binary.LittleEndian.PutUint64(b[16:], binary.LittleEndian.Uint64(b[16:])^word)
		binary.LittleEndian.PutUint64(b[24:], binary.LittleEndian.Uint64(b[24:])^word)
		b = b[32:]
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^word)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(k)
		k = maskKey(bits.RotateLeft32(uint32(k), -8))
	}
	return k
}

// entropy is random bytes for keys: the system is asked for many at once.
type entropy struct {
	bytes [512]byte
	left  int
}

var entropies = sync.Pool{New: func() any { return new(entropy) }}

// newMaskKey returns a key that nobody can foresee.
func newMaskKey() maskKey {
	e := entropies.Get().(*entropy)
	defer entropies.Put(e)
	if e.left == 0 {
		_, _ = rand.Read(e.bytes[:]) // It never returns an error.
		e.left = len(e.bytes)
	}
	key := binary.LittleEndian.Uint32(e.bytes[len(e.bytes)-e.left:])
	e.left -= 4
	return maskKey(key)
}
