package watchdog

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestBusy: a watchdog of a short timeout looks rarely as long as it has much to
// do, still finds what takes too long, and looks often again after a pause.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const short = time.Millisecond
		began, expired := time.Now(), make(chan time.Duration, 9)
		w := New(short, func() { expired <- time.Since(began) })
		defer w.Close()
		quick := func() {
			for range 1000 {
				w.Start()
				time.Sleep(short / 10)
				w.Stop()
			}
		}
		quick()
		if w.every != rarely {
			t.Errorf("looks every %v", w.every)
		}
		began = time.Now()
		w.Start()
		if after := <-expired; after < short || after > short+rarely {
			t.Errorf("when busy: expired after %v", after)
		}
		w.Stop()
		quick()
		time.Sleep(3 * rarely)
		began = time.Now()
		w.Start()
		if after := <-expired; after < short || after > 2*short {
			t.Errorf("after a pause: expired after %v", after)
		}
		w.Stop()
	})
}
