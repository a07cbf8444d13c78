package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

func TestSilentPeerIsFoundInTime(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	between := func(low, high time.Duration) time.Duration {
		return low + time.Duration(random.Int64N(int64(high-low)))
	}
	for range 50 {
		o := resilience.PeerOptions{
			Interval: between(time.Second, time.Minute), ReplyTimeout: between(time.Second, time.Minute),
			Misses: 1 + random.IntN(4), Jitter: []float64{-1, 0, 0.5, 1}[random.IntN(4)],
		}
		passive, alive := random.IntN(2) == 0, between(0, 10*time.Minute)
		t.Run(fmt.Sprintf("passive %t, %s, %s, %d, %g", passive, o.Interval, o.ReplyTimeout, o.Misses, o.Jitter), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHeartbeats(t, resilience.HeartbeatsOptions{})
				defer closeHeartbeats(t, h)
				l := newLink()
				o.Abort = l.abort
				if !passive {
					o.Send = l.send
				}
				p := start(t, h, "a", o)
				l.answers(p)
				// It lives for a while, then falls silent without a word.
				for time.Since(l.start) < alive {
					time.Sleep(o.Interval / 3)
					if passive {
						p.Alive()
					}
				}
				l.answers(nil)
				sends, _, _ := l.seen()
				silent := time.Since(l.start)
				if !passive {
					silent = 0
					if len(sends) > 0 {
						silent = sends[len(sends)-1]
					}
				}
				patience := time.Duration(o.Misses) * o.ReplyTimeout
				time.Sleep(silent + o.Interval + patience - time.Since(l.start))
				synctest.Wait()
				_, ends, cause := l.seen()
				if len(ends) != 1 || ends[0]-silent > o.Interval+patience || ends[0]-silent < patience {
					t.Fatalf("silent since %s, found %v", silent, ends)
				}
				var expired *resilience.ExpiredError
				if !errors.As(cause, &expired) || expired.ID != "a" || expired.Silence != ends[0]-silent || !errors.Is(cause, transport.ErrPingTimeout) {
					t.Errorf("%#v after %s", cause, ends[0]-silent)
				}
				if unanswered := o.Misses; passive && expired.Unanswered != 0 || !passive && expired.Unanswered < unanswered {
					t.Errorf("%d heartbeats unanswered", expired.Unanswered)
				}
				if h.Running("a") || h.Stop("a") {
					t.Error("an expired peer is running")
				}
				time.Sleep(time.Hour)
				if after, ends, _ := l.seen(); len(ends) != 1 || !passive && len(after) != len(sends)+expired.Unanswered {
					t.Error("it goes on after the end")
				}
			})
		})
	}
}

// By default: a beat at 30 s, the next ones as soon as it is missed.
func TestMissesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeats(t, resilience.HeartbeatsOptions{})
		defer closeHeartbeats(t, h)
		l := newLink()
		p := start(t, h, "a", resilience.PeerOptions{Jitter: -1, Send: l.send, Abort: l.abort})
		time.Sleep(59 * time.Second) // sent at 30, 40 and 50 s
		p.Alive()                    // any frame counts
		time.Sleep(2 * time.Minute)
		sends, ends, cause := l.seen()
		if want := seconds(30, 40, 50, 80, 90, 100); !slices.Equal(sends, want) {
			t.Errorf("heartbeats at %v, want %v", sends, want)
		}
		if want := seconds(110); !slices.Equal(ends, want) {
			t.Errorf("expired at %v, want %v", ends, want)
		}
		if want := `resilience: no sign of life from "a" for 51s, heartbeats unanswered: 3`; cause == nil || cause.Error() != want {
			t.Errorf("got %v, want %q", cause, want)
		}
	})
}

