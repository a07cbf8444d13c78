package resilience

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/aip-go/aip/transport"
)

// Defaults of [PeerOptions].
const (
	DefaultHeartbeatInterval = 30 * time.Second // as in the reference
	DefaultReplyTimeout      = 10 * time.Second
	DefaultMisses            = 3
	DefaultHeartbeatJitter   = 0.1
)

// minInterval keeps a mistake in the unit from using a processor up.
const minInterval = time.Millisecond

// PeerOptions says how one peer is asked and watched. Zero values mean the
// defaults.
//
// There are two kinds of peer:
//
//   - With Send, heartbeats are sent, one each Interval. When nothing at all
//     arrives for ReplyTimeout after one, that is a miss, and the next one is
//     sent at once. After as many misses in a row as Misses the peer has
//     expired: a peer that vanishes is found after at most
//     Interval + Misses × ReplyTimeout.
//   - Without Send, the peer is the one that sends heartbeats. It has expired
//     when nothing arrives for Interval + Misses × ReplyTimeout, where Interval
//     is the peer's own: 120 s for the reference's device client.
//
// With a Detector, both have expired when the silence is longer than it allows.
type PeerOptions struct {
	// Interval is the time between two heartbeats. Default 30 s; at least 1 ms.
	Interval time.Duration
	// Jitter shortens each interval by a random part of it, at most this one,
	// and puts the first heartbeat at a random point of the first interval, so
	// that peers that were started together are not asked together. Default
	// 0.1, at most 1; negative for none, with the first heartbeat after one
	// interval.
	Jitter float64
	// ReplyTimeout is how long a peer may take to answer a heartbeat. It also
	// bounds a call of Send. Default 10 s; negative for ever, which means that
	// the peer never expires (without a Detector) and that Interval bounds
	// Send.
	ReplyTimeout time.Duration
	// Misses is how many heartbeats in a row go unanswered before the peer has
	// expired. Default 3.
	Misses int
	// Detector replaces the fixed deadline. It belongs to this peer alone.
	Detector Detector

	// Send sends one heartbeat. It is called by a worker, one call at a time,
	// and must return when its context ends. An error is logged and counts as
	// any other missing answer, but that [transport.ErrNotConnected] counts as
	// a sign of life: there is no connection to watch. Nil to watch only.
	Send func(ctx context.Context) error
	// Abort is called once by a worker when the peer has expired, with an
	// [*ExpiredError]. It should drop the connection without waiting, as
	// [transport.Aborter] does. The peer is not running any more by then. Nil
	// to send heartbeats only: the peer never expires.
	Abort func(cause error)
}

// complete checks the options and sets the defaults.
func (o *PeerOptions) complete() error {
	setDefault(&o.Interval, DefaultHeartbeatInterval)
	setDefault(&o.Jitter, DefaultHeartbeatJitter)
	setDefault(&o.ReplyTimeout, DefaultReplyTimeout)
	setDefault(&o.Misses, DefaultMisses)
	switch {
	case o.Interval < minInterval:
		return invalid("Interval is %s, want at least %s", o.Interval, minInterval)
	case !(o.Jitter <= 1):
		return invalid("Jitter is %g, want at most 1", o.Jitter)
	case o.Misses < 0:
		return invalid("Misses is %d, want 0 or more", o.Misses)
	case o.Send == nil && o.Abort == nil:
		return invalid("neither Send nor Abort is set: there is nothing to do")
	case o.Send == nil && o.Detector == nil && o.ReplyTimeout < 0:
		return invalid("a peer that is only watched needs a ReplyTimeout or a Detector")
	}
	return nil
}

// ExpiredError is a peer that gave no sign of life for too long. It matches
// [transport.ErrPingTimeout].
type ExpiredError struct {
	// ID is the peer's.
	ID string
	// Silence is how long nothing was heard of it.
	Silence time.Duration
	// Unanswered is how many heartbeats were sent meanwhile.
	Unanswered int
}

