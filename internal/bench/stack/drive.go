package stack

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// Figures say how fast calls were.
type Figures struct {
	Rate   float64 // calls per second
	Median float64 // time of a call, in microseconds
}

// Drive has n callers call again and again from begin to end, and once at least.
// What ends before begin is not counted. call is called with the number of the
// caller.
func Drive(n int, begin, end time.Time, call func(caller int) error) (Figures, error) {
	times, errs := make([][]time.Duration, n), make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			for sent := time.Now(); ; {
				if errs[i] = call(i); errs[i] != nil {
					return
				}
				now := time.Now()
				if now.After(begin) {
					times[i] = append(times[i], now.Sub(sent))
				}
				if now.After(end) {
					return
				}
				sent = now
			}
		})
	}
	all.Wait()
	took := time.Since(begin)
	if err := errors.Join(errs...); err != nil {
		return Figures{}, err
	}
	every := slices.Concat(times...)
	slices.Sort(every)
	return Figures{
		Rate:   float64(len(every)) / took.Seconds(),
		Median: float64(every[len(every)/2]) / float64(time.Microsecond),
	}, nil
}
