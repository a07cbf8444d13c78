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
	w.current, t.run.job.call = t, t
	if w.forget == nil {
		w.forget = context.AfterFunc(c.living, w.died)
	}
	if !w.armed {
		w.arm(t.left())
	}
	c.mu.Unlock()
	if t.limited.Err() != nil || c.living.Err() != nil { // Perhaps before somebody could know of the call.
		go t.overdue()
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

// tick goes on without the tool if its time is over. It may be that the time of
// an earlier one is.
func (w *toolWatch) tick() {
	if t := w.late(); t != nil {
		t.overdue()
	}
}

// late returns the call whose time is over, or sets the timer to that of the
// current one, if there is one.
func (w *toolWatch) late() *toolCall {
	w.conn.mu.Lock()
	defer w.conn.mu.Unlock()
	w.armed = false
	if w.current == nil {
		return nil
	}
	if left := w.current.left(); left > 0 {
		w.arm(left)
		return nil
	}
	return w.current
}

// died goes on without the tool, since the device's end has come.
func (w *toolWatch) died() {
	w.conn.mu.Lock()
	t := w.current
	w.conn.mu.Unlock()
	if t != nil {
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
