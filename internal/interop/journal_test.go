package interop

import (
	"sync"
	"testing"
	"time"
)

// patience bounds every wait of a test.
const patience = 30 * time.Second

// journal keeps what happened, so that a test can wait for it.
type journal[T any] struct {
	mu      sync.Mutex
	entries []T
	taken   map[int]bool
	ended   bool
	changed chan struct{} // closed at the next change
}

func newJournal[T any]() *journal[T] {
	return &journal[T]{taken: map[int]bool{}, changed: make(chan struct{})}
}

func (j *journal[T]) add(entry T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry)
	close(j.changed)
	j.changed = make(chan struct{})
}

// end notes that nothing will be added any more.
func (j *journal[T]) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = true
	close(j.changed)
	j.changed = make(chan struct{})
}

// all returns what there is.
func (j *journal[T]) all() []T {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]T(nil), j.entries...)
}

// count returns how many entries match.
func (j *journal[T]) count(match func(T) bool) int {
	n := 0
	for _, entry := range j.all() {
		if match(entry) {
			n++
		}
	}
	return n
}

// await returns the first entry that matches and was not returned before, and
// waits for it.
func (j *journal[T]) await(t *testing.T, what string, match func(T) bool) T {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		entry, ok, ended, changed := j.find(match)
		if ok {
			return entry
		}
		if ended {
			t.Fatalf("the end came before %s", what)
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("no %s after %v", what, patience)
		}
	}
}

func (j *journal[T]) find(match func(T) bool) (entry T, ok, ended bool, changed <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, entry := range j.entries {
		if !j.taken[i] && match(entry) {
			j.taken[i] = true
			return entry, true, false, nil
		}
	}
	return entry, false, j.ended, j.changed
}
