package endpoint

import (
	"context"
	"time"
)

// toolWatch finds out that the tool that a worker has called takes too long, or
// is not needed any more. Its timer runs on from one call to the next, and its
// look at the device's end is for all of them, so that a call costs neither.
type toolWatch struct {
	conn *deviceConn
	// Guarded by the connection's lock:
	current *toolCall // nil if no tool runs
	timer   *time.Timer
	armed   bool        // the timer runs
	forget  func() bool // that the device's end is waited for; nil before the first call
}

// begin begins to watch a call, which ends that by finish.
func (w *toolWatch) begin(t *toolCall) {
	c := w.conn
	c.mu.Lock()
	w.current, t.run.job.watch = t, w
	if w.forget == nil {
		w.forget = context.AfterFunc(c.living, w.look)
	}
	if !w.armed {
		w.arm(c.device.options.CommandTimeout)
	}
	c.mu.Unlock()
	if t.limited.Err() != nil { // Perhaps before somebody could look.
		go w.look()
	}
}

// arm sets the timer. The connection is locked.
func (w *toolWatch) arm(d time.Duration) {
	w.armed = true
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.tick)
	} else {
		w.timer.Reset(d)
	}
}

// tick looks when the time of a call is over, perhaps that of an earlier one.
func (w *toolWatch) tick() {
	w.conn.mu.Lock()
	w.armed = false
	if w.current != nil {
		if deadline, _ := w.current.limited.Deadline(); time.Until(deadline) > 0 {
			w.arm(time.Until(deadline))
		}
	}
	w.conn.mu.Unlock()
	w.look()
}

// look goes on without the tool if its context has ended.
func (w *toolWatch) look() {
	w.conn.mu.Lock()
	t := w.current
	w.conn.mu.Unlock()
	if t != nil && t.limited.Err() != nil {
		t.overdue()
	}
}

// end ends the watch, with its worker.
func (w *toolWatch) end() {
	w.conn.mu.Lock()
	defer w.conn.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.forget != nil {
		w.forget()
	}
}
