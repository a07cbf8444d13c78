package protocol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// blockedClient returns a running client of which the handler of task_end
// notes what it gets and waits, for the first message, until release is
// closed. The server's transport takes few messages.
func blockedClient(t *testing.T, queue QueueOptions) (c *Client, s *Server, names *[]string, release chan struct{}, wait func() error) {
	a, b := transport.NewPair(&transport.MemoryOptions{QueueMessages: 1})
	c, err := NewClient(a, &Options{Queue: queue})
	must(t, err)
	s, err = NewServer(b, nil)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	release = make(chan struct{})
	h, names := collect()
	c.Handle(messages.ServerTaskEnd, h)
	c.Handle(messages.ServerTaskEnd, func(ctx context.Context, m *messages.ServerMessage) error {
		if m.TaskName == "0" {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return nil
	})
	return c, s, names, release, start(context.Background(), c)
}

func TestPolicyBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, names, release, wait := blockedClient(t, QueueOptions{Messages: 4})
		sent := 0
		go func() {
			for i := range 20 {
				if s.Send(context.Background(), message(i)) != nil {
					return
				}
				sent++
			}
			_ = s.Close()
		}()
		readOn()
		// One is being handled, four are in the queue, the reader holds one,
		// and the transport one: the next sender waits.
		if n, bytes := c.Pending(); n != 4 || bytes == 0 || sent != 7 {
			t.Errorf("%d messages (%d bytes) wait, %d were sent", n, bytes, sent)
		}
		close(release)
		must(t, wait())
		if !slices.Equal(*names, count(20)) {
			t.Errorf("handled %v", *names)
		}
	})
}

func TestPolicyBlockBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Each message is larger than the limit, and let in when it is alone.
		c, s, names, release, wait := blockedClient(t, QueueOptions{Bytes: 10})
		go func() {
			for i := range 5 {
				_ = s.Send(context.Background(), message(i))
			}
			_ = s.Close()
		}()
		readOn()
		if n, _ := c.Pending(); n != 1 {
			t.Errorf("%d messages wait", n)
		}
		close(release)
		must(t, wait())
		if !slices.Equal(*names, count(5)) {
			t.Errorf("handled %v", *names)
		}
	})
}

func TestPolicyBlockUnlimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, _, release, wait := blockedClient(t, QueueOptions{Messages: -1, Bytes: -1})
		for i := range 1000 {
			must(t, s.Send(context.Background(), message(i)))
		}
		synctest.Wait()
		if n, _ := c.Pending(); n != 999 {
			t.Errorf("%d messages wait", n)
		}
		close(release)
		must(t, s.Close())
		must(t, wait())
	})
}

func TestPolicyDropOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, names, release, wait := blockedClient(t, QueueOptions{Messages: 3, Policy: DropOldest})
		for i := range 10 {
			must(t, s.Send(context.Background(), message(i)))
			synctest.Wait()
		}
		if n, _ := c.Pending(); n != 3 || c.Stats().Dropped != 6 || c.Stats().PendingMessages != 3 {
			t.Errorf("%d messages wait, %+v", n, c.Stats())
		}
		close(release)
		must(t, s.Close())
		must(t, wait())
		if want := []string{"0", "7", "8", "9"}; !slices.Equal(*names, want) {
			t.Errorf("handled %v, want %v", *names, want)
		}
	})
}

func TestPolicyDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, names, _, wait := blockedClient(t, QueueOptions{Messages: 3, Policy: Disconnect})
		for i := range 5 {
			must(t, s.Send(context.Background(), message(i)))
			synctest.Wait()
		}
		if err := wait(); !errors.Is(err, ErrQueueFull) {
			t.Errorf("Run returned %v", err)
		}
		_, err := s.Receive(context.Background())
		var end *transport.CloseError
		if !errors.As(err, &end) || end.Code != transport.StatusTryAgainLater {
			t.Errorf("the peer sees %v", err)
		}
		if n, _ := c.Pending(); n != 0 || !slices.Equal(*names, []string{"0"}) {
			t.Errorf("%d messages wait, handled %v", n, *names)
		}
		if _, err := c.Call(context.Background(), messages.NewDeviceHeartbeat("d"), MatchHeartbeat()); !errors.Is(err, ErrQueueFull) {
			t.Errorf("a later call fails with %v", err)
		}
	})
}

