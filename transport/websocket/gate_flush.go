package websocket

import (
	"io"
	"net"
)

// writeUnit is what the peer has WriteTimeout for.
const writeUnit = 2 * maxFragment

// maxWrite is the most that is written to the network at once: what the peer has
// WriteTimeout for or, where the network is fast, a frame. The larger the writes,
// the less each side has to wait for the other. It must not cut a frame.
func (g *gate) maxWrite() int { return max(writeUnit, int(g.fragment.Load())+maxHeader) }

// watchWrite has a write of n bytes, the header of a frame among them, watched,
// until g.watch is stopped.
func (g *gate) watchWrite(n int) {
	g.watch.StartFor(max(1, (n-maxHeader+writeUnit-1)/writeUnit))
}

// flush writes all frames to the network that are whole when its turn comes. It
// returns the error of the network, or errCloseSent when data was dropped.
func (g *gate) flush() error {
	if !g.enter() {
		return net.ErrClosed
	}
	defer g.leave()
	return g.writeOut()
}

// flushSoon is the goroutine that kick starts. It writes once only, like every
// flush: what comes meanwhile has the next one started, which takes turns with
// the senders.
func (g *gate) flushSoon() {
	if !g.enter() {
		return
	}
	defer g.leave()
	g.mu.Lock()
	g.kicked = false
	g.mu.Unlock()
	_ = g.writeOut() // The connection was told of the error, which the next sender meets.
}

// enter waits for the turn to write to the network. It reports false after
// kill.
func (g *gate) enter() bool {
	select {
	case g.flushing <- struct{}{}:
		return true
	case <-g.dead:
		return false
	}
}

func (g *gate) leave() { <-g.flushing }

// writeOut writes the whole frames, and then a frame that is given in parts; the
// caller has the turn.
func (g *gate) writeOut(frame ...[]byte) error {
	out, open := g.take()
	if out != nil {
		err := g.send(out.b)
		out.free()
		if err != nil {
			g.fail(err)
			frame = nil
		}
	}
	if len(frame) > 0 && open {
		if err := g.sendParts(frame); err != nil {
			g.fail(err)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropped = g.dropped || len(frame) > 0 && !open
	return g.wrote(out != nil || len(frame) > 0)
}

// wrote returns what a flush returns, which has written something or found
// nothing. The gate is locked.
func (g *gate) wrote(something bool) error {
	g.underway = load{}
	switch {
	case g.sendErr != nil:
		return g.sendErr
	case g.dropped:
		return errCloseSent
	case g.killed && !something:
		return net.ErrClosed // Or else it happened after the writing.
	default:
		return nil
	}
}

// tryFlush is flush for those who must not wait: what the network does not take
// at once, or somebody else is about to write, is left to a goroutine. There is
// a nowait.
func (g *gate) tryFlush() error {
	select {
	case g.flushing <- struct{}{}:
	default:
		return g.leaveIt()
	}
	out, _ := g.take()
	if out == nil {
		defer g.leave()
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.wrote(false)
	}
	n, err := g.nowait.try(out.b)
	if err != nil {
		g.fail(err)
	}
	g.mu.Lock()
	if all := n == len(out.b); all || g.sendErr != nil || g.killed {
		defer g.leave()
		defer g.mu.Unlock()
		out.free()
		return g.wrote(all)
	}
	g.putBack(out, n)
	g.mu.Unlock()
	g.leave()
	return g.leaveIt()
}

// putBack puts what was taken and not written before what came since. The gate
// is locked.
func (g *gate) putBack(out *buffer, written int) {
	rest := len(out.b) - written
	out.b = append(out.b[:0], out.b[written:]...)
	if g.buffer != nil {
		out.b = append(out.b, g.buffer.b...)
		g.buffer.free()
	}
	g.buffer, g.whole = out, g.whole+rest
	g.soon, g.underway = load{g.soon.messages + g.underway.messages, g.soon.bytes + g.underway.bytes}, load{}
}

// leaveIt leaves the flush to a goroutine, unless it is too late for that.
func (g *gate) leaveIt() error {
	g.mu.Lock()
	g.kick()
	kicked := g.kicked
	g.mu.Unlock()
	if kicked {
		return nil
	}
	return g.flush()
}

// take takes the whole frames out of the buffer, if there are any that can be
// written, and reports whether a frame of data may follow them.
func (g *gate) take() (out *buffer, open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	open = !g.killed && g.sendErr == nil && !g.closing
	if g.killed || g.sendErr != nil || g.whole == 0 {
		return nil, open
	}
	out = g.buffer
	g.postponed.some = false
	g.buffer, g.soon, g.underway = nil, load{}, g.soon
	if rest := out.b[g.whole:]; len(rest) > 0 {
		g.buffer = getBuffer()
		g.buffer.b = append(g.buffer.b, rest...)
	}
	out.b = out.b[:g.whole]
	g.whole = 0
	return out, open
}

// send writes to the network.
func (g *gate) send(b []byte) error {
	for len(b) > 0 {
		some := b[:min(len(b), g.maxWrite())]
		g.watchWrite(len(some))
		n, err := g.conn.Write(some)
		g.watch.Stop()
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// sendParts writes a frame, the last part of which is the payload, to the
// network: in one go if that is possible, and it is not more than maxWrite is.
func (g *gate) sendParts(frame net.Buffers) error {
	payload := frame[len(frame)-1]
	first := min(len(payload), g.maxWrite()-maxHeader)
	frame[len(frame)-1] = payload[:first]
	g.watchWrite(first)
	_, err := frame.WriteTo(g.conn)
	g.watch.Stop()
	if err != nil {
		return err
	}
	return g.send(payload[first:])
}

// fail records that the network takes nothing more. What the peer sent before
// can still be read.
func (g *gate) fail(err error) {
	g.mu.Lock()
	g.sendErr = err
	g.drop()
	g.mu.Unlock()
	g.failed(err)
}

// drop gives up what was not written. The gate is locked and takes nothing more.
func (g *gate) drop() {
	g.whole, g.soon = 0, load{}
	if g.buffer != nil {
		g.buffer.free()
		g.buffer = nil
	}
}

// networkError returns the first error of the network, nil if there was none.
func (g *gate) networkError() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.readErr != nil {
		return g.readErr
	}
	return g.sendErr
}

// linger lets a peer that is still sending see the close frame: after an
// immediate close of the network the peer's system would throw it away. It
// reads and discards until the peer has closed or kill ends it (RFC 6455
// section 7.1.1).
func (g *gate) linger() {
	if err := g.flush(); err != nil && err != errCloseSent {
		return
	}
	if half, ok := g.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // Where it fails the peer closes all the same, or time is up.
	}
	_, _ = io.Copy(io.Discard, g.conn)
}

// Close is the engine's. It closes the network unless there is a close frame to
// be written first: then kill does it.
func (g *gate) Close() error {
	g.mu.Lock()
	closing := g.closing
	g.mu.Unlock()
	if !closing {
		g.kill()
	}
	return nil
}

// kill closes the network and ends everything that waits for it.
func (g *gate) kill() {
	g.mu.Lock()
	killed := g.killed
	g.killed = true
	if !killed {
		close(g.dead)
		g.drop()
	}
	g.mu.Unlock()
	if !killed {
		_ = g.conn.Close() // There is nothing left to lose.
	}
}
