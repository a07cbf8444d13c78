package watchdog

import (
	"testing"
	"testing/synctest"
	"time"
)

const limit = time.Second

func TestExpiresForWhatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, expired := time.Now(), make(chan time.Duration, 9)
		w := New(limit, func() { expired <- time.Since(began) })
		defer w.Close()
		for range 10 { // in time
			w.Start()
			time.Sleep(limit * 4 / 10)
			w.Stop()
		}
		began = time.Now()
		w.Start()
		if after := <-expired; after < limit || after > 2*limit {
			t.Errorf("expired after %v, want between %v and %v", after, limit, 2*limit)
		}
		w.Stop()
		time.Sleep(10 * limit)
		if n := len(expired); n > 0 {
			t.Errorf("expired %d times more", n)
		}
		began = time.Now()
		w.Start() // again
		if after := <-expired; after < limit || after > 2*limit {
			t.Errorf("the next one expired after %v, want between %v and %v", after, limit, 2*limit)
		}
	})
}

func TestNothingExpiresAfterCloseOrWithoutLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := New(limit, func() { t.Error("expired after Close") })
		closed.Start()
		closed.Close()
		closed.Close()
		closed.Start()
		unlimited := New(0, func() { t.Error("expired without a limit") })
		unlimited.Start()
		time.Sleep(10 * limit)
		unlimited.Close()
	})
}

// TestLongerThanTheTimeout: what may take some times the timeout has that long,
// and no more than the one timeout on top of it.
func TestLongerThanTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for times := range time.Duration(4) {
			began, expired := time.Now(), make(chan time.Duration, 9)
			w := New(limit, func() { expired <- time.Since(began) })
			w.StartFor(int(times) + 1)
			if after := <-expired; after < (times+1)*limit || after > (times+2)*limit {
				t.Errorf("%d times: expired after %v", times+1, after)
			}
			w.Close()
		}
		endless := New(1<<63-1, func() { t.Error("expired after no time") })
		endless.StartFor(4)
		time.Sleep(limit)
		endless.Close()
	})
}