func TestBlockedRunStops(t *testing.T) {
	for _, how := range []string{"close", "peer closes", "loss", "context"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := transport.NewPair(&transport.MemoryOptions{QueueMessages: 4})
				c, err := NewClient(a, &Options{Queue: QueueOptions{Messages: 2}})
				must(t, err)
				s, err := NewServer(b, nil)
				must(t, err)
				var handled []string
				var cause error
				c.Handle(messages.ServerTaskEnd, func(ctx context.Context, m *messages.ServerMessage) error {
					handled = append(handled, m.TaskName)
					<-ctx.Done()
					cause = context.Cause(ctx)
					return nil
				})
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				wait := start(ctx, c)
				for i := range 8 { // 1 handled, 2 queued, 1 held by the reader, 4 in the transport
					must(t, s.Send(context.Background(), message(i)))
					synctest.Wait()
				}
				switch how {
				case "close":
					must(t, c.Close())
				case "peer closes":
					must(t, s.Close())
				case "loss":
					b.Abort(errors.New("cut"))
				case "context":
					cancel()
				}
				err = wait()
				switch how {
				case "context":
					if n, _ := c.Pending(); !errors.Is(err, context.Canceled) || n != 3 || cause != context.Canceled {
						t.Errorf("Run returned %v, %d messages wait, cause %v", err, n, cause)
					}
					for i := range 7 { // 3 kept here, 4 in the transport: nothing is lost
						if m, err := c.Receive(context.Background()); err != nil || m.TaskName != fmt.Sprint(i+1) {
							t.Fatalf("Receive %d: %v, %v", i, m, err)
						}
					}
				case "loss":
					if err == nil || cause == nil {
						t.Errorf("Run returned %v, cause %v", err, cause)
					}
					fallthrough
				default:
					if how != "loss" && err != nil {
						t.Errorf("Run returned %v", err)
					}
					if !slices.Equal(handled, count(8)) {
						t.Errorf("handled %v", handled)
					}
				}
				_ = s.Close()
			})
		})
	}
}

func TestNestedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		as(c, messages.Constellation)
		s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
			return AnswerDeviceInfo(ctx, s, m, value(t, map[string]int{"n": 1}))
		})
		var got messages.Value
		c.Handle(messages.ServerTaskEnd, func(ctx context.Context, _ *messages.ServerMessage) (err error) {
			got, err = RequestDeviceInfo(ctx, c, "dev")
			return err
		})
		running(t, s)
		running(t, c)
		must(t, s.Send(context.Background(), message(0)))
		synctest.Wait()
		if got.String() != `{"n":1}` {
			t.Errorf("got %s", got)
		}
	})
}

// TestNestedCallBehindFullQueue: a reply is found behind more messages than
// the queue holds, and where it cannot be found, the call fails at once.
func TestNestedCallBehindFullQueue(t *testing.T) {
	for _, test := range []struct {
		before int
		want   error
	}{{5, nil}, {8, nil}, {20, ErrQueueFull}} {
		t.Run(fmt.Sprint(test.before), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := newPair(t, &Options{Queue: QueueOptions{Messages: 4}}, nil)
				as(c, messages.Constellation)
				s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
					for i := range test.before {
						if err := s.Send(ctx, message(i+1)); err != nil {
							return err
						}
					}
					return AnswerDeviceInfo(ctx, s, m, value(t, 1))
				})
				var failed error
				var late int
				c.Handle(messages.ServerTaskEnd, func(ctx context.Context, m *messages.ServerMessage) error {
					if m.TaskName == "0" {
						_, failed = RequestDeviceInfo(ctx, c, "dev")
					}
					return nil
				})
				h, names := collect()
				c.Handle(messages.ServerTaskEnd, h)
				c.OnLate(func(context.Context, *messages.ServerMessage) { late++ })
				running(t, s)
				running(t, c)
				began := time.Now()
				must(t, s.Send(context.Background(), message(0)))
				synctest.Wait()
				if !errors.Is(failed, test.want) || time.Since(began) != 0 {
					t.Errorf("failed with %v after %v", failed, time.Since(began))
				}
				if !slices.Equal(*names, count(test.before+1)) {
					t.Errorf("handled %v", *names)
				}
				if want := test.want != nil; want != (late == 1) {
					t.Errorf("%d late replies", late)
				}
			})
		})
	}
}

// TestCallWhileReaderBlocks: a call that begins when the reader already waits
// for room finds its reply.
func TestCallWhileReaderBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, &Options{Queue: QueueOptions{Messages: 2}}, nil)
		as(c, messages.Device)
		s.Handle(messages.ClientHeartbeat, func(ctx context.Context, _ *messages.ClientMessage) error { return AnswerHeartbeat(ctx, s) })
		proceed := make(chan struct{})
		var failed error
		c.Handle(messages.ServerTaskEnd, func(ctx context.Context, m *messages.ServerMessage) error {
			if m.TaskName == "0" {
				<-proceed
				_, failed = Beat(ctx, c)
			}
			return nil
		})
		running(t, s)
		running(t, c)
		for i := range 4 {
			must(t, s.Send(context.Background(), message(i)))
		}
		synctest.Wait()
		close(proceed)
		synctest.Wait()
		must(t, failed)
		if n, _ := c.Pending(); n != 0 {
			t.Errorf("%d messages wait", n)
		}
	})
}
