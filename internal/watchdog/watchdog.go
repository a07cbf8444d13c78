// Package watchdog finds out that something takes too long, at next to no cost
// for what does not.
package watchdog

import (
	"sync"
	"sync/atomic"
	"time"
)

// rarely is how often, at least, a watchdog looks that has enough to do: a timer
// that ends wakes threads, and there may be one for each of many connections.
const rarely = 8 * time.Millisecond

// longest is the longest timeout, of which there may be some in a row: 36 years.
const longest = 1 << 60 * time.Nanosecond

// Watchdog watches one thing at a time. Starting and stopping costs a few atomic
// operations and a look at the clock: its timer runs on and finds out by itself
// whether there is anything to be watched.
type Watchdog struct {
	timeout time.Duration // 0 for none
	expired func()
	base    time.Time

	began  atomic.Int64  // nanoseconds since base; 0 while nothing is watched
	starts atomic.Uint32 // how often Start was called
	armed  atomic.Bool   // the timer runs

	mu     sync.Mutex
	timer  *time.Timer
	every  time.Duration // how often it looks at present
	seen   uint32        // starts when it looked
	closed bool
}

// New returns a watchdog that calls expired, in a goroutine of its own, for what
// takes longer than timeout, and once for each: within twice that time or, of
// one in a quick succession, 8 ms after it. Zero means no limit.
func New(timeout time.Duration, expired func()) *Watchdog {
	timeout = min(timeout, longest)
	return &Watchdog{timeout: timeout, expired: expired, base: time.Now(), every: timeout}
}

// now is never 0.
func (w *Watchdog) now() int64 { return int64(time.Since(w.base)) + 1 }

// Start begins to watch. Of two calls at once, the later one counts.
func (w *Watchdog) Start() { w.StartFor(1) }

// StartFor is Start for what may take so many times the timeout, at most four.
func (w *Watchdog) StartFor(times int) {
	if w.timeout == 0 {
		return
	}
	w.began.Store(w.now() + int64(times-1)*int64(w.timeout))
	w.starts.Add(1)
	if !w.armed.Load() {
		w.arm(w.timeout)
	}
}

// Stop ends the watch until the next Start.
func (w *Watchdog) Stop() { w.began.Store(0) }

func (w *Watchdog) arm(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.armed.Store(true) // Before the timer runs, which may end at once.
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.check)
	} else {
		w.timer.Reset(d)
	}
}

func (w *Watchdog) check() {
	w.armed.Store(false)
	// A Start from here on arms the timer itself.
	began, left := w.began.Load(), w.timeout
	if began != 0 {
		left -= time.Duration(w.now() - began)
	}
	if left <= 0 {
		w.expired()
		return
	}
	if every := w.pace(); began != 0 || every > 0 {
		w.arm(max(left, every))
	}
}

// pace returns how long not to look, at most rarely or the timeout: the longer,
// the longer Start has been called all the time; 0 if it was not called since
// the latest look.
func (w *Watchdog) pace() time.Duration {
	starts := w.starts.Load()
	w.mu.Lock()
	defer w.mu.Unlock()
	if starts == w.seen {
		w.every = w.timeout
		return 0
	}
	w.seen = starts
	w.every = min(2*w.every, max(w.timeout, rarely))
	return w.every
}

// Close ends the watch for good. A call of expired may still be running.
func (w *Watchdog) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
