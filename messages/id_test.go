package messages_test

import (
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/aip-go/aip/messages"
)

// Ids are version 4 UUIDs in the usual form, and none is given twice, whoever
// asks at the same time.
func TestNewID(t *testing.T) {
	const callers, each = 8, 500
	ids := make([][]string, callers)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			for range each {
				ids[i] = append(ids[i], messages.NewID())
			}
		})
	}
	all.Wait()
	seen := map[string]bool{}
	for _, some := range ids {
		for _, id := range some {
			parsed, err := uuid.Parse(id)
			if err != nil || parsed.String() != id || parsed.Version() != 4 || parsed.Variant() != uuid.RFC4122 {
				t.Fatalf("%q is no version 4 UUID: %v", id, err)
			}
			seen[id] = true
		}
	}
	if len(seen) != callers*each {
		t.Errorf("%d ids are %d different ones", callers*each, len(seen))
	}
}

func BenchmarkNewID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		messages.NewID()
	}
}
