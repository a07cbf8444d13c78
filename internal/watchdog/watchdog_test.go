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
