package resilience_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

func newPhi(t testing.TB, o resilience.PhiOptions) *resilience.PhiAccrual {
	t.Helper()
	d, err := resilience.NewPhiAccrual(&o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The silence that is allowed is the one after which phi is at the threshold.
func TestPhiReachesTheThresholdAtTheTimeout(t *testing.T) {
	for _, threshold := range []float64{1, 2, 8, 12, 16, 100, 290} {
		d := newPhi(t, resilience.PhiOptions{Threshold: threshold, Max: time.Hour})
		for range 200 {
			d.Observe(20*time.Second + rand.N(20*time.Second))
		}
		if got := d.Phi(d.Timeout()); math.Abs(got-threshold) > 1e-3*threshold {
			t.Errorf("phi is %g at the timeout of threshold %g", got, threshold)
		}
		last := 0.0
		for silence := time.Duration(0); silence < 10*time.Minute; silence += time.Second {
			phi := d.Phi(silence)
			if phi < last || math.IsNaN(phi) {
				t.Fatalf("phi goes from %g to %g at %s", last, phi, silence)
			}
			last = phi
		}
	}
}

// Values of the standard normal distribution from a table: one in 10 is above
// 1.2816 deviations, one in 100 above 2.3263, one in 1,000,000 above 4.7534.
func TestPhiIsThatOfTheNormalDistribution(t *testing.T) {
	d := newPhi(t, resilience.PhiOptions{Window: 2, Pause: -1, MinDeviation: time.Millisecond, Max: time.Hour})
	d.Observe(90 * time.Second)
	d.Observe(110 * time.Second) // mean 100 s, deviation 10 s
	for phi, z := range map[float64]float64{1: 1.2816, 2: 2.3263, 6: 4.7534} {
		if got := d.Phi(time.Duration((100 + 10*z) * float64(time.Second))); math.Abs(got-phi) > 0.001 {
			t.Errorf("phi is %g at %g deviations, want %g", got, z, phi)
		}
	}
	if got, want := d.Timeout(), 156.12; math.Abs(got.Seconds()-want) > 0.01 {
		t.Errorf("threshold 8 allows %s, want %g s", got, want)
	}
}

func TestPhiLearns(t *testing.T) {
	about := func(d *resilience.PhiAccrual, want time.Duration) {
		t.Helper()
		if got := d.Timeout(); (got - want).Abs() > 100*time.Millisecond {
			t.Errorf("allows %s, want %s", got, want)
		}
	}
	d := newPhi(t, resilience.PhiOptions{})
	// Two observations stand for those that are missing: 22.5 and 37.5 s.
	about(d, 77100*time.Millisecond)
	for range resilience.DefaultPhiWindow {
		d.Observe(30 * time.Second)
	}
	about(d, 40600*time.Millisecond) // the numbers of the documentation
	strict := newPhi(t, resilience.PhiOptions{Threshold: 12})
	for range resilience.DefaultPhiWindow {
		strict.Observe(30 * time.Second)
	}
	about(strict, 42*time.Second)
	for i := range resilience.DefaultPhiWindow {
		d.Observe(time.Duration(25+10*(i%2)) * time.Second)
	}
	about(d, 63060*time.Millisecond) // a deviation of 5 s
	for range resilience.DefaultPhiWindow {
		d.Observe(10 * time.Second)
	}
	about(d, 20600*time.Millisecond) // the window has only the latest
	for range resilience.DefaultPhiWindow {
		d.Observe(time.Hour)
	}
	about(d, 125*time.Second) // never more than Max
}

func TestPhiRefusesInvalidOptions(t *testing.T) {
	for _, o := range []resilience.PhiOptions{
		{Threshold: 0.5}, {Threshold: 301}, {Threshold: math.NaN()}, {Threshold: -1},
		{Interval: -1}, {Interval: 1}, {Window: 1}, {Window: -1}, {MinDeviation: -1}, {MinDeviation: 1}, {Max: -1},
	} {
		if _, err := resilience.NewPhiAccrual(&o); !errors.Is(err, resilience.ErrInvalidOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// A peer whose heartbeats are regular is missed soon, one whose are not is not
// given up for a delay that is usual for it.
func TestDetectorJudgesByWhatItLearned(t *testing.T) {
	for _, active := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHeartbeats(t, resilience.HeartbeatsOptions{})
			defer closeHeartbeats(t, h)
			found := func(random func() time.Duration) time.Duration {
				l := newLink()
				o := resilience.PeerOptions{Jitter: -1, Abort: l.abort, Detector: newPhi(t, resilience.PhiOptions{})}
				if active {
					o.Send = l.send
				}
				p := start(t, h, "a", o)
				for range 200 {
					time.Sleep(random())
					p.Heartbeat()
				}
				silent := time.Since(l.start)
				time.Sleep(time.Hour)
				sends, ends, cause := l.seen()
				if len(ends) != 1 {
					t.Fatalf("ends %v, want one after %s", ends, silent)
				}
				var expired *resilience.ExpiredError
				if !errors.As(cause, &expired) || expired.Silence != ends[0]-silent {
					t.Error(cause)
				}
				if active && (len(sends) < 195 || sends[1]-sends[0] != 30*time.Second) {
					t.Errorf("%d heartbeats at %v", len(sends), sends)
				}
				return ends[0] - silent
			}
			regular := found(func() time.Duration { return 30 * time.Second })
			irregular := found(func() time.Duration { return 20*time.Second + rand.N(20*time.Second) })
			if regular > 41*time.Second || irregular < 55*time.Second || irregular > 85*time.Second {
				t.Errorf("found after %s and %s", regular, irregular)
			}
		})
	}
}

// Other messages are signs of life, but say nothing of the heartbeats.
func TestDetectorLearnsFromHeartbeatsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeats(t, resilience.HeartbeatsOptions{})
		defer closeHeartbeats(t, h)
		l := newLink()
		d := newPhi(t, resilience.PhiOptions{})
		p := start(t, h, "a", resilience.PeerOptions{Abort: l.abort, Detector: d})
		for range 5000 {
			time.Sleep(time.Second)
			p.Alive()
		}
		if got := d.Timeout(); got < time.Minute {
			t.Errorf("messages each second made it allow no more than %s", got)
		}
		if _, ends, _ := l.seen(); len(ends) != 0 {
			t.Error("expired while messages came")
		}
	})
}

