package endpoint

import (
	"math"
	"sync"
	"time"
)

// rates bounds how often something happens for each key: so many times a minute,
// all of which may come at once. It keeps a bounded number of keys. The zero
// value is empty.
type rates struct {
	mu      sync.Mutex
	buckets map[string]*bucket
	sweepAt int // the number of buckets at which the full ones go
}

// minSweep is the least number of buckets at which it is worth looking, maxKeys
// how many there are at most.
const (
	minSweep = 1024
	maxKeys  = 1 << 16
)

// allow takes one, if it is there, and reports whether it was.
func (r *rates) allow(perMinute int, key string) bool { return r.take(perMinute, key) == 0 }

// take takes one, if it is there, and returns 0; or else how long it is until
// there is one.
func (r *rates) take(perMinute int, key string) time.Duration {
	if perMinute == math.MaxInt {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	b := r.bucket(perMinute, key, now)
	wait := b.missing(now)
	if wait == 0 {
		b.level--
	}
	return wait
}

// wait returns how long it is until there is one, and takes none.
func (r *rates) wait(perMinute int, key string) time.Duration {
	if perMinute == math.MaxInt {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.buckets[key]
	if b == nil {
		return 0
	}
	return b.missing(time.Now())
}

// spend takes one, also if there is none: what happened at the same time as
// others is made up for later, by a minute at most.
func (r *rates) spend(perMinute int, key string) {
	if perMinute == math.MaxInt {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	b := r.bucket(perMinute, key, now)
	b.take(1, now)
	b.level = max(b.level, -b.burst)
}

// bucket returns the key's bucket. The rates are locked.
func (r *rates) bucket(perMinute int, key string, now time.Time) *bucket {
	b := r.buckets[key]
	if b == nil {
		b = newBucket(float64(perMinute)/60, float64(perMinute), now)
		r.sweep(now)
		r.buckets[key] = b
	}
	return b
}

// sweep forgets the buckets that are full, as new ones are, and if there are too
// many nevertheless a quarter of them.
func (r *rates) sweep(now time.Time) {
	if r.buckets == nil {
		r.buckets, r.sweepAt = map[string]*bucket{}, minSweep
	}
	if len(r.buckets) < r.sweepAt {
		return
	}
	for key, b := range r.buckets {
		if b.fill(now); b.level >= b.burst {
			delete(r.buckets, key)
		}
	}
	if len(r.buckets) >= maxKeys {
		for key := range r.buckets {
			if delete(r.buckets, key); len(r.buckets) <= maxKeys*3/4 {
				break
			}
		}
	}
	r.sweepAt = min(max(minSweep, 2*len(r.buckets)), maxKeys)
}
