package transport

// memoryPiece is a message or, for a stream, a part of one.
type memoryPiece struct {
	kind        Kind
	data        []byte // never changed after it was queued
	first, last bool
}

// memoryQueue is a bounded queue of pieces. It is guarded by its link's lock.
type memoryQueue struct {
	maxBytes    int64
	maxMessages int

	pieces   []memoryPiece
	bytes    int64
	messages int
	changed  chan struct{} // closed at the next change; nil when nobody watches
}

// fits reports whether there is room for all pieces. There always is in an
// empty queue, so that nothing can be too large to be sent.
func (q *memoryQueue) fits(pieces []memoryPiece) bool {
	if len(q.pieces) == 0 {
		return true
	}
	bytes, messages := q.bytes, q.messages
	for _, piece := range pieces {
		bytes += int64(len(piece.data))
		if piece.first {
			messages++
		}
	}
	return (q.maxBytes < 0 || bytes <= q.maxBytes) && (q.maxMessages < 0 || messages <= q.maxMessages)
}

func (q *memoryQueue) put(piece memoryPiece) {
	q.pieces = append(q.pieces, piece)
	q.bytes += int64(len(piece.data))
	if piece.first {
		q.messages++
	}
	q.signal()
}

// take removes the oldest piece.
func (q *memoryQueue) take() (memoryPiece, bool) {
	if len(q.pieces) == 0 {
		return memoryPiece{}, false
	}
	piece := q.pieces[0]
	q.pieces[0] = memoryPiece{}
	q.pieces = q.pieces[1:]
	q.bytes -= int64(len(piece.data))
	if piece.first {
		q.messages--
	}
	q.signal()
	return piece, true
}

// watch returns a channel that is closed at the next change.
func (q *memoryQueue) watch() <-chan struct{} {
	if q.changed == nil {
		q.changed = make(chan struct{})
	}
	return q.changed
}

func (q *memoryQueue) signal() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}
