package websocket

import (
	"io"
	"net"
)

// maxWrite is the most that is written to the network at once. It must not cut
// a frame of maxFragment.
const maxWrite = 2 * maxFragment

// flush writes all whole frames to the network and returns when they and those
// that came meanwhile are written, or with the error of the network, or with
// errCloseSent when data was dropped.
func (g *gate) flush() error {
	select {
	case g.flushing <- struct{}{}:
	case <-g.dead:
		return net.ErrClosed
	}
	defer func() { <-g.flushing }()
	for {
		out, err := g.take()
		if out == nil {
			return err
		}
		err = g.send(out.b)
		out.free()
		if err != nil {
			g.fail(err)
		}
	}
}

// take takes the whole frames out of the buffer. Without any it returns what
// flush is to return.
func (g *gate) take() (*buffer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kicked = false
	switch {
	case g.killed:
		return nil, net.ErrClosed
	case g.sendErr != nil:
		return nil, g.sendErr
	case g.whole == 0 && g.dropped:
		return nil, errCloseSent
	case g.whole == 0:
		return nil, nil
	}
	out := g.buffer
	g.buffer = nil
	if rest := out.b[g.whole:]; len(rest) > 0 {
		g.buffer = getBuffer()
		g.buffer.b = append(g.buffer.b, rest...)
	}
	out.b = out.b[:g.whole]
	g.whole = 0
	return out, nil
}

// send writes to the network.
func (g *gate) send(b []byte) error {
	for len(b) > 0 {
		g.watch.start()
		n, err := g.conn.Write(b[:min(len(b), maxWrite)])
		g.watch.stop()
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// fail records that the network takes nothing more. What the peer sent before
// can still be read.
func (g *gate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sendErr = err
	g.whole = 0
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
	}
	g.mu.Unlock()
	if !killed {
		_ = g.conn.Close() // There is nothing left to lose.
	}
}
