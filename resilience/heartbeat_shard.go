package resilience

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/transport"
)

// shard watches a part of the peers with one goroutine, which sleeps until one
// of them is due. Signs of life wake nobody: they only postpone what the
// goroutine finds when it looks.
type shard struct {
	manager *Heartbeats
	wake    chan struct{} // ends the sleep; holds one

	mu     sync.Mutex
	peers  map[string]*Peer
	heap   peerHeap // all peers, the next one due first
	sleeps int64    // until when the goroutine does
	closed bool
}

func (s *shard) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.wake:
		case <-s.manager.done:
			return
		}
		timer.Reset(s.tick())
	}
}

// tick does what is due and returns how long there is nothing to do.
func (s *shard) tick() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.manager.now()
	for len(s.heap) > 0 && s.heap[0].due <= now {
		s.look(s.heap[0], now)
	}
	s.sleeps = infinity
	if len(s.heap) > 0 {
		s.sleeps = s.heap[0].due
	}
	return time.Duration(s.sleeps - now)
}

// look does what is due for the peer, and schedules the next look.
func (s *shard) look(p *Peer, now int64) {
	if p.judge() <= now {
		cause := &ExpiredError{ID: p.id, Silence: time.Duration(now - p.heard.Load()), Unanswered: p.unanswered}
		s.remove(p)
		s.manager.crew.do(func() { s.abort(p, cause) }, true)
		return
	}
	if p.beat() <= now {
		p.flying = true
		s.manager.crew.do(func() { s.send(p) }, false)
	}
	s.schedule(p)
}

// schedule puts the peer where it belongs in the heap.
func (s *shard) schedule(p *Peer) {
	p.due = min(p.judge(), p.beat())
	heap.Fix(&s.heap, p.index)
}

// reschedule does as well, for others than the shard's goroutine.
func (s *shard) reschedule(p *Peer) {
	s.schedule(p)
	s.rouse()
}

// rouse wakes the goroutine if it would sleep too long.
func (s *shard) rouse() {
	if s.heap[0].due >= s.sleeps {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default: // it wakes already
	}
}

// send sends one heartbeat, unless the peer was stopped meanwhile. A worker
// calls it.
func (s *shard) send(p *Peer) {
	bound := p.o.ReplyTimeout
	if bound < 0 {
		bound = p.o.Interval
	}
	ctx, cancel := context.WithTimeout(s.manager.ctx, bound)
	defer cancel()
	if !s.sending(p, cancel) {
		return
	}
	err := p.o.Send(ctx)
	if err != nil {
		s.manager.o.Logger.Warn("heartbeat not sent", zap.String("peer", p.id), zap.Error(err))
	}
	s.sent(p, errors.Is(err, transport.ErrNotConnected))
}

// sending notes that the heartbeat is on its way. It reports false if the peer
// was stopped.
func (s *shard) sending(p *Peer, cancel context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.stopped {
		return false
	}
	p.begin(s.manager.now(), cancel)
	s.reschedule(p)
	return true
}

// sent notes that Send has returned.
func (s *shard) sent(p *Peer, offline bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.flying, p.cancel = false, nil
	if offline {
		p.heard.Store(s.manager.now())
		p.lastBeat = never
	}
	if !p.stopped {
		s.reschedule(p)
	}
}

// abort tells that the peer has expired. A worker calls it.
func (s *shard) abort(p *Peer, cause *ExpiredError) {
	s.manager.o.Logger.Warn("peer expired", zap.String("peer", p.id), zap.Error(cause))
	p.o.Abort(cause)
}

// start adds a peer in place of one with the same id.
func (s *shard) start(p *Peer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if old := s.peers[p.id]; old != nil {
		s.remove(old)
	}
	s.peers[p.id] = p
	p.due = min(p.judge(), p.beat())
	heap.Push(&s.heap, p)
	s.rouse()
	return nil
}

func (s *shard) find(id string) *Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peers[id]
}

func (s *shard) stop(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[id]
	if p == nil {
		return false
	}
	s.remove(p)
	return true
}

// stopAll stops all peers and, if it is the last time, lets no more start.
func (s *shard) stopAll(last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.peers {
		s.remove(p)
	}
	s.closed = s.closed || last
}

// remove stops a peer.
func (s *shard) remove(p *Peer) {
	p.stopped = true
	if p.cancel != nil {
		p.cancel()
	}
	delete(s.peers, p.id)
	heap.Remove(&s.heap, p.index)
}

// peerHeap implements [heap.Interface].
type peerHeap []*Peer

func (h peerHeap) Len() int           { return len(h) }
func (h peerHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h peerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *peerHeap) Push(x any) {
	p := x.(*Peer)
	p.index = len(*h)
	*h = append(*h, p)
}

func (h *peerHeap) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return p
}
