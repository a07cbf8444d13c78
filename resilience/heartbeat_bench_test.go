package resilience_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aip-go/aip/resilience"
)

// watch starts 100,000 peers and returns them with what each of them costs.
func watch(b *testing.B, h *resilience.Heartbeats, o func() resilience.PeerOptions) (all []*resilience.Peer, running int, bytes float64) {
	ids := make([]string, 100_000)
	for i := range ids {
		ids[i] = fmt.Sprint("device-", i)
	}
	all = make([]*resilience.Peer, len(ids))
	heap := func() float64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return float64(stats.HeapAlloc)
	}
	bytes = heap()
	for i, id := range ids {
		all[i] = start(b, h, id, o())
	}
	return all, goroutines(), (heap() - bytes) / float64(len(ids))
}

// BenchmarkAlive measures what a sign of life costs, with 100,000 peers.
func BenchmarkAlive(b *testing.B) {
	for _, bench := range []struct {
		name string
		o    func() resilience.PeerOptions
	}{
		{"fixed", func() resilience.PeerOptions {
			return resilience.PeerOptions{Interval: time.Hour, Abort: func(error) {}}
		}},
		{"phi", func() resilience.PeerOptions {
			d := newPhi(b, resilience.PhiOptions{Interval: time.Hour})
			for range resilience.DefaultPhiWindow {
				d.Observe(time.Hour)
			}
			return resilience.PeerOptions{Interval: time.Hour, Abort: func(error) {}, Detector: d}
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			before := goroutines()
			h := newHeartbeats(b, resilience.HeartbeatsOptions{})
			defer closeHeartbeats(b, h)
			peers, running, bytes := watch(b, h, bench.o)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				peers[i%len(peers)].Alive()
				i++
			}
			b.ReportMetric(float64(running-before), "goroutines")
			b.ReportMetric(bytes, "B/peer")
		})
	}
}

// BenchmarkAliveByID measures the same by the manager.
func BenchmarkAliveByID(b *testing.B) {
	h := newHeartbeats(b, resilience.HeartbeatsOptions{})
	defer closeHeartbeats(b, h)
	start(b, h, "a", resilience.PeerOptions{Abort: func(error) {}})
	b.ReportAllocs()
	for b.Loop() {
		h.Alive("a")
	}
}

// BenchmarkSend measures a heartbeat, from the shard by way of a worker to the
// answer, by asking for more of them than there can be.
func BenchmarkSend(b *testing.B) {
	h := newHeartbeats(b, resilience.HeartbeatsOptions{})
	defer closeHeartbeats(b, h)
	var sent atomic.Int64
	done := make(chan struct{})
	send := func(context.Context) error {
		if sent.Add(1) == int64(b.N) {
			close(done)
		}
		return nil
	}
	b.ReportAllocs()
	for i := range 2000 {
		start(b, h, fmt.Sprint(i), resilience.PeerOptions{Interval: time.Millisecond, Send: send})
	}
	<-done
}
