package transport

import (
	"fmt"
	"sync"

	"github.com/aip-go/aip/internal/utf8text"
)

// memoryLink is one connection between two memory transports: two ends and,
// for each, the queue of what it is to receive. Its lock guards all of it, so
// that both ends see the same end of the connection at the same moment.
type memoryLink struct {
	mu   sync.Mutex
	ends [2]*memoryEnd
}

// newMemoryLink returns an open link; its ends are not attached to the
// machines of their transports yet.
func newMemoryLink(a, b *Memory) *memoryLink {
	link := &memoryLink{}
	link.ends = [2]*memoryEnd{newMemoryEnd(link, a), newMemoryEnd(link, b)}
	link.ends[0].peer, link.ends[1].peer = link.ends[1], link.ends[0]
	return link
}

// memoryEnd is one side of a link. An end that has ended never touches its
// transport's state again, so that a new connection is safe from it.
type memoryEnd struct {
	link    *memoryLink
	peer    *memoryEnd
	side    *Memory
	sending chan struct{} // holds one token while a message is being sent
	taking  chan struct{} // holds one token while a message is being received
	done    chan struct{} // closed when the connection has ended
	notices CloseNotices  // of done

	partial *memoryTaken // of the receive that runs or was cancelled; guarded by taking

	// Guarded by link.mu:
	machine *Machine    // nil until the transport is connected
	queue   memoryQueue // what this end is to receive
	cause   *CloseError // what ended the connection
	failed  bool        // the connection was lost or broken off, not closed
	waiting Backlog     // the sends that wait
}

func newMemoryEnd(link *memoryLink, side *Memory) *memoryEnd {
	return &memoryEnd{
		link:    link,
		side:    side,
		sending: make(chan struct{}, 1),
		taking:  make(chan struct{}, 1),
		done:    make(chan struct{}),
		queue:   memoryQueue{maxBytes: side.options.QueueBytes, maxMessages: side.options.QueueMessages},
	}
}

// attach makes the state connected and lets the end change it from now on. The
// peer may have ended the connection already.
func (e *memoryEnd) attach(machine *Machine) {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	e.machine = machine
	_ = machine.To(Connected) // The caller made the state connecting.
	if e.cause != nil {
		e.settle()
	}
}

// settle makes the transitions that the end of the connection calls for. It
// happens once and only in the state connected, so that none can fail.
func (e *memoryEnd) settle() {
	if e.failed {
		_ = e.machine.To(Failed)
		return
	}
	_ = e.machine.To(Disconnecting)
	_ = e.machine.To(Disconnected)
}

// stop ends this side of the connection. The link is locked.
func (e *memoryEnd) stop(cause *CloseError, failed bool) {
	e.cause, e.failed = cause, failed
	if e.machine != nil {
		e.settle()
	}
	close(e.done)
	e.notices.Notify()
}

// close ends the connection with a code for the peer.
func (e *memoryEnd) close(code StatusCode, reason string) {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	if e.cause == nil {
		e.stop(&CloseError{Code: code, Reason: reason}, false)
		e.peer.stop(&CloseError{Code: code, Reason: reason, Remote: true}, false)
	}
}

// abort ends the connection as a loss.
func (e *memoryEnd) abort(cause error) {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	if e.cause == nil {
		e.stop(&CloseError{Code: StatusAbnormal, Err: cause}, true)
		e.peer.stop(&CloseError{Code: StatusAbnormal, Remote: true}, true)
	}
}

// refuse ends the connection because of what the peer sent. The link is locked.
func (e *memoryEnd) refuse(fault *CloseError) {
	e.stop(fault, true)
	e.peer.stop(&CloseError{Code: fault.Code, Reason: fault.Reason, Remote: true}, false)
}

// ended returns what ended the connection; it may be called when done is closed.
func (e *memoryEnd) ended() error {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	return e.cause
}

// loss returns what WaitClosed reports: what ended the connection unless that
// was this side's user or the peer, cleanly.
func (e *memoryEnd) loss() error {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	if e.failed || e.cause.Remote && !e.cause.Clean() {
		return e.cause
	}
	return nil
}

func (e *memoryEnd) backlog() Backlog {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	b := e.waiting
	b.ReceiveMessages, b.ReceiveBytes = e.queue.messages, e.queue.bytes
	return b
}

// wait adds n messages of size bytes to the sends that wait, or takes them off.
func (e *memoryEnd) wait(n int, size int64) {
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	e.waiting.SendMessages += n
	e.waiting.SendBytes += size
}

// deliver puts pieces into the peer's queue if there is room for all of them.
// If there is none, it returns a channel that is closed when there may be.
func (e *memoryEnd) deliver(message *memoryMessage, pieces ...memoryPiece) (full <-chan struct{}, err error) {
	limit := e.peer.side.limit()
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	if e.cause != nil {
		return nil, e.cause
	}
	queue := &e.peer.queue
	if !queue.fits(pieces) {
		return queue.watch(), nil
	}
	for _, piece := range pieces {
		if piece.first {
			*message = memoryMessage{kind: piece.kind, limit: limit}
		}
		if fault := message.add(piece); fault != nil {
			e.peer.refuse(fault)
			return nil, nil
		}
		queue.put(piece)
	}
	return nil, nil
}

// memoryMessage follows the message that is arriving at a queue.
type memoryMessage struct {
	kind  Kind
	limit int64 // negative for none
	size  int64
	text  utf8text.Checker
}

// add returns the fault that the piece makes evident.
func (m *memoryMessage) add(piece memoryPiece) *CloseError {
	m.size += int64(len(piece.data))
	if m.limit >= 0 && m.size > m.limit {
		return &CloseError{Code: StatusMessageTooBig, Reason: fmt.Sprintf("over %d bytes", m.limit), Err: ErrMessageTooLarge}
	}
	if m.kind == Text && (!m.text.Add(piece.data) || piece.last && !m.text.Complete()) {
		return &CloseError{Code: StatusInvalidPayload, Reason: "not UTF-8", Err: ErrInvalidUTF8}
	}
	return nil
}
