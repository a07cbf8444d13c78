package resilience_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aip-go/aip/resilience"
)

func newHeartbeats(t testing.TB, o resilience.HeartbeatsOptions) *resilience.Heartbeats {
	t.Helper()
	h, err := resilience.NewHeartbeats(&o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func closeHeartbeats(t testing.TB, h *resilience.Heartbeats) {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

func start(t testing.TB, h *resilience.Heartbeats, id string, o resilience.PeerOptions) *resilience.Peer {
	t.Helper()
	p, err := h.Start(id, &o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// link is the far side of a peer: it notes when heartbeats came and when the
// peer was aborted, and answers while it is alive.
type link struct {
	start time.Time
	mu    sync.Mutex
	peer  *resilience.Peer // answered for, if not nil
	sends []time.Duration
	ends  []time.Duration
	cause error
}

func newLink() *link { return &link{start: time.Now()} }

func (l *link) send(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sends = append(l.sends, time.Since(l.start))
	if l.peer != nil {
		l.peer.Heartbeat()
	}
	return nil
}

func (l *link) abort(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends = append(l.ends, time.Since(l.start))
	l.cause = cause
}

func (l *link) answers(p *resilience.Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peer = p
}

func (l *link) seen() (sends, ends []time.Duration, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.sends), slices.Clone(l.ends), l.cause
}

func TestHeartbeatsGoOutAtTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeats(t, resilience.HeartbeatsOptions{})
		defer closeHeartbeats(t, h)
		fast, slow := newLink(), newLink()
		fast.answers(start(t, h, "fast", resilience.PeerOptions{Interval: 20 * time.Second, Jitter: -1, Send: fast.send, Abort: fast.abort}))
		slow.answers(start(t, h, "slow", resilience.PeerOptions{Jitter: -1, Send: slow.send, Abort: slow.abort}))
		time.Sleep(time.Hour + time.Second)
		for l, interval := range map[*link]time.Duration{fast: 20 * time.Second, slow: 30 * time.Second} {
			sends, ends, _ := l.seen()
			if len(sends) != int(time.Hour/interval) || len(ends) != 0 {
				t.Errorf("%d heartbeats each %s in an hour, %d ends", len(sends), interval, len(ends))
			}
			for i, at := range sends {
				if want := time.Duration(i+1) * interval; at != want {
					t.Fatalf("heartbeat %d at %s, want %s", i, at, want)
				}
			}
		}
	})
}

func TestHeartbeatsHaveJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const peers, interval = 1000, 30 * time.Second
		h := newHeartbeats(t, resilience.HeartbeatsOptions{Rand: rand.NewPCG(5, 6)})
		defer closeHeartbeats(t, h)
		links := make([]*link, peers)
		for i := range links {
			links[i] = newLink()
			links[i].answers(start(t, h, fmt.Sprint(i), resilience.PeerOptions{Send: links[i].send, Abort: links[i].abort}))
		}
		time.Sleep(10 * interval)
		tenths := make([]int, 10)
		shortest, longest := time.Hour, time.Duration(0)
		for _, l := range links {
			sends, _, _ := l.seen()
			if sends[0] >= interval {
				t.Fatalf("the first heartbeat comes after %s", sends[0])
			}
			tenths[sends[0]*10/interval]++
			for i := 1; i < len(sends); i++ {
				shortest, longest = min(shortest, sends[i]-sends[i-1]), max(longest, sends[i]-sends[i-1])
			}
		}
		for i, count := range tenths {
			if count < 60 || count > 140 {
				t.Errorf("%d of %d first heartbeats in tenth %d of the interval", count, peers, i)
			}
		}
		if shortest < 27*time.Second || shortest > 27100*time.Millisecond || longest > interval || longest < 29900*time.Millisecond {
			t.Errorf("intervals of %s to %s, want 27s to 30s", shortest, longest)
		}
	})
}

func TestStartAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeats(t, resilience.HeartbeatsOptions{})
		defer closeHeartbeats(t, h)
		expect := func(id string, running bool, interval time.Duration) {
			t.Helper()
			got, ok := h.Interval(id)
			if h.Running(id) != running || ok != running || got != interval || h.Alive(id) != running {
				t.Errorf("%q: running %t, interval %s", id, h.Running(id), got)
			}
		}
		expect("a", false, 0)
		l := newLink()
		o := resilience.PeerOptions{Jitter: -1, Send: l.send}
		if p := start(t, h, "a", o); p.ID() != "a" {
			t.Errorf("%q", p.ID())
		}
		o.Interval = time.Minute
		start(t, h, "b", o)
		start(t, h, "c", o)
		expect("a", true, 30*time.Second)
		expect("b", true, time.Minute)
		if !h.Stop("a") || h.Stop("a") || h.Stop("nobody") {
			t.Error("Stop does not tell whether the peer was running")
		}
		expect("a", false, 0)
		h.StopAll()
		expect("b", false, 0)
		expect("c", false, 0)
		time.Sleep(time.Hour)
		if sends, _, _ := l.seen(); len(sends) != 0 {
			t.Errorf("heartbeats after all were stopped: %v", sends)
		}
		start(t, h, "b", o)
		expect("b", true, time.Minute)
		time.Sleep(time.Minute)
		synctest.Wait()
		if sends, _, _ := l.seen(); len(sends) != 1 {
			t.Errorf("heartbeats after a new start: %v", sends)
		}
	})
}

func TestStartTwiceBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeats(t, resilience.HeartbeatsOptions{})
		defer closeHeartbeats(t, h)
		first, second := newLink(), newLink()
		old := start(t, h, "a", resilience.PeerOptions{Jitter: -1, Send: first.send, Abort: first.abort})
		time.Sleep(45 * time.Second)
		second.answers(start(t, h, "a", resilience.PeerOptions{Interval: 40 * time.Second, Jitter: -1, Send: second.send, Abort: second.abort}))
		for range 100 {
			time.Sleep(10 * time.Second)
			old.Alive() // of no use, and no harm
			old.Heartbeat()
		}
		synctest.Wait()
		sends, ends, _ := first.seen()
		if want := seconds(30, 40); !slices.Equal(sends, want) || len(ends) != 0 {
			t.Errorf("the first one: heartbeats at %v, want %v; ends %v", sends, want, ends)
		}
		sends, ends, _ = second.seen()
		if len(sends) != 25 || sends[0] != 85*time.Second || len(ends) != 0 {
			t.Errorf("the second one: heartbeats at %v, ends %v", sends, ends)
		}
	})
}

func TestFailedSendsAreLoggedAndTheLoopGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		h := newHeartbeats(t, resilience.HeartbeatsOptions{Logger: zap.New(core)})
		defer closeHeartbeats(t, h)
		l := newLink()
		send := func(ctx context.Context) error { return errors.Join(l.send(ctx), errLost) }
		start(t, h, "never expires", resilience.PeerOptions{Jitter: -1, ReplyTimeout: -1, Send: send, Abort: l.abort})
		time.Sleep(10*time.Minute + time.Second)
		if sends, ends, _ := l.seen(); len(sends) != 20 || len(ends) != 0 || logs.Len() != 20 {
			t.Errorf("%d heartbeats, %d logged, ends %v", len(sends), logs.Len(), ends)
		}
		h.StopAll()
		logs.TakeAll()
		start(t, h, "expires", resilience.PeerOptions{Jitter: -1, Send: send, Abort: l.abort})
		time.Sleep(time.Hour)
		entries := logs.TakeAll()
		if len(entries) != 4 || entries[3].Message != "peer expired" {
			t.Errorf("%v", entries)
		}
	})
}

func TestStopCancelsTheSendThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeats(t, resilience.HeartbeatsOptions{})
		begin := time.Now()
		ended := make(chan time.Duration, 3)
		o := resilience.PeerOptions{
			Jitter: -1, ReplyTimeout: -1, Abort: func(error) {},
			Send: func(ctx context.Context) error {
				err := stuck(ctx)
				ended <- time.Since(begin)
				return err
			},
		}
		start(t, h, "stopped", o)
		time.Sleep(31 * time.Second)
		h.Stop("stopped")
		if at := <-ended; at != 31*time.Second {
			t.Errorf("ended at %s", at)
		}
		start(t, h, "bounded by the interval", o)
		if at := <-ended; at != 91*time.Second {
			t.Errorf("ended at %s", at)
		}
		synctest.Wait()
		h.StopAll() // the next one is on its way already
		if at := <-ended; at != 91*time.Second {
			t.Errorf("ended at %s", at)
		}
		start(t, h, "closed", o)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		for range 2 {
			closeHeartbeats(t, h)
		}
		if at := <-ended; at != 121*time.Second {
			t.Errorf("ended at %s", at)
		}
		if _, err := h.Start("late", &o); err != resilience.ErrClosed {
			t.Error(err)
		}
	})
}

func TestHeartbeatsUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeartbeats(t, resilience.HeartbeatsOptions{Workers: 3})
		var wait sync.WaitGroup
		for i := range 50 {
			wait.Go(func() {
				id := fmt.Sprint(i % 20)
				for range 100 {
					l := newLink()
					p, err := h.Start(id, &resilience.PeerOptions{Interval: time.Second, ReplyTimeout: 100 * time.Millisecond, Send: l.send, Abort: l.abort})
					if err != nil {
						t.Error(err)
						return
					}
					time.Sleep(rand.N(2 * time.Second))
					p.Alive()
					p.Heartbeat()
					h.Alive(id)
					h.Running(id)
					h.Interval(id)
					if i%7 == 0 {
						h.Stop(id)
					}
				}
			})
		}
		wait.Wait()
		time.Sleep(time.Minute)
		for i := range 20 {
			if h.Running(fmt.Sprint(i)) {
				t.Errorf("%d is silent, but running", i)
			}
		}
		closeHeartbeats(t, h)
	})
}

// goroutines counts them by their stacks: runtime.NumGoroutine also counts the
// runtime's own for finalizers, which begin at any time.
func goroutines() int {
	stacks := make([]byte, 1<<20)
	return bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("\n\ngoroutine "))
}

func TestPeersCostNoGoroutines(t *testing.T) {
	const peers, shards, workers = 10000, 4, 8
	synctest.Test(t, func(t *testing.T) {
		before := goroutines()
		h := newHeartbeats(t, resilience.HeartbeatsOptions{Shards: shards, Workers: workers})
		defer closeHeartbeats(t, h)
		var mu sync.Mutex
		sent, most := 0, 0
		for i := range peers {
			start(t, h, fmt.Sprint(i), resilience.PeerOptions{Send: func(context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				if sent++; sent%100 == 0 {
					most = max(most, goroutines())
				}
				return nil
			}})
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if got := goroutines() - before; got != shards {
			t.Errorf("%d goroutines for %d peers at rest, want %d", got, peers, shards)
		}
		mu.Lock()
		defer mu.Unlock()
		// Twice the workers, as those that end may overlap with new ones.
		if got := most - before; got > shards+2*workers || sent < peers {
			t.Errorf("%d goroutines for %d peers at work, %d heartbeats sent", got, peers, sent)
		}
	})
}

func TestHeartbeatsRefuseInvalidOptions(t *testing.T) {
	for _, o := range []resilience.HeartbeatsOptions{{Shards: -1}, {Workers: -1}} {
		if _, err := resilience.NewHeartbeats(&o); !errors.Is(err, resilience.ErrInvalidOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	h, err := resilience.NewHeartbeats(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closeHeartbeats(t, h)
	if _, err := h.Start("a", nil); !errors.Is(err, resilience.ErrInvalidOptions) {
		t.Errorf("no options: %v", err)
	}
	send, abort := func(context.Context) error { return nil }, func(error) {}
	for i, o := range []resilience.PeerOptions{
		{},
		{Send: send, Interval: -1},
		{Send: send, Interval: time.Microsecond},
		{Send: send, Jitter: 1.5},
		{Send: send, Jitter: math.NaN()},
		{Send: send, Misses: -1},
		{Abort: abort, ReplyTimeout: -1},
	} {
		if _, err := h.Start("a", &o); !errors.Is(err, resilience.ErrInvalidOptions) || h.Running("a") {
			t.Errorf("%d: %v", i, err)
		}
	}
}
