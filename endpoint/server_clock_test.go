package endpoint

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestClockStartedLater: the time of a command is its own, whenever those before
// it began and ended.
func TestClockStartedLater(t *testing.T) {
	tests := map[string]struct {
		second, answer time.Duration // when that is asked for, and when the first is answered
		want           []string
	}{
		"after its answer": {7 * time.Second, 4 * time.Second, []string{"s0 ok 4s", "s1 timeout 17s"}},
		"while it runs":    {3 * time.Second, 9 * time.Second, []string{"s0 ok 9s", "s1 timeout 19s"}},
		"until its last":   {3 * time.Second, 10*time.Second - 1, []string{"s0 ok 9.999999999s", "s1 timeout 19.999999999s"}},
		"as it ends":       {4 * time.Second, 4 * time.Second, []string{"s0 ok 4s", "s1 timeout 14s"}},
		"long after it":    {5 * time.Minute, 2 * time.Second, []string{"s0 ok 2s", "s1 timeout 5m10s"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			commandTest(t, &ServerOptions{CommandTimeout: 10 * time.Second}, func(_ *world, d *doings, device *reader, p *peer) {
				ask(p, "s0")
				first := device.expect("s0")[0]
				if test.second <= test.answer {
					<-time.After(test.second)
					ask(p, "s1")
					<-time.After(test.answer - test.second)
					device.answer(first)
				} else {
					<-time.After(test.answer)
					device.answer(first)
					p.expect(object{"type": "task_end"})
					<-time.After(test.second - test.answer)
					ask(p, "s1")
				}
				<-time.After(time.Hour)
				d.check(t, test.want...)
			})
		})
	}
}

// TestClocksOfManyCommands: whatever becomes of the others, the time of a command
// begins when it has its turn and those before it have ended, and is over neither
// early nor late, nor twice.
func TestClocksOfManyCommands(t *testing.T) {
	const timeout = 10 * time.Second
	type record struct {
		turn, ended time.Time
		expired     []time.Time
	}
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			q := &commandQueue{limit: 1 + random.IntN(maxUnderway)}
			var (
				lock sync.Mutex
				sent []*record // in the order of their turns
				all  sync.WaitGroup
			)
			for i := range 100 {
				<-time.After(time.Duration(random.IntN(8)) * time.Second)
				r := &record{}
				late := make(chan struct{}, 1)
				c := &queuedCommand{id: fmt.Sprint(i), timeout: timeout, turn: make(chan struct{}), expire: func() {
					lock.Lock()
					r.expired = append(r.expired, time.Now())
					lock.Unlock()
					select {
					case late <- struct{}{}:
					default:
					}
				}}
				takes := time.Duration(random.IntN(25)) * time.Second
				how := []ending{answered, answered, givenUp, notSent}[random.IntN(4)]
				all.Go(func() {
					if err := q.enter(context.Background(), c); err != nil {
						t.Error(err)
					}
					lock.Lock()
					r.turn = time.Now()
					sent = append(sent, r)
					lock.Unlock()
					if how != notSent {
						q.departed()
					}
					select {
					case <-time.After(takes):
					case <-late:
						how = max(how, givenUp)
					}
					lock.Lock()
					r.ended = time.Now()
					lock.Unlock()
					q.end(c, how)
				})
			}
			all.Wait()
			<-time.After(time.Hour)
			begin := time.Time{}
			for i, r := range sent {
				if begin.Before(r.turn) {
					begin = r.turn
				}
				due := begin.Add(timeout)
				switch {
				case len(r.expired) > 1, len(r.expired) == 1 && !r.expired[0].Equal(due), len(r.expired) == 0 && r.ended.After(due):
					t.Errorf("seed %d: the time of command %d was over at %v, want %v; it had ended at %v", seed, i, r.expired, due, r.ended)
				}
				if begin.Before(r.ended) {
					begin = r.ended
				}
			}
		})
	}
}
