package watchdog

import (
	"testing"
	"time"
)

// TestArmedAfterShortTimers: a timer that ends while it is being armed does not
// leave the watchdog deaf.
func TestArmedAfterShortTimers(t *testing.T) {
	for round := range 2000 {
		expired := make(chan struct{}, 100000)
		w := New(time.Microsecond, func() {
			select {
			case expired <- struct{}{}:
			default:
			}
		})
		for range 200 {
			w.Start()
			w.Stop()
		}
		w.Start()
		for len(expired) > 0 {
			<-expired
		}
		w.Stop()
		w.Start()
		select {
		case <-expired:
		case <-time.After(time.Second):
			t.Fatalf("round %d: nothing expires any more; armed: %t", round, w.armed.Load())
		}
		w.Close()
	}
}
