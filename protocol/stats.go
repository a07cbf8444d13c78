package protocol

// Stats counts what has happened on a connection, and what waits now.
type Stats struct {
	// PendingMessages and PendingBytes are what was received and waits for its
	// handlers; see [AIPProtocol.Pending].
	PendingMessages int
	PendingBytes    int64
	// Dropped is how many messages the policy [DropOldest] has dropped.
	Dropped uint64
	// Unhandled is how many messages there was no handler for.
	Unhandled uint64
	// Calls is how many replies are waited for.
	Calls int
	// LateReplies is how many replies came after their call was given up,
	// DuplicateReplies how many after another reply.
	LateReplies, DuplicateReplies uint64
}

// Stats returns the counts of this connection.
func (p *AIPProtocol[Out, In]) Stats() Stats {
	s := Stats{Dropped: p.lost.Load(), Unhandled: p.ignored.Load()}
	s.PendingMessages, s.PendingBytes = p.queue.depth()
	p.calls.mu.Lock()
	defer p.calls.mu.Unlock()
	s.Calls = len(p.calls.keyed) + len(p.calls.unkeyed)
	s.LateReplies, s.DuplicateReplies = p.calls.late, p.calls.duplicate
	return s
}
