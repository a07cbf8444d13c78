package websocket

import "time"

// Who answers one message after the other, of many that have arrived together,
// need not have a goroutine write the answers meanwhile: whoever reads writes
// them before it waits for the network. If that takes longer than expected,
// because a message in between takes its time, the reader comes, after
// readerPatience, and writes them first of all. If many in between are not
// answered, the receive that takes the next one does.

const (
	// maxPostponed is how many messages are left to whoever reads.
	maxPostponed = 16
	// quickly is how long it takes from one message to the next, at most, and
	// quickOnes how many there have to be like that, for the next ones to be left.
	quickly   = 200 * time.Microsecond
	quickOnes = 16
)

// postponed says what is left to whoever reads. It is guarded by the gate's lock.
type postponed struct {
	some   bool      // something is
	latest time.Time // when a message was sent while there were more to be taken
	quick  int       // how many of them came quickly, in a row
}

// postpone reports whether messages that were just added are left to whoever
// reads. The gate is locked: if there is more to be taken now, somebody has yet to
// call writePostponed.
func (g *gate) postpone() bool {
	if g.nowait == nil || !g.more.Load() {
		return false
	}
	p, now := &g.postponed, time.Now()
	if now.Sub(p.latest) > quickly {
		p.quick = 0
	}
	p.latest = now
	if p.quick < quickOnes {
		p.quick++
		return false
	}
	p.some = true
	return true
}

// writePostponed writes what was left to whoever reads, which is about to wait for
// the network, or for room.
func (g *gate) writePostponed() {
	if g.nowait == nil {
		return
	}
	g.more.Store(false) // From here on nothing is postponed.
	g.writeOlder(0)
}

// writeLate is writePostponed for a receive that has taken a message with more
// behind it, and the one before was not answered: who takes one after the other
// must not keep the earlier answers until all are taken.
func (g *gate) writeLate() {
	if g.nowait != nil {
		g.writeOlder(quickly)
	}
}

// writeOlder writes what was left to whoever reads, if all of it is older than
// that.
func (g *gate) writeOlder(than time.Duration) {
	g.mu.Lock()
	write := g.postponed.some && (than == 0 || time.Since(g.postponed.latest) > than)
	g.mu.Unlock()
	if write {
		_ = g.tryFlush() // The connection was told of the error, which the next sender meets.
	}
}
