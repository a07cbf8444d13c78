// Package watchdog finds out that something takes too long, at next to no cost
// for what does not.
package watchdog

import (
	"sync"
	"sync/atomic"
	"time"
)

// Watchdog watches one thing at a time. Starting and stopping costs two atomic
// operations and a look at the clock: its timer runs on and finds out by itself
// whether there is anything to be watched.
type Watchdog struct {
	timeout time.Duration // 0 for none
	expired func()
	base    time.Time

	began atomic.Int64 // nanoseconds since base; 0 while nothing is watched
	armed atomic.Bool  // the timer runs

	mu     sync.Mutex
	timer  *time.Timer
	closed bool
}

// New returns a watchdog that calls expired, in a goroutine of its own, for what
// takes longer than timeout, within twice that time, and once for each. Zero
// means no limit.
func New(timeout time.Duration, expired func()) *Watchdog {
	return &Watchdog{timeout: timeout, expired: expired, base: time.Now()}
}

// now is never 0.
func (w *Watchdog) now() int64 { return int64(time.Since(w.base)) + 1 }

// Start begins to watch. It is called by one goroutine at a time.
func (w *Watchdog) Start() {
	if w.timeout == 0 {
		return
	}
	w.began.Store(w.now())
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
	began := w.began.Load()
	if began == 0 {
		return
	}
	if left := w.timeout - time.Duration(w.now()-began); left > 0 {
		w.arm(left)
		return
	}
	w.expired()
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