// Error returns the peer, the silence, and the unanswered heartbeats.
func (e *ExpiredError) Error() string {
	text := fmt.Sprintf("resilience: no sign of life from %q for %s", e.ID, e.Silence.Round(time.Millisecond))
	if e.Unanswered > 0 {
		text += fmt.Sprintf(", heartbeats unanswered: %d", e.Unanswered)
	}
	return text
}

// Is matches [transport.ErrPingTimeout].
func (e *ExpiredError) Is(target error) bool { return target == transport.ErrPingTimeout }

// Times that are none.
const (
	never    int64 = -1            // in the past
	infinity int64 = math.MaxInt64 // in the future
)

// later returns the time d after at.
func later(at int64, d time.Duration) int64 {
	return int64(add(time.Duration(at), d))
}

// Peer is one peer of [Heartbeats]. Its methods may be called concurrently, also
// after it was stopped.
type Peer struct {
	id    string
	o     PeerOptions
	shard *shard
	heard atomic.Int64 // when the last sign of life came

	// The rest is guarded by the lock of the shard.

	stopped    bool
	flying     bool               // a heartbeat waits for a worker or is being sent
	cancel     context.CancelFunc // of the Send that runs
	next       int64              // when the next heartbeat is due
	waiting    bool               // a heartbeat is unanswered
	asked      int64              // when the oldest unanswered one was begun
	askedLast  int64              // when the newest was
	unanswered int
	lastBeat   int64 // when the peer's last heartbeat came, or never

	due   int64 // when to look at it again, at the latest
	index int   // in the heap
}

// ID returns the peer's id.
func (p *Peer) ID() string { return p.id }

// Alive reports a sign of life: call it for every message, or any other bytes,
// that arrive from the peer. It takes no lock.
func (p *Peer) Alive() { p.heard.Store(p.shard.manager.now()) }

// Heartbeat reports a heartbeat of the peer, or its answer to one: a sign of
// life from which a [Detector] learns as well. Without a Detector it is the
// same as Alive.
func (p *Peer) Heartbeat() {
	now := p.shard.manager.now()
	p.heard.Store(now)
	if p.o.Detector == nil {
		return
	}
	p.shard.mu.Lock()
	defer p.shard.mu.Unlock()
	if p.stopped {
		return
	}
	if p.lastBeat != never {
		p.o.Detector.Observe(time.Duration(now - p.lastBeat))
	}
	p.lastBeat = now
	p.shard.reschedule(p)
}

// judge takes in what was heard and returns when the peer has expired, or will
// have if nothing more is heard.
func (p *Peer) judge() (expires int64) {
	heard := p.heard.Load()
	if p.waiting && heard >= p.asked {
		p.waiting, p.unanswered = false, 0
	}
	switch patience := time.Duration(p.o.Misses) * p.o.ReplyTimeout; {
	case p.o.Abort == nil:
		return infinity
	case p.o.Detector != nil:
		return later(heard, p.o.Detector.Timeout())
	case p.o.ReplyTimeout < 0:
		return infinity
	case p.o.Send == nil:
		return later(later(heard, p.o.Interval), patience)
	case p.waiting:
		return later(p.asked, patience)
	default:
		return infinity
	}
}

// beat returns when the next heartbeat is to be sent.
func (p *Peer) beat() int64 {
	switch {
	case p.o.Send == nil || p.flying:
		return infinity
	case p.waiting && p.o.Detector == nil && p.o.Abort != nil && p.o.ReplyTimeout >= 0:
		return min(p.next, later(p.askedLast, p.o.ReplyTimeout))
	default:
		return p.next
	}
}

// begin notes that a heartbeat is being sent from now on.
func (p *Peer) begin(now int64, cancel context.CancelFunc) {
	if !p.waiting {
		p.waiting, p.asked = true, now
	}
	p.askedLast, p.cancel = now, cancel
	p.unanswered++
	p.next = later(now, p.o.Interval-p.shard.manager.random.below(time.Duration(max(p.o.Jitter, 0)*float64(p.o.Interval))))
}
