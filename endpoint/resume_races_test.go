package endpoint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestCutsBesideEverything: connections are cut in every way while tasks run,
// and the server ends in the middle of that: every task that was accepted ends
// once, none fails while nobody is lost, and nothing is left.
func TestCutsBesideEverything(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { cutsBesideEverything(t, seed) })
		})
	}
}

func cutsBesideEverything(t *testing.T, seed uint64) {
	const devices = 4
	random := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, &ServerOptions{Handler: commanding(2), SilenceTimeout: time.Minute, DrainSpread: -1, MaxConnections: 2 * devices})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var all sync.WaitGroup
	outcomes := &recorder{}
	names := []string{}
	for i := range devices {
		id := fmt.Sprint("d", i)
		work := &worker{takes: time.Duration(random.IntN(500)) * time.Millisecond}
		w.device(DeviceOptions{ID: id, Tools: []Tool{work.tool()}})
		c, err := NewConstellation(&ConstellationOptions{Name: fmt.Sprint("c", i), Dial: w.dial("c-" + id), Reconnect: &ReconnectOptions{Strategy: quick{}}})
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, id, "c-"+id)
		if err := c.Connect(ctx, id, "test://server"); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer c.Close()
			var runs sync.WaitGroup
			for ctx.Err() == nil {
				runs.Go(func() {
					_, err := c.Run(ctx, id, TaskRequest{Request: "work"})
					outcomes.observe(Event{Err: err})
				})
				<-time.After(500 * time.Millisecond)
			}
			runs.Wait()
		})
	}
	for range 200 {
		cable := w.cable(names[random.IntN(len(names))])
		switch random.IntN(4) {
		case 0:
			cable.cutClient()
		case 1:
			cable.cutServer()
			if random.IntN(2) == 0 {
				cable.cutClient()
			} else {
				time.AfterFunc(time.Second, cable.cutClient)
			}
		case 2:
			cable.blackHole()
			time.AfterFunc(time.Duration(random.IntN(3000))*time.Millisecond, cable.cut)
		default:
			cable.cut()
		}
		<-time.After(time.Duration(random.IntN(200)) * time.Millisecond)
	}
	ended := make(chan error, 1)
	hurry, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	go func() { ended <- w.server.Shutdown(hurry) }()
	for range 20 {
		w.cable(names[random.IntN(len(names))]).cut()
		<-time.After(100 * time.Millisecond)
	}
	if err := <-ended; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown returned %v", err)
	}
	stop()
	all.Wait()
	checkEmpty(t, w.server)
	accepted, over, good := map[string]bool{}, map[string]int{}, 0
	for _, e := range w.events.of(EventTaskAccepted) {
		accepted[e.SessionID] = true
	}
	for _, e := range w.events.of(EventTaskEnded) {
		if over[e.SessionID]++; over[e.SessionID] > 1 {
			t.Errorf("task %s ended twice", e.SessionID)
		}
	}
	for id := range accepted {
		if over[id] != 1 {
			t.Errorf("task %s ended %d times", id, over[id])
		}
	}
	outcomes.mu.Lock()
	defer outcomes.mu.Unlock()
	for _, e := range outcomes.events {
		var failed *TaskError
		switch {
		case e.Err == nil:
			good++
		case !errors.As(e.Err, &failed):
			t.Errorf("Run returned %v", e.Err)
		case errors.Is(e.Err, ErrTaskFailed) && len(w.of(EventDisconnected, "d0"))+len(w.of(EventDisconnected, "d1")) == 0:
			t.Errorf("Run returned %v, though nobody was lost", e.Err)
		}
	}
	if good < 10 {
		t.Errorf("only %d tasks came to a good end", good)
	}
}
