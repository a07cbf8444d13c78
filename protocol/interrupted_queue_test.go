package protocol

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// heldClient returns a running client whose first message is being handled until
// release is closed, and the trace of what is handled.
func heldClient(t *testing.T, queue QueueOptions) (c *Client, s *Server, trace *[]string, release chan struct{}, wait func() error) {
	c, _, s = replacingPair(t, &Options{Queue: queue})
	release = make(chan struct{})
	trace = new([]string)
	c.Handle(messages.ServerTaskEnd, func(_ context.Context, m *messages.ServerMessage) error {
		*trace = append(*trace, m.TaskName)
		if m.TaskName == "0" {
			<-release
		}
		return nil
	})
	c.OnInterrupted(func(context.Context, *transport.InterruptedError) { *trace = append(*trace, "gap") })
	return c, s, trace, release, start(context.Background(), c)
}

// TestInterruptionIsKept: whatever the policy is and however full the queue.
func TestInterruptionIsKept(t *testing.T) {
	for _, test := range []struct {
		name  string
		queue QueueOptions
		// script: a number is a message, -1 an interruption.
		script []int
		want   []string
		cause  error
		read   int // messages that wait before the handler is released
	}{
		{
			"block", QueueOptions{Messages: 2},
			[]int{0, 1, 2, -1, 3, -1, 4},
			[]string{"0", "1", "2", "gap", "3", "gap", "4"}, nil, 2,
		},
		{
			"block, two in a row", QueueOptions{Messages: 2},
			[]int{0, -1, -1, -1, 1},
			[]string{"0", "gap", "gap", "gap", "1"}, nil, 0,
		},
		{
			"drop oldest", QueueOptions{Messages: 2, Policy: DropOldest},
			[]int{0, 1, -1, 2, 3, 4, 5},
			[]string{"0", "gap", "4", "5"}, nil, 2,
		},
		{
			"drop oldest, in the middle", QueueOptions{Messages: 3, Policy: DropOldest},
			[]int{0, 1, 2, 3, 4, -1, 5},
			[]string{"0", "3", "4", "gap", "5"}, nil, 3,
		},
		{
			"drop oldest, by bytes", QueueOptions{Bytes: 1, Policy: DropOldest},
			[]int{0, 1, -1, 2, 3},
			[]string{"0", "gap", "3"}, nil, 1,
		},
		{
			"drop oldest, a second one waits", QueueOptions{Messages: 2, Policy: DropOldest},
			[]int{0, 1, -1, 2, 3, -1}, // Later ones would drop others or not, as it happens.
			[]string{"0", "gap", "2", "3", "gap"}, nil, 2,
		},
		{
			"disconnect, full", QueueOptions{Messages: 2, Policy: Disconnect},
			[]int{0, 1, 2, -1},
			[]string{"0", "1", "2", "gap"}, nil, 2,
		},
		{
			"disconnect, overflow", QueueOptions{Messages: 2, Policy: Disconnect},
			[]int{0, 1, -1, 2, 3},
			[]string{"0", "gap"}, ErrQueueFull, 0,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s, trace, release, wait := heldClient(t, test.queue)
				for _, n := range test.script {
					if n < 0 {
						raw(t, s.Transport(), gapText)
					} else {
						must(t, s.Send(context.Background(), message(n)))
					}
					if n == 0 {
						readOn()
					}
				}
				readOn()
				if n, _ := c.Pending(); n != test.read {
					t.Errorf("%d messages wait, want %d", n, test.read)
				}
				close(release)
				synctest.Wait()
				_ = s.Close()
				if err := wait(); !errors.Is(err, test.cause) {
					t.Errorf("Run: %v", err)
				}
				if !slices.Equal(*trace, test.want) {
					t.Errorf("handled %v, want %v", *trace, test.want)
				}
			})
		})
	}
}

// TestInterruptionsAreBounded: a handler that waits for an answer which cannot
// be read is told, also when what holds up the reader is an interruption.
func TestInterruptionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, s := replacingPair(t, &Options{Queue: QueueOptions{Policy: DropOldest}})
		as(c, messages.Constellation)
		release := make(chan struct{})
		var failed error
		c.Handle(messages.ServerTaskEnd, func(ctx context.Context, _ *messages.ServerMessage) error {
			<-release
			_, failed = RequestDeviceInfo(ctx, c, "dev")
			return nil
		})
		running(t, c)
		must(t, s.Send(context.Background(), message(0)))
		for range 10 {
			raw(t, s.Transport(), gapText)
		}
		readOn()
		// One is in the queue, the reader holds one.
		if n := c.Transport().(*replacing).Backlog().ReceiveMessages; n != 8 {
			t.Errorf("%d interruptions are unread, want 8", n)
		}
		close(release)
		synctest.Wait()
		if !errors.Is(failed, ErrQueueFull) {
			t.Errorf("the handler's call: %v", failed)
		}
	})
}

// TestQueueKeeps compares the queue with a list, of which odd values are kept.
func TestQueueKeeps(t *testing.T) {
	q := newQueue[int](5, -1)
	q.kept = func(v int) bool { return v%2 == 1 }
	var model []int
	evens := func() (n int) {
		for _, v := range model {
			n += 1 - v%2
		}
		return n
	}
	for step := range 20000 {
		switch n := (step * 7919) % 13; {
		case n < 6:
			v := 2 * step
			model = append(model, v)
			for evens() > 5 {
				model = slices.Delete(model, oldestEven(model), oldestEven(model)+1)
			}
			q.pushDropping(v, 3)
		case n < 9:
			v, others := 2*step+1, len(model)-evens()
			if q.tryPush(v, 0, 1) != (others == 0) {
				t.Fatalf("step %d: tryPush with %d others", step, others)
			}
			if others == 0 {
				model = append(model, v)
			}
		case n < 11:
			v, ok := q.pop()
			if ok != (len(model) > 0) || ok && v != model[0] {
				t.Fatalf("step %d: got %d, %v; want %v", step, v, ok, model)
			}
			if ok {
				model = model[1:]
			}
		case n == 11:
			q.unpop(2*step+1, 0)
			model = slices.Insert(model, 0, 2*step+1)
		case step%5 == 0:
			q.drop()
			model = slices.DeleteFunc(model, func(v int) bool { return v%2 == 0 })
		}
		if items, bytes := q.depth(); items != evens() || bytes != int64(3*evens()) || q.empty() != (len(model) == 0) {
			t.Fatalf("step %d: %d items, %d bytes, want %v", step, items, bytes, model)
		}
	}
}

func oldestEven(values []int) int {
	return slices.IndexFunc(values, func(v int) bool { return v%2 == 0 })
}
