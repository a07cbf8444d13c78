package resilience

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzFileStore reads anything as a session file: the bytes as they are or, so
// that the checksums do not keep everything out, as bodies of records, each after
// a byte with its length.
func FuzzFileStore(f *testing.F) {
	log, ends, _ := scriptedLog(f)
	f.Add(log, false)
	f.Add(log[:len(log)-3], false)
	f.Add([]byte(fileHeader), false)
	f.Add([]byte("text"), false)
	var bodies []byte
	for i := range len(ends) - 1 {
		body := log[ends[i]+frameSize : ends[i+1]]
		bodies = append(append(bodies, byte(len(body))), body...)
	}
	f.Add(bodies, true)
	f.Fuzz(func(t *testing.T, data []byte, asBodies bool) {
		if asBodies {
			data = sealBodies(data)
		}
		var s memoryStore
		good, err := readLog(bytes.NewReader(data), int64(len(data)), &s)
		if err != nil {
			if !errors.Is(err, ErrStoreFormat) && !errors.Is(err, ErrStoreCorrupt) {
				t.Fatalf("%v, want ErrStoreFormat or ErrStoreCorrupt", err)
			}
			return
		}
		state, kept, err := s.Load()
		mustDo(t, "load", err)
		for i := range kept {
			if want := state.Sent - uint64(len(kept)-1-i); kept[i].Seq != want {
				t.Fatalf("message %d has the number %d, want %d", i, kept[i].Seq, want)
			}
		}

		// The good part alone is all good and has the same.
		var again memoryStore
		all, err := readLog(bytes.NewReader(data[:good]), good, &again)
		if err != nil || all != good {
			t.Fatalf("the good part: %d of %d, %v", all, good, err)
		}
		checkStore(t, &again, &storeModel{state, kept})

		// So has the file that compact makes, which has the size it says.
		compacted := &fileStore{memory: s}
		var file bytes.Buffer
		mustDo(t, "write", compacted.writeLive(&file))
		if int64(file.Len()) != compacted.liveSize() {
			t.Fatalf("compacted to %d bytes, want %d", file.Len(), compacted.liveSize())
		}
		var third memoryStore
		if all, err := readLog(&file, compacted.liveSize(), &third); err != nil || all != compacted.liveSize() {
			t.Fatalf("compacted: %d of %d, %v", all, compacted.liveSize(), err)
		}
		checkStore(t, &third, &storeModel{state, kept})
	})
}

// sealBodies makes a file of bodies.
func sealBodies(data []byte) []byte {
	log := []byte(fileHeader)
	for len(data) > 1 {
		n := min(max(int(data[0]), 1), len(data)-1)
		var start int
		log, start = openRecord(log, recordKind(data[1]))
		log = sealRecord(append(log, data[2:1+n]...), start)
		data = data[1+n:]
	}
	return log
}
