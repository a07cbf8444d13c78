package websocket

import "time"

const (
	// maxFragment is the most of a message that goes into one frame, so that
	// pings and pongs never wait long for their turn, and of a stream also where
	// the network is fast.
	maxFragment = 64 << 10
	// maxFastFragment is the most where the network has taken many frames at
	// once: fewer frames take less time on both sides.
	maxFastFragment = 8 * maxFragment
	// fastFragment is how long the network may take for one of those, and
	// fastFragments how many there have to be.
	fastFragment  = 5 * time.Millisecond
	fastFragments = 16
)

// fragments finds out how much of a message goes into one frame.
type fragments struct {
	twice int // the size is maxFragment doubled that often
	fast  int // fragments in a row that the network took at once
}

// size returns the most that goes into one frame.
func (f *fragments) size() int { return maxFragment << f.twice }

// wrote takes note of the time that the network took for a frame of size n.
func (f *fragments) wrote(n int, took time.Duration) {
	switch {
	case n < f.size():
	case took > fastFragment:
		*f = fragments{}
	case f.size() == maxFastFragment:
	default:
		if f.fast++; f.fast == fastFragments {
			f.twice, f.fast = f.twice+1, 0
		}
	}
}
