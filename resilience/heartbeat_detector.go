package resilience

import (
	"math"
	"sync"
	"time"
)

// Detector decides from the times of a peer's heartbeats how long a silence may
// last. A program can have its own in place of [PhiAccrual].
//
// Its methods are called with a lock held, one at a time, and must neither block
// nor use the manager.
type Detector interface {
	// Observe takes in that a heartbeat came interval after the one before.
	Observe(interval time.Duration)
	// Timeout returns how long after its last sign of life the peer is to be
	// taken for lost, judging from what was observed so far.
	Timeout() time.Duration
}

// Defaults of [PhiOptions].
const (
	DefaultPhiThreshold = 8.0
	DefaultPhiWindow    = 64
	DefaultPhiPause     = 5 * time.Second
	DefaultPhiDeviation = time.Second
)

// maxPhi is the highest threshold: beyond it the probability is no number.
const maxPhi = 300

// PhiOptions configures a [PhiAccrual]. Nil and zero values mean the defaults.
type PhiOptions struct {
	// Threshold is the φ from which on a peer is taken for lost, from 1 to 300.
	// Default 8; see [PhiAccrual].
	Threshold float64
	// Interval is the interval at which the peer is expected to send
	// heartbeats, which stands for observations before there are any. Default
	// 30 s.
	Interval time.Duration
	// Window is how many of the latest intervals count, at least 2. Default 64.
	// Each takes 8 bytes.
	Window int
	// Pause is a silence on top of the usual one that arouses no suspicion: for
	// a garbage collection, a lost packet, a process that is busy. Default 5 s;
	// negative for none.
	Pause time.Duration
	// MinDeviation is the least standard deviation to reckon with. Without it a
	// peer that has been very regular would be suspected for a hair's breadth.
	// Default 1 s; at least 1 ms.
	MinDeviation time.Duration
	// Max bounds the silence, whatever was observed. Default four times
	// Interval, and Pause.
	Max time.Duration
}

// PhiAccrual is the φ accrual failure detector (Hayashibara, Défago, Yared,
// Katayama, "The φ Accrual Failure Detector", SRDS 2004). In place of a fixed
// deadline it learns how regular a peer's heartbeats are, and says how unlikely
// a silence is.
//
// φ(t) = −log₁₀ P(a heartbeat comes more than t after the one before), where P
// is that of a normal distribution with the mean and the deviation of the
// latest intervals. So the threshold is the number of zeros in the odds of being
// wrong: with 1, one silence in 10 that reaches it is a mere delay, with 2 one
// in 100, and with the default of 8 one in 100,000,000. A higher threshold means
// fewer mistakes and later detection: for regular heartbeats each 30 s, the
// default options allow a silence of 40.6 s, a threshold of 12 one of 42.0 s.
// On networks whose delays have a longer tail than the normal distribution,
// raise Pause rather than the threshold.
//
// Until it knows better it takes the intervals to be Interval with a deviation
// of a quarter of it. All methods may be called concurrently.
type PhiAccrual struct {
	o PhiOptions
	z float64 // how many deviations above the mean φ reaches the threshold

	mu              sync.Mutex
	intervals       []float64 // nanoseconds; a ring once it is full
	oldest          int
	mean, deviation float64
}

// NewPhiAccrual returns a detector for one peer, or an error that matches
// [ErrInvalidOptions].
func NewPhiAccrual(opts *PhiOptions) (*PhiAccrual, error) {
	var o PhiOptions
	if opts != nil {
		o = *opts
	}
	setDefault(&o.Threshold, DefaultPhiThreshold)
	setDefault(&o.Interval, DefaultHeartbeatInterval)
	setDefault(&o.Window, DefaultPhiWindow)
	setDefault(&o.Pause, DefaultPhiPause)
	setDefault(&o.MinDeviation, DefaultPhiDeviation)
	o.Pause = max(o.Pause, 0)
	switch {
	case !(o.Threshold >= 1 && o.Threshold <= maxPhi):
		return nil, invalid("Threshold is %g, want 1 to %d", o.Threshold, maxPhi)
	case o.Interval < minInterval:
		return nil, invalid("Interval is %s, want at least %s", o.Interval, minInterval)
	case o.Window < 2:
		return nil, invalid("Window is %d, want at least 2", o.Window)
	case o.MinDeviation < minInterval:
		return nil, invalid("MinDeviation is %s, want at least %s", o.MinDeviation, minInterval)
	case o.Max < 0:
		return nil, invalid("Max is %s, want 0 or more", o.Max)
	}
	setDefault(&o.Max, add(time.Duration(min(4*float64(o.Interval), math.MaxInt64/2)), o.Pause))
	d := &PhiAccrual{o: o, z: deviations(o.Threshold)}
	d.Observe(o.Interval - o.Interval/4)
	d.Observe(o.Interval + o.Interval/4)
	return d, nil
}

// Observe takes in that a heartbeat came interval after the one before.
func (d *PhiAccrual) Observe(interval time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.intervals) < d.o.Window {
		d.intervals = append(d.intervals, float64(interval))
	} else {
		d.intervals[d.oldest] = float64(interval)
		d.oldest = (d.oldest + 1) % d.o.Window
	}
	sum := 0.0
	for _, x := range d.intervals {
		sum += x
	}
	d.mean = sum / float64(len(d.intervals))
	squares := 0.0
	for _, x := range d.intervals {
		squares += (x - d.mean) * (x - d.mean)
	}
	d.deviation = max(math.Sqrt(squares/float64(len(d.intervals))), float64(d.o.MinDeviation))
}

// Timeout returns the silence at which φ reaches the threshold, at most Max.
func (d *PhiAccrual) Timeout() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	timeout := d.mean + float64(d.o.Pause) + d.z*d.deviation
	return time.Duration(min(max(timeout, 0), float64(d.o.Max)))
}

// Phi returns φ after a silence.
func (d *PhiAccrual) Phi(silence time.Duration) float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return phi((float64(silence) - d.mean - float64(d.o.Pause)) / d.deviation)
}

// phi returns φ at z deviations above the mean.
func phi(z float64) float64 {
	return max(-math.Log10(math.Erfc(z/math.Sqrt2)/2), 0)
}

// deviations returns the z at which phi reaches the threshold, by bisection: φ
// grows with z, and is beyond maxPhi at 40.
func deviations(threshold float64) float64 {
	low, high := 0.0, 40.0
	for range 64 {
		if middle := (low + high) / 2; phi(middle) < threshold {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}
