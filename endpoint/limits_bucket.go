package endpoint

import (
	"math"
	"time"
)

// bucket is a token bucket: it fills at a rate up to a burst, and may be
// overdrawn. It is not safe for concurrent use.
type bucket struct {
	perSecond, burst float64
	level            float64
	at               time.Time // when the level was right
}

// newBucket returns a full bucket; one without a limit is nil.
func newBucket(perSecond, burst float64, now time.Time) *bucket {
	if perSecond >= math.MaxInt {
		return nil
	}
	return &bucket{perSecond: perSecond, burst: burst, level: burst, at: now}
}

// fill brings the level up to date.
func (b *bucket) fill(now time.Time) {
	b.level = min(b.burst, b.level+b.perSecond*now.Sub(b.at).Seconds())
	b.at = now
}

// take takes n out and returns how long it is until that was there.
func (b *bucket) take(n float64, now time.Time) time.Duration {
	if b == nil {
		return 0
	}
	b.fill(now)
	b.level -= n
	if b.level >= 0 {
		return 0
	}
	return time.Duration(min(math.Ceil(-b.level/b.perSecond*float64(time.Second)), float64(forever)))
}

// missing returns how long it is until there is one; 0 if there is.
func (b *bucket) missing(now time.Time) time.Duration {
	if b.fill(now); b.level >= 1 {
		return 0
	}
	return time.Duration(math.Ceil((1 - b.level) / b.perSecond * float64(time.Second)))
}
