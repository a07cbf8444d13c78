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
	// kept says of which values the queue holds one whatever its limits are,
	// does not count them and never drops them. Nil means of none.
	kept func(T) bool

	// ready and room hold a token after a push and after a pop, or poke.
	ready, room chan struct{}

	mu    sync.Mutex
	items []queued[T] // from head on
	head  int
	bytes int64
	keeps int // how many of the items are kept ones
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
// takes in anything. A value to be kept is let in when there is no other.
func (q *queue[T]) tryPush(v T, size int, times int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.isKept(v) {
		if q.keeps > 0 {
			return false
		}
		q.add(v, size)
		return true
	}
	n := q.count()
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
// It returns how many. v is not one to be kept.
func (q *queue[T]) pushDropping(v T, size int) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(v, size)
	for n := q.count(); n > 1 && (q.maxItems >= 0 && n > q.maxItems || q.maxBytes >= 0 && q.bytes > q.maxBytes); n-- {
		q.dropOldest()
		dropped++
	}
	return dropped
}

// dropOldest drops the first item that is not kept; there is one.
func (q *queue[T]) dropOldest() {
	at := q.head
	for q.isKept(q.items[at].value) {
		at++
	}
	oldest := q.items[at]
	copy(q.items[q.head+1:at+1], q.items[q.head:at])
	q.items[q.head] = oldest
	q.take()
}

// drop drops everything that is not kept.
func (q *queue[T]) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = slices.DeleteFunc(q.items[q.head:], func(i queued[T]) bool { return !q.isKept(i.value) })
	q.head, q.bytes = 0, 0
	for _, i := range q.items {
		q.bytes += int64(i.size)
	}
	signal(q.room)
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
	q.note(v, size, 1)
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
	q.items, q.head, q.bytes, q.keeps = nil, 0, 0, 0
	signal(q.room)
}

// depth returns how much is in the queue, kept values aside.
func (q *queue[T]) depth() (items int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count(), q.bytes
}

// empty reports whether nothing is in the queue.
func (q *queue[T]) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) == q.head
}

// poke wakes whoever waits for room.
func (q *queue[T]) poke() { signal(q.room) }

func (q *queue[T]) add(v T, size int) {
	q.items = append(q.items, queued[T]{v, size})
	q.note(v, size, 1)
	signal(q.ready)
}

// count returns how many items the limits are about.
func (q *queue[T]) count() int { return len(q.items) - q.head - q.keeps }

// note notes that an item has come, by 1, or gone, by -1.
func (q *queue[T]) note(v T, size, by int) {
	q.bytes += int64(by * size)
	if q.isKept(v) {
		q.keeps += by
	}
}

func (q *queue[T]) isKept(v T) bool { return q.kept != nil && q.kept(v) }

// take removes the first item of a queue that is not empty. The space before
// the head is reused once it is the larger part.
func (q *queue[T]) take() T {
	first := q.items[q.head]
	q.items[q.head] = queued[T]{}
	q.head++
	q.note(first.value, first.size, -1)
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