func TestSilentClientsOfAServerAreReaped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeats(t, resilience.HeartbeatsOptions{})
		defer closeHeartbeats(t, h)
		const clients = 300
		links := make([]*link, clients)
		for i := range links {
			links[i] = newLink()
			p := start(t, h, fmt.Sprint(i), resilience.PeerOptions{Interval: 2 * time.Minute, Abort: links[i].abort})
			if i%3 == 0 {
				continue // silent from the beginning
			}
			go func() {
				for range 30 {
					time.Sleep(2 * time.Minute)
					p.Alive()
				}
			}()
		}
		time.Sleep(time.Hour + time.Minute)
		for i, l := range links {
			_, ends, cause := l.seen()
			if i%3 != 0 {
				if len(ends) != 0 {
					t.Errorf("client %d lives, but was reaped at %v", i, ends)
				}
				continue
			}
			if want := 150 * time.Second; len(ends) != 1 || ends[0] != want {
				t.Errorf("client %d was reaped at %v, want %s", i, ends, want)
			}
			if want := fmt.Sprintf(`resilience: no sign of life from "%d" for 2m30s`, i); cause.Error() != want {
				t.Errorf("got %q, want %q", cause, want)
			}
		}
		time.Sleep(2 * time.Minute)
		for i, l := range links {
			if _, ends, _ := l.seen(); len(ends) != 1 {
				t.Errorf("client %d fell silent and was reaped at %v", i, ends)
			}
		}
	})
}

// While there is no connection there is nothing to watch.
func TestDisconnectedPeerIsSkipped(t *testing.T) {
	for _, detector := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHeartbeats(t, resilience.HeartbeatsOptions{})
			defer closeHeartbeats(t, h)
			l := newLink()
			o := resilience.PeerOptions{Jitter: -1, Abort: l.abort, Send: func(ctx context.Context) error {
				return errors.Join(l.send(ctx), transport.ErrNotConnected)
			}}
			if detector {
				o.Detector = newPhi(t, resilience.PhiOptions{})
			}
			start(t, h, "a", o)
			time.Sleep(time.Hour + time.Second)
			if sends, ends, _ := l.seen(); len(sends) != 120 || len(ends) != 0 {
				t.Errorf("%d heartbeats, ends %v", len(sends), ends)
			}
		})
	}
}

func TestPeerWithoutAbortIsNotJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeats(t, resilience.HeartbeatsOptions{})
		defer closeHeartbeats(t, h)
		l := newLink()
		start(t, h, "a", resilience.PeerOptions{Jitter: -1, Send: l.send})
		time.Sleep(time.Hour + time.Second)
		if sends, _, _ := l.seen(); len(sends) != 120 || !h.Running("a") {
			t.Errorf("%d heartbeats", len(sends))
		}
	})
}

// stuck is a peer whose connection takes nothing.
func stuck(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestStuckPeersKeepNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeats(t, resilience.HeartbeatsOptions{Workers: 20})
		defer closeHeartbeats(t, h)
		healthy, dead := newLink(), newLink()
		healthy.answers(start(t, h, "healthy", resilience.PeerOptions{Jitter: -1, Send: healthy.send, Abort: healthy.abort}))
		for i := range 19 {
			start(t, h, fmt.Sprint(i), resilience.PeerOptions{Jitter: -1, Send: stuck, Abort: dead.abort})
		}
		time.Sleep(10*time.Minute + time.Second)
		_, ends, _ := dead.seen()
		if len(ends) != 19 || ends[0] != time.Minute || ends[18] != time.Minute {
			t.Errorf("the stuck ones expired at %v, want 19 times 1m0s", ends)
		}
		sends, ends, _ := healthy.seen()
		if len(sends) != 20 || sends[0] != 30*time.Second || sends[1] != time.Minute || len(ends) != 0 {
			t.Errorf("the healthy one: heartbeats at %v, ends %v", sends, ends)
		}
	})
}

// With too few workers heartbeats are late, but that is not their peers' fault.
func TestWaitForAWorkerIsNotHeldAgainstThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeats(t, resilience.HeartbeatsOptions{Workers: 1})
		defer closeHeartbeats(t, h)
		dead := newLink()
		for i := range 20 {
			start(t, h, fmt.Sprint(i), resilience.PeerOptions{Jitter: -1, Send: stuck, Abort: dead.abort})
		}
		time.Sleep(time.Second)
		healthy := newLink()
		healthy.answers(start(t, h, "healthy", resilience.PeerOptions{Jitter: -1, Send: healthy.send, Abort: healthy.abort}))
		time.Sleep(time.Hour)
		_, ends, _ := dead.seen()
		if len(ends) != 20 {
			t.Errorf("%d stuck ones expired, want 20", len(ends))
		}
		sends, ends, _ := healthy.seen()
		if len(ends) != 0 || len(sends) < 100 {
			t.Errorf("the healthy one: %d heartbeats, ends %v", len(sends), ends)
		}
	})
}
