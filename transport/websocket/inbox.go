package websocket

import (
	"context"
	"sync"

	"github.com/aip-go/aip/transport"
)

// message is a message in the inbox: all of it, or a stream.
type message struct {
	kind   transport.Kind
	data   []byte
	lent   *buffer // what data is in, if that is to be given back
	stream *inStream
}

// lendable returns how many bytes the message has in memory that is to be given
// back.
func (m *message) lendable() int64 {
	switch {
	case m.stream != nil:
		return m.stream.lentSize
	case m.lent != nil:
		return int64(len(m.data))
	default:
		return 0
	}
}

// inbox is the queue between the reader and the program's receives.
type inbox struct {
	conn *conn
	// taking is held by the receive that runs, or by the stream it returned.
	taking chan struct{}
	// filled and emptied wake the receive and the reader; they hold one signal.
	filled, emptied chan struct{}

	mu      sync.Mutex
	queue   []message
	first   int                   // the oldest message in queue
	bytes   int64                 // of whole messages
	lent    int64                 // of those, bytes that are to be lent
	streams int                   // in the queue
	cause   *transport.CloseError // the end; nil until then
}

func (in *inbox) init(c *conn) {
	in.conn = c
	in.taking = make(chan struct{}, 1)
	in.filled = make(chan struct{}, 1)
	in.emptied = make(chan struct{}, 1)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put adds a message, and waits for room before that. When the connection ends
// meanwhile the message is let in all the same: it arrived before.
func (in *inbox) put(m message) {
	if !in.await(func() bool { return in.tryPut(m, false) }) {
		in.tryPut(m, true)
	}
}

// awaitLent waits until little enough waits to be lent that there is room for
// so many bytes more, or the connection ends.
func (in *inbox) awaitLent(size int64) {
	in.await(func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		return in.lent == 0 || in.lent+size <= maxLentAhead || in.conn.ReceiveQueueBytes == 0
	})
}

// await waits until the program has taken what is in the way of done. It reports
// false if the connection ends first.
func (in *inbox) await(done func() bool) bool {
	if done() {
		return true
	}
	c := in.conn
	c.held.Store(true)
	defer c.held.Store(false)
	if c.Hooks.ReceiveQueueFull != nil {
		c.Hooks.ReceiveQueueFull(c.backlog())
	}
	for !done() {
		select {
		case <-in.emptied:
		case <-c.ending:
			return false
		}
	}
	return true
}

func (in *inbox) tryPut(m message, force bool) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	n, s := len(in.queue)-in.first, in.conn.settings
	switch {
	case n == 0:
		if in.cause != nil {
			return false // The program was told that nothing more comes.
		}
		in.queue, in.first = in.queue[:0], 0
	case force:
	case s.ReceiveQueueMessages > 0 && n >= s.ReceiveQueueMessages,
		s.ReceiveQueueBytes > 0 && in.size()+int64(len(m.data)) > s.ReceiveQueueBytes:
		return false
	case len(in.queue) == cap(in.queue) && in.first > 0:
		// Move up rather than grow.
		copy(in.queue, in.queue[in.first:])
		clear(in.queue[n:])
		in.queue, in.first = in.queue[:n], 0
	}
	in.queue = append(in.queue, m)
	in.bytes += int64(len(m.data))
	in.lent += m.lendable()
	if m.stream != nil {
		in.streams++
	}
	signal(in.filled)
	return true
}

// peek waits for the oldest message and copies it without taking it. When there
// is none any more it returns what ended the connection.
func (in *inbox) peek(ctx context.Context, m *message) error {
	for {
		in.mu.Lock()
		if in.first < len(in.queue) {
			*m = in.queue[in.first]
			in.mu.Unlock()
			return nil
		}
		cause := in.cause
		in.mu.Unlock()
		if cause != nil {
			return cause
		}
		if ctx.Done() == nil {
			<-in.filled
			continue
		}
		select {
		case <-in.filled:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take removes the oldest message, which peek returned.
func (in *inbox) take() {
	in.mu.Lock()
	defer in.mu.Unlock()
	m := &in.queue[in.first]
	in.bytes -= int64(len(m.data))
	in.lent -= m.lendable()
	if m.stream != nil {
		in.streams--
	}
	*m = message{}
	in.first++
	if in.first == len(in.queue) {
		in.first = 0
		if cap(in.queue) > 16 {
			in.queue = nil // An idle connection holds little.
		} else {
			in.queue = in.queue[:0]
		}
	}
	signal(in.emptied)
}

// end tells the program, after the messages that are there, that nothing more
// comes.
func (in *inbox) end(cause *transport.CloseError) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.cause == nil {
		in.cause = cause
		signal(in.filled)
	}
}

// behind reports whether messages wait to be taken.
func (in *inbox) behind() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.first < len(in.queue)
}

// waiting returns how many messages and bytes wait to be taken.
func (in *inbox) waiting() (messages int, bytes int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.queue) - in.first, in.size()
}

// size returns the bytes of all messages: those of streams change while they
// are in the queue.
func (in *inbox) size() int64 {
	size := in.bytes
	if in.streams == 0 {
		return size
	}
	for _, m := range in.queue[in.first:] {
		if m.stream != nil {
			size += m.stream.held.Load()
		}
	}
	return size
}
