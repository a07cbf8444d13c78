package protocol

import (
	"slices"
	"sync"
)

// queue is a first-in first-out queue with a count of bytes. One goroutine
// pushes and one pops; every method may be called concurrently.
type queue[T any] struct {
	maxItems int   // negative: no limit
	maxBytes int64 // negative: no limit

	// ready and room hold a token after a push and after a pop, or poke.
	ready, room chan struct{}

	mu    sync.Mutex
	items []queued[T] // from head on
	head  int
	bytes int64
}

type queued[T any] struct {
	value T
	size  int
}

func newQueue[T any](maxItems int, maxBytes int64) *queue[T] {
	return &queue[T]{
		maxItems: maxItems,
		maxBytes: maxBytes,
		ready:    make(chan struct{}, 1),
		room:     make(chan struct{}, 1),
	}
}

// tryPush adds v if the queue then is within times its limits. An empty queue
// takes in anything.
func (q *queue[T]) tryPush(v T, size int, times int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.items) - q.head
	if n > 0 && (q.maxItems >= 0 && int64(n) >= times*int64(q.maxItems) ||
		q.maxBytes >= 0 && q.bytes+int64(size) > times*q.maxBytes) {
		return false
	}
	q.add(v, size)
	return true
}

// push adds v, whatever the limits say.
func (q *queue[T]) push(v T, size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(v, size)
}

// pushDropping adds v and drops the oldest others until the limits are kept.
// It returns how many.
func (q *queue[T]) pushDropping(v T, size int) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(v, size)
	for n := len(q.items) - q.head; n > 1 && (q.maxItems >= 0 && n > q.maxItems || q.maxBytes >= 0 && q.bytes > q.maxBytes); n-- {
		q.take()
		dropped++
	}
	return dropped
}

// unpop puts v first.
func (q *queue[T]) unpop(v T, size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head > 0 {
		q.head--
		q.items[q.head] = queued[T]{v, size}
	} else {
		q.items = slices.Insert(q.items, 0, queued[T]{v, size})
	}
	q.bytes += int64(size)
	signal(q.ready)
}

// pop removes what is first.
func (q *queue[T]) pop() (v T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == q.head {
		return v, false
	}
	v = q.take()
	signal(q.room)
	return v, true
}

// clear removes everything.
func (q *queue[T]) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items, q.head, q.bytes = nil, 0, 0
	signal(q.room)
}

// depth returns how much is in the queue.
func (q *queue[T]) depth() (items int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) - q.head, q.bytes
}

// poke wakes whoever waits for room.
func (q *queue[T]) poke() { signal(q.room) }

func (q *queue[T]) add(v T, size int) {
	q.items = append(q.items, queued[T]{v, size})
	q.bytes += int64(size)
	signal(q.ready)
}

// take removes the first item of a queue that is not empty. The space before
// the head is reused once it is the larger part.
func (q *queue[T]) take() T {
	first := q.items[q.head]
	q.items[q.head] = queued[T]{}
	q.head++
	q.bytes -= int64(first.size)
	switch {
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head > 32 && q.head > len(q.items)/2:
		q.items = slices.Delete(q.items, 0, q.head)
		q.head = 0
	}
	return first.value
}

// signal puts a token into c unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
