package resilience

import (
	"context"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Defaults of [HeartbeatsOptions].
const (
	DefaultShards  = 4
	DefaultWorkers = 64
)

// HeartbeatsOptions configures [Heartbeats]. Nil and zero values mean the
// defaults.
type HeartbeatsOptions struct {
	// Shards is how many goroutines watch the peers. Default 4, or the number
	// of processors if there are fewer.
	Shards int
	// Workers is how many goroutines at most call Send and Abort at the same
	// time; they exist only while there is something to call. Default 64. It
	// should be above the number of peers that can be stuck at the same time:
	// others' heartbeats wait, for as long as ReplyTimeout, while all workers
	// are in a Send that does not return. A heartbeat that waits is not held
	// against its peer, unless a Detector judges it.
	Workers int
	// Rand is the source of the jitter, for repeatable tests. The manager must
	// be its only user. Nil for the runtime's own.
	Rand rand.Source
	// Logger gets heartbeats that could not be sent and peers that expired. Nil
	// is silent.
	Logger *zap.Logger
}

// Heartbeats sends heartbeats to peers, and watches them for signs of life: a
// client its server, an orchestrator all of its links, a server its clients.
//
// However many peers there are, they cost one goroutine for each shard, and
// workers while there is something to send. All methods may be called
// concurrently. Close it after use.
type Heartbeats struct {
	o      HeartbeatsOptions
	random *random
	base   time.Time // times are kept as nanoseconds since then
	seed   maphash.Seed
	shards []*shard
	crew   crew

	ctx    context.Context // of all sends
	cancel context.CancelFunc
	done   chan struct{}
	once   sync.Once
	wait   sync.WaitGroup // for the shards' goroutines
}

// NewHeartbeats returns a manager without peers, or an error that matches
// [ErrInvalidOptions].
func NewHeartbeats(opts *HeartbeatsOptions) (*Heartbeats, error) {
	var o HeartbeatsOptions
	if opts != nil {
		o = *opts
	}
	if o.Shards < 0 {
		return nil, invalid("Shards is %d, want 0 or more", o.Shards)
	}
	if o.Workers < 0 {
		return nil, invalid("Workers is %d, want 0 or more", o.Workers)
	}
	setDefault(&o.Shards, min(DefaultShards, runtime.GOMAXPROCS(0)))
	setDefault(&o.Workers, DefaultWorkers)
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	h := &Heartbeats{
		o:      o,
		random: newRandom(o.Rand),
		base:   time.Now(),
		seed:   maphash.MakeSeed(),
		shards: make([]*shard, o.Shards),
		crew:   crew{most: o.Workers},
		done:   make(chan struct{}),
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	for i := range h.shards {
		s := &shard{manager: h, peers: map[string]*Peer{}, wake: make(chan struct{}, 1)}
		h.shards[i] = s
		h.wait.Go(s.run)
	}
	return h, nil
}

// Start begins to send heartbeats to the peer and to watch it. A peer that was
// started before is stopped and begins anew. The options need a Send or an Abort.
// It returns an error that matches [ErrInvalidOptions], or [ErrClosed].
func (h *Heartbeats) Start(id string, opts *PeerOptions) (*Peer, error) {
	var o PeerOptions
	if opts != nil {
		o = *opts
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := h.shard(id)
	now := h.now()
	p := &Peer{id: id, o: o, shard: s, lastBeat: never}
	p.heard.Store(now)
	first := o.Interval
	if o.Jitter > 0 {
		first = h.random.below(o.Interval)
	}
	p.next = later(now, first)
	if err := s.start(p); err != nil {
		return nil, err
	}
	return p, nil
}

// Stop stops the heartbeats to the peer and watches it no more. It reports
// whether the peer was running.
//
// It does not wait: a Send that runs has its context cancelled, and an Abort of
// a peer that has expired comes, or came, nevertheless.
func (h *Heartbeats) Stop(id string) bool { return h.shard(id).stop(id) }

// StopAll stops all peers. More can be started.
func (h *Heartbeats) StopAll() {
	for _, s := range h.shards {
		s.stopAll(false)
	}
}

// Running reports whether the peer was started, and neither stopped nor found
// to have expired.
func (h *Heartbeats) Running(id string) bool { return h.shard(id).find(id) != nil }

// Interval returns the interval of a peer that is running.
func (h *Heartbeats) Interval(id string) (time.Duration, bool) {
	p := h.shard(id).find(id)
	if p == nil {
		return 0, false
	}
	return p.o.Interval, true
}

// Alive reports a sign of life of a peer, as [Peer.Alive] does. It reports
// whether the peer is running.
func (h *Heartbeats) Alive(id string) bool {
	p := h.shard(id).find(id)
	if p == nil {
		return false
	}
	p.Alive()
	return true
}

// Close stops all peers and returns when everything the manager started has
// ended; Send must therefore return when its context ends. It may be called
// more than once, but not from a Send or an Abort.
func (h *Heartbeats) Close() error {
	h.once.Do(func() {
		for _, s := range h.shards {
			s.stopAll(true)
		}
		h.cancel()
		close(h.done)
	})
	h.wait.Wait()
	h.crew.wait.Wait()
	return nil
}

func (h *Heartbeats) shard(id string) *shard {
	return h.shards[maphash.String(h.seed, id)%uint64(len(h.shards))]
}

// now returns the time since the manager was made.
func (h *Heartbeats) now() int64 { return int64(time.Since(h.base)) }
