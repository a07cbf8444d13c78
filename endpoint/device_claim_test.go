package endpoint

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// TestClaims: of the same call at once one is done, and the others get what it
// has brought, or do it if it was cut off, or their time is over: exactly then.
func TestClaims(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			cache := newResultCache(ResultCacheOptions{})
			var (
				all     sync.WaitGroup
				lock    sync.Mutex
				running = map[string]bool{}
				kept    = map[string]string{}
			)
			for i := range 200 {
				id, patience := fmt.Sprint(random.IntN(3)), time.Duration(1+random.IntN(20))*time.Second
				takes, cutOff := time.Duration(random.IntN(5))*time.Second+time.Second/2, random.IntN(3) > 0
				<-time.After(time.Duration(random.IntN(3)) * time.Second / 4)
				if random.IntN(10) == 0 {
					id = fmt.Sprint("new", i)
				}
				all.Go(func() {
					m := messages.NewCommand(messages.CommandRequest{Actions: []messages.Command{{ToolName: id}}})
					m.ResponseID, m.Actions[0].CallID = id, ""
					call := cache.call(m, 0, hashAction(&m.Actions[0]))
					ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errToolTimeout)
					defer cancel()
					start := time.Now()
					r, ok, err := call.claim(ctx)
					lock.Lock()
					defer lock.Unlock()
					switch {
					case err != nil:
						if err != errToolTimeout || time.Since(start) != patience {
							t.Errorf("%v after %s, want %s", err, time.Since(start), patience)
						}
					case ok:
						if r.Error == "" || kept[id] != r.Error {
							t.Errorf("got %q, want %q", r.Error, kept[id])
						}
					default:
						if running[id] || kept[id] != "" {
							t.Errorf("%s runs: %t, has brought %q", id, running[id], kept[id])
						}
						running[id] = true
						lock.Unlock()
						<-time.After(takes)
						lock.Lock()
						running[id] = false
						if !cutOff {
							kept[id] = fmt.Sprint("of ", i)
							call.keep(messages.Result{Error: kept[id]})
						}
						call.release()
					}
				})
			}
			all.Wait()
			if len(cache.running) != 0 {
				t.Errorf("%d run in the end", len(cache.running))
			}
		})
	}
}
