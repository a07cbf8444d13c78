package codec_test

import (
	"fmt"
	"testing"
)

func BenchmarkChunks(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 20, 16 << 20} {
		message := noise(n)
		c, a := newChunker(b, 1<<20), newAssembler(b, nil)
		b.Run(fmt.Sprint("split/", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(n))
			for b.Loop() {
				for frame := range c.Frames(message) {
					_ = frame
				}
			}
		})
		b.Run(fmt.Sprint("assemble/", n), func(b *testing.B) {
			frames := chunks(c, message)
			b.ReportAllocs()
			b.SetBytes(int64(n))
			for b.Loop() {
				for _, frame := range frames {
					if _, _, err := a.Add(frame); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
