package protocol

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// TestStressOrder: whatever happens, each message is handled once, in order.
func TestStressOrder(t *testing.T) {
	for seed := range 40 {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 1))
			q := QueueOptions{Messages: 1 + rnd.IntN(5)}
			c, s := newPair(t, &Options{Queue: q}, nil)
			as(c, messages.Constellation)
			s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
				return AnswerDeviceInfo(ctx, s, m, value(t, map[string]any{"a": 1}))
			})
			running(t, s)
			next := 0
			const n = 700
			c.Handle(messages.ServerTaskEnd, func(ctx context.Context, m *messages.ServerMessage) error {
				if m.TaskName != strconv.Itoa(next) {
					t.Errorf("seed %d: got %s, want %d", seed, m.TaskName, next)
				}
				next++
				switch rnd.IntN(60) {
				case 0:
					time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
				case 1:
					if _, err := RequestDeviceInfo(ctx, c, "dev"); err != nil && ctx.Err() == nil && !errors.Is(err, ErrQueueFull) && !errors.Is(err, ErrNotRunning) {
						t.Errorf("seed %d: call: %v", seed, err)
					}
				case 2:
					panic("x")
				}
				return nil
			})
			sent := make(chan struct{})
			pauses := rand.New(rand.NewPCG(uint64(seed), 2))
			go func() {
				defer close(sent)
				for i := range n {
					if err := s.Send(context.Background(), message(i)); err != nil {
						t.Error(err)
					}
					if pauses.IntN(40) == 0 {
						time.Sleep(time.Duration(pauses.IntN(1500)) * time.Millisecond)
					}
				}
			}()
			ends := rand.New(rand.NewPCG(uint64(seed), 3))
			for next < n {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(ends.IntN(4000))*time.Millisecond)
				if err := c.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("seed %d: Run: %v", seed, err)
				}
				cancel()
				if ends.IntN(4) == 0 {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(ends.IntN(100))*time.Millisecond)
					m, err := c.Receive(ctx)
					cancel()
					if err == nil && m.Type == messages.ServerTaskEnd {
						if m.TaskName != strconv.Itoa(next) {
							t.Errorf("seed %d: Receive got %s, want %d", seed, m.TaskName, next)
						}
						next++
					}
				}
			}
			<-sent
		})
		if t.Failed() {
			return
		}
	}
}
