package resilience

import "github.com/aip-go/aip/transport"

// incoming is what a receive returns: a frame or an interruption.
type incoming struct {
	frame transport.Frame
	err   error
	// seq is the number of the message that is complete with this frame; 0 if
	// the frame is not numbered, or another one follows.
	seq uint64
	// filler: it is there for its number, and nobody receives it.
	filler bool
	// size is what the message with that number counts for.
	size int64
	// generation is that of the inbox when it came.
	generation uint64
}

// inbox holds what was read from connections and not yet taken. It is bounded
// by what the peer may send before it is acknowledged, and by what the readers
// check before they read.
type inbox struct {
	items []incoming // from head on
	head  int
	bytes int64
	// generation counts the sessions: numbers of an earlier one mean nothing.
	generation uint64
}

func (b *inbox) len() int { return len(b.items) - b.head }

func (b *inbox) push(in incoming) {
	in.generation = b.generation
	b.items = append(b.items, in)
	b.bytes += int64(len(in.frame.Data))
}

func (b *inbox) pop() incoming {
	first := b.items[b.head]
	b.items[b.head] = incoming{}
	b.head++
	b.bytes -= int64(len(first.frame.Data))
	switch {
	case b.head == len(b.items):
		b.items, b.head = b.items[:0], 0
	case b.head > 64 && b.head > len(b.items)/2:
		n := copy(b.items, b.items[b.head:])
		clear(b.items[n:])
		b.items, b.head = b.items[:n], 0
	}
	return first
}
