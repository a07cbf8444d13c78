package resilience

import "github.com/aip-go/aip/transport"

// outgoing is a message on its way out.
type outgoing struct {
	// KeptMessage has the number and the frames as they are written. A message
	// of a plain session has no number.
	KeptMessage
	// body is the length of the text without its numbers and closing brace; 0
	// if it has no numbers.
	body int
	// held: it may wait for a connection, also for one of the next session.
	held bool
	// written: it was, or may have been, written to a connection.
	written bool
	// repeated: written was true before it was written last.
	repeated bool
	// filler: it stands for a message that could not be sent.
	filler  bool
	receipt *transport.Receipt
}

// large reports whether the message was too large to be kept.
func (o *outgoing) large() bool { return o.Text == nil }

// plain returns the text without the numbers.
func (o *outgoing) plain() []byte {
	if o.body == 0 {
		return o.Text
	}
	return append(append(make([]byte, 0, o.body+1), o.Text[:o.body]...), '}')
}

// outbox holds the messages that were accepted and are not released, in order.
type outbox struct {
	items []*outgoing // from head on
	head  int
	bytes int64
}

func (b *outbox) len() int { return len(b.items) - b.head }

func (b *outbox) push(o *outgoing) {
	b.items = append(b.items, o)
	b.bytes += o.size()
}

// at returns the message with the index i.
func (b *outbox) at(i int) *outgoing { return b.items[b.head+i] }

// pop removes the first message. The space before the head is reused once it
// is the larger part.
func (b *outbox) pop() *outgoing {
	first := b.items[b.head]
	b.items[b.head] = nil
	b.head++
	b.bytes -= first.size()
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

// complete reports whether all messages after the number rx are kept.
func (b *outbox) complete(rx uint64) bool {
	if b.len() > 0 && b.at(0).Seq > rx+1 {
		return false
	}
	for i := range b.len() {
		if o := b.at(i); o.large() && o.Seq > rx {
			return false
		}
	}
	return true
}

// split empties the box: into the messages that may have been delivered or
// will not be, whose receipts say so, and those that are carried over.
func (b *outbox) split() (undelivered []transport.Undelivered, held []*outgoing) {
	for i := range b.len() {
		o := b.at(i)
		if o.filler {
			continue
		}
		if o.held && !o.written {
			held = append(held, o)
			continue
		}
		u := transport.Undelivered{Outcome: transport.NotSent}
		if o.written {
			u.Outcome = transport.MaybeSent
		}
		o.receipt.Report(u.Outcome, true)
		if !o.large() {
			u.Frames = (&KeptMessage{Text: o.plain(), Binary: o.Binary}).frames()
		}
		undelivered = append(undelivered, u)
	}
	*b = outbox{}
	return undelivered, held
}

// abandon tells the receipts that nothing more will be known. stored says that a
// later session may send what is left.
func (b *outbox) abandon(stored bool) {
	for i := range b.len() {
		o := b.at(i)
		if o.written || stored {
			o.receipt.Report(transport.MaybeSent, true)
		} else {
			o.receipt.Report(transport.NotSent, true)
		}
	}
}
