package websocket

import (
	"context"
	"sync"

	"github.com/aip-go/aip/transport"
)

// outbox is the line of senders. One of them, or a goroutine that runs only
// while there is something to do, has the turn: it alone writes.
type outbox struct {
	conn *conn

	mu          sync.Mutex
	first, last *entry // those that wait
	messages    int    // of those that wait
	bytes       int64
	sending     int // messages of whoever has the turn
	sendingSize int64
	turn        bool                  // somebody has it
	cause       *transport.CloseError // the end: nobody else gets the turn
	idle        chan struct{}         // closed when nobody has the turn after the end
	spares      spares
}

func (o *outbox) init(c *conn) {
	o.conn = c
	o.idle = make(chan struct{})
}

// get returns an entry for the messages.
func (o *outbox) get(frames []transport.Frame) *entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.spares.get(frames)
}

// put takes back an entry that has got its signal, or none because of an error.
func (o *outbox) put(e *entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.spares.put(e)
}

// enter puts the entry in line. It reports whether the caller has the turn
// right away, which it gets only if it wants it. Otherwise the entry will get
// its signal, unless there is an error.
func (o *outbox) enter(e *entry, wantsTurn bool) (turn bool, err error) {
	turn, dropped, err := o.tryEnter(e, wantsTurn)
	if c := o.conn; len(dropped) > 0 && c.Hooks.Drop != nil {
		for _, size := range dropped {
			c.Hooks.Drop(size)
		}
	}
	if err == ErrSlowPeer {
		o.conn.lose(ErrSlowPeer)
	}
	return turn, err
}

// sendSoon takes over small messages without a line, if nobody is in it: the
// sender does not wait for the network when messages before these are still
// being written, or when it sends one after the other and hears nothing. It
// reports what the sender has to do: to stand in line if they were not taken,
// or to flush.
func (o *outbox) sendSoon(frames []transport.Frame, size int64, hurry bool) (taken, flush bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cause != nil {
		return false, false, o.cause
	}
	if o.turn || o.first != nil {
		return false, false, nil
	}
	taken, flush = o.conn.gate.writeSoon(frames, int(size), hurry)
	return taken, flush, nil
}

func (o *outbox) tryEnter(e *entry, wantsTurn bool) (turn bool, dropped []int64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cause != nil {
		return false, nil, o.cause
	}
	if !o.turn && wantsTurn {
		o.turn = true
		o.begin(e)
		return true, nil, nil
	}
	dropped, err = o.makeRoom(e.size)
	if err != nil {
		return false, dropped, err
	}
	if o.last == nil {
		o.first = e
	} else {
		o.last.next = e
	}
	o.last = e
	o.messages += len(e.frames)
	o.bytes += e.size
	if !o.turn {
		o.turn = true
		o.work()
	}
	return false, dropped, nil
}

// makeRoom applies the policy and returns the sizes of the messages that were
// dropped for it.
func (o *outbox) makeRoom(size int64) (dropped []int64, err error) {
	s := o.conn.settings
	if s.SendQueueBytes == 0 || s.SendPolicy == SendBlock {
		return nil, nil
	}
	for o.bytes > 0 && o.bytes+size > s.SendQueueBytes {
		if s.SendPolicy == SendDisconnect {
			return dropped, ErrSlowPeer
		}
		e := o.first
		for e.size == 0 {
			e = e.next
		}
		o.remove(e)
		e.err = ErrDropped
		e.done <- struct{}{}
		dropped = append(dropped, e.size)
	}
	return dropped, nil
}

// remove takes an entry out of the line and reports whether it was there.
func (o *outbox) remove(e *entry) bool {
	var before *entry
	for at := o.first; at != e; at = at.next {
		if at == nil {
			return false
		}
		before = at
	}
	if before == nil {
		o.first = e.next
	} else {
		before.next = e.next
	}
	if o.last == e {
		o.last = before
	}
	e.next = nil
	o.messages -= len(e.frames)
	o.bytes -= e.size
	return true
}

// begin counts an entry as being sent.
func (o *outbox) begin(e *entry) {
	e.begun = true
	o.sending += len(e.frames)
	o.sendingSize += e.size
}

// await waits for the entry's signal. When ctx ends first it returns its error;
// messages that were begun are then sent in the background. It reports whether
// they were begun.
func (o *outbox) await(ctx context.Context, e *entry) (begun bool, err error) {
	if ctx.Done() == nil {
		<-e.done
		return e.begun, e.err
	}
	select {
	case <-e.done:
		return e.begun, e.err
	case <-ctx.Done():
	}
	o.mu.Lock()
	if o.remove(e) {
		o.mu.Unlock()
		return false, ctx.Err()
	}
	select {
	case <-e.done: // Just now.
		o.mu.Unlock()
		return e.begun, e.err
	default:
	}
	e.left = true
	o.mu.Unlock()
	e.keep()
	return true, ctx.Err()
}

// work has a goroutine take the turn. The outbox is locked, and has the turn to
// give.
func (o *outbox) work() {
	if !o.conn.spawn(o.sendAll) {
		o.release() // The end is near and tells everybody.
	}
}

// release gives up the turn. The outbox is locked.
func (o *outbox) release() {
	o.turn = false
	o.sending, o.sendingSize = 0, 0
	if o.cause != nil {
		close(o.idle)
	}
}

// pass gives up the turn of a sender to whoever is next.
func (o *outbox) pass() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sending, o.sendingSize = 0, 0
	if o.first != nil {
		o.work()
	} else {
		o.release()
	}
}

// sendAll sends until nobody waits.
func (o *outbox) sendAll() {
	for batch := o.take(); batch != nil; batch = o.take() {
		o.sent(batch, o.conn.write(batch))
	}
}

// take takes entries out of the line that can be sent in one go. It returns nil
// when the turn was given up, or given to a sender who wants it.
func (o *outbox) take() *entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	batch := o.first
	if batch == nil {
		o.release()
		return nil
	}
	if len(batch.frames) == 0 {
		o.remove(batch)
		o.begin(batch)
		batch.done <- struct{}{}
		return nil
	}
	last := batch
	for size := batch.size; last.next != nil && len(last.next.frames) > 0; last = last.next {
		if size += last.next.size; size > maxFragment {
			break
		}
	}
	o.first = last.next
	if last.next == nil {
		o.last = nil
	}
	last.next = nil
	for e := batch; e != nil; e = e.next {
		o.messages -= len(e.frames)
		o.bytes -= e.size
		o.begin(e)
	}
	return batch
}

// sent tells the senders of a batch what became of it.
func (o *outbox) sent(batch *entry, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sending, o.sendingSize = 0, 0
	for e := batch; e != nil; {
		next := e.next
		e.next = nil
		if !e.left {
			e.err = err
			e.done <- struct{}{}
		}
		e = next
	}
}

// close refuses everybody from now on, also those that wait.
func (o *outbox) close(cause *transport.CloseError) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cause = cause
	for e := o.first; e != nil; {
		next := e.next
		e.next, e.err = nil, cause
		e.done <- struct{}{}
		e = next
	}
	o.first, o.last, o.messages, o.bytes = nil, nil, 0, 0
	if !o.turn {
		close(o.idle)
	}
}

// waiting returns how many messages and bytes are not sent yet.
func (o *outbox) waiting() (messages int, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.messages + o.sending, o.bytes + o.sendingSize
}