// impatience is a user's own detector.
type impatience struct {
	mu       sync.Mutex
	observed []time.Duration
	timeout  time.Duration
}

func (d *impatience) Observe(interval time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.observed = append(d.observed, interval)
	d.timeout /= 2
}

func (d *impatience) Timeout() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.timeout
}

// A detector may become stricter: the earlier deadline holds.
func TestDetectorCanBeReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeats(t, resilience.HeartbeatsOptions{})
		defer closeHeartbeats(t, h)
		l := newLink()
		d := &impatience{timeout: 80 * time.Second}
		p := start(t, h, "a", resilience.PeerOptions{Abort: l.abort, Detector: d})
		for range 3 {
			time.Sleep(5 * time.Second)
			p.Heartbeat()
		}
		time.Sleep(time.Hour)
		if _, ends, _ := l.seen(); len(ends) != 1 || ends[0] != 35*time.Second {
			t.Errorf("ends %v, want 20s after the last heartbeat", ends)
		}
		if len(d.observed) != 2 || d.observed[0] != 5*time.Second || d.observed[1] != 5*time.Second {
			t.Errorf("observed %v", d.observed)
		}
	})
}

// The time without a connection is no interval between heartbeats.
func TestDetectorDoesNotLearnFromAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeats(t, resilience.HeartbeatsOptions{})
		defer closeHeartbeats(t, h)
		d := &impatience{timeout: time.Minute}
		offline := false
		var mu sync.Mutex
		var p *resilience.Peer
		send := func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			if offline {
				return transport.ErrNotConnected
			}
			p.Heartbeat()
			return nil
		}
		abort := func(cause error) { t.Error(cause) }
		mu.Lock()
		p = start(t, h, "a", resilience.PeerOptions{Jitter: -1, Send: send, Abort: abort, Detector: d})
		mu.Unlock()
		time.Sleep(31 * time.Second)
		set := func(value bool) {
			mu.Lock()
			defer mu.Unlock()
			offline = value
		}
		set(true)
		time.Sleep(10 * time.Minute)
		set(false)
		time.Sleep(30 * time.Second)
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.observed) != 0 {
			t.Errorf("observed %v", d.observed)
		}
	})
}
