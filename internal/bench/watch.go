package main

import (
	"runtime/metrics"
	"time"
)

// watch watches how the heap of this process grows.
type watch struct {
	idle uint64
	done chan struct{}
	peak chan uint64
}

// watchInterval is the time between two looks at the heap.
const watchInterval = time.Millisecond

// startWatch collects garbage, and begins to watch. The watch has to be stopped.
func startWatch() *watch {
	readStats(true) // collects garbage
	w := &watch{idle: heapObjects(), done: make(chan struct{}), peak: make(chan uint64, 1)}
	go func() {
		ticker := time.NewTicker(watchInterval)
		defer ticker.Stop()
		peak := w.idle
		for {
			select {
			case <-ticker.C:
				peak = max(peak, heapObjects())
			case <-w.done:
				w.peak <- max(peak, heapObjects())
				return
			}
		}
	}()
	return w
}

// stop ends it, and returns by how many bytes the heap has grown at most.
func (w *watch) stop() uint64 {
	close(w.done)
	return <-w.peak - w.idle
}

// heapObjects returns what the objects of the heap take, in bytes: those in use,
// and those that no collection has freed yet.
func heapObjects() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
