package websocket

import (
	"bytes"
	"testing"
)

func TestMaskKey(t *testing.T) {
	const key = maskKey(0x04030201)
	for size := range 100 {
		for cut := range size + 1 {
			got, want := bytes.Repeat([]byte{0x5A}, size), make([]byte, size)
			for i := range want {
				want[i] = 0x5A ^ byte(1+i%4)
			}
			rest := key.apply(got[:cut])
			rest.apply(got[cut:])
			if !bytes.Equal(got, want) {
				t.Fatalf("%d bytes cut at %d: %x, want %x", size, cut, got, want)
			}
		}
	}
}

// Protects: keys, which nobody may foresee: none is used twice.
func TestMaskKeysDiffer(t *testing.T) {
	const n = 1000
	seen := map[maskKey]bool{}
	for range n {
		seen[newMaskKey()] = true
	}
	if len(seen) < n-2 { // 1 in 8600 runs has two that are the same by chance.
		t.Errorf("%d of %d keys differ", len(seen), n)
	}
}
