package resilience

import (
	"math/rand/v2"
	"sync"
	"time"
)

// random draws random durations, for any number of goroutines at once.
type random struct {
	mu     sync.Mutex
	source *rand.Rand // nil: the runtime's own
}

func newRandom(source rand.Source) *random {
	if source == nil {
		return &random{}
	}
	return &random{source: rand.New(source)}
}

// below returns a duration that is evenly distributed in [0, d), and 0 if d is.
func (r *random) below(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	if r.source == nil {
		return rand.N(d)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Duration(r.source.Int64N(int64(d)))
}
