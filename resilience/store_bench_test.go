package resilience

import (
	"path/filepath"
	"testing"
)

// BenchmarkStore keeps and releases messages of 256 B, with 64 kept.
func BenchmarkStore(b *testing.B) {
	run := func(b *testing.B, s Store) {
		text := make([]byte, 256)
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		seq := uint64(0)
		for b.Loop() {
			seq++
			err := s.Append(KeptMessage{Seq: seq, Text: text})
			if err == nil && seq > 64 {
				err = s.Release(seq - 64)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		mustDo(b, "close", s.Close())
	}
	b.Run("memory", func(b *testing.B) { run(b, NewMemoryStore()) })
	b.Run("file", func(b *testing.B) {
		s, err := NewFileStore(filepath.Join(b.TempDir(), "session"), nil)
		mustDo(b, "open", err)
		run(b, s)
	})
}
