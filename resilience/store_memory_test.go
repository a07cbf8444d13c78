package resilience

import "testing"

// What was released is not referred to any more, and nothing is allocated for a
// message.
func TestMemoryStoreLetsGo(t *testing.T) {
	s := &memoryStore{}
	text := []byte("text")
	var seq uint64
	for range 100 {
		seq++
		mustDo(t, "append", s.Append(KeptMessage{Seq: seq, Text: text}))
		if seq > 5 {
			mustDo(t, "release", s.Release(seq-5))
		}
		kept := 0
		for _, m := range s.kept[:cap(s.kept)] {
			if m.Text != nil {
				kept++
			}
		}
		if kept != min(int(seq), 5) {
			t.Fatalf("after message %d there are %d references", seq, kept)
		}
	}
	if n := testing.AllocsPerRun(1000, func() {
		seq++
		mustDo(t, "append", s.Append(KeptMessage{Seq: seq, Text: text}))
		mustDo(t, "release", s.Release(seq-5))
	}); n != 0 {
		t.Errorf("%v allocations per message", n)
	}
}
