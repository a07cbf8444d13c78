package resilience_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/resilience"
)

// reconnections has clients lose their server at once, which is then down for a
// while and refuses them, and returns when each of them is back.
func reconnections(t *testing.T, o resilience.BackoffOptions, clients int, down time.Duration, seed uint64) []time.Duration {
	back := make([]time.Duration, clients)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var wait sync.WaitGroup
		for i := range clients {
			own := o
			own.Rand = rand.NewPCG(seed, uint64(i))
			own.Retries = resilience.Unlimited
			a := resilience.NewAttempts(newBackoff(t, own), nil)
			wait.Go(func() {
				err := a.Do(t.Context(), errLost, func(context.Context) error {
					if time.Since(start) < down {
						return errLost
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				back[i] = time.Since(start)
			})
		}
		wait.Wait()
	})
	slices.Sort(back)
	return back
}

// fullest returns the most events in any window of the length, wherever it
// begins.
func fullest(sorted []time.Duration, length time.Duration) int {
	most, first := 0, 0
	for i, at := range sorted {
		for at-sorted[first] >= length {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func TestClientsOfARestartedServerComeBackSpread(t *testing.T) {
	const clients, window = 1000, 100 * time.Millisecond
	for _, test := range []struct {
		environment resilience.Environment
		most        int // percent
	}{
		{resilience.EnvironmentDefault, 12},
		{resilience.EnvironmentInternet, 5},
	} {
		for _, down := range []time.Duration{0, 1900 * time.Millisecond, 7 * time.Second} {
			t.Run(fmt.Sprintf("%s, down for %s", test.environment.Name, down), func(t *testing.T) {
				for seed := range uint64(2) {
					back := reconnections(t, test.environment.Backoff, clients, down, seed)
					most := fullest(back, window)
					if most*100 > test.most*clients {
						t.Errorf("seed %d: %d of %d clients came back within %s, want at most %d %%", seed, most, clients, window, test.most)
					}
					if seed == 0 {
						t.Logf("fullest %s: %.1f %%; half are back after %s, all after %s", window, 100*float64(most)/clients, back[clients/2], back[clients-1])
					}
				}
			})
		}
	}
}

// What the jitter is for: without it all come back at the same moment.
func TestWithoutJitterClientsComeBackTogether(t *testing.T) {
	o := resilience.EnvironmentInternet.Backoff
	o.NoJitter = true
	if most := fullest(reconnections(t, o, 1000, 0, 0), 100*time.Millisecond); most != 1000 {
		t.Errorf("%d of 1000 came back together", most)
	}
}
