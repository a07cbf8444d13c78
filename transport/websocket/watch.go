package websocket

import (
	"sync"
	"sync/atomic"
	"time"
)

// watch finds out that something takes too long. Starting and stopping it costs
// two atomic operations and a look at the clock: its timer runs on and finds
// out by itself whether there is anything to be watched.
type watch struct {
	timeout time.Duration // 0 for none
	expired func()
	base    time.Time

	began atomic.Int64 // nanoseconds since base; 0 while nothing is watched
	armed atomic.Bool  // the timer runs

	mu      sync.Mutex
	timer   *time.Timer
	stopped bool
}

func newWatch(timeout time.Duration, expired func()) *watch {
	return &watch{timeout: timeout, expired: expired, base: time.Now()}
}

// now is never 0.
func (w *watch) now() int64 { return int64(time.Since(w.base)) + 1 }

// start begins to watch. One thing can be watched at a time.
func (w *watch) start() {
	if w.timeout == 0 {
		return
	}
	w.began.Store(w.now())
	if !w.armed.Load() {
		w.arm(w.timeout)
	}
}

// stop ends the watch until the next start.
func (w *watch) stop() { w.began.Store(0) }

func (w *watch) arm(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stopped:
		return
	case w.timer == nil:
		w.timer = time.AfterFunc(d, w.check)
	default:
		w.timer.Reset(d)
	}
	w.armed.Store(true)
}

func (w *watch) check() {
	w.armed.Store(false)
	// A start from here on arms the timer itself.
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

// close ends the watch for good.
func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
