package protocol

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// TestGoexitInHandlerEndsRun: a handler that ends its goroutine ends Run, and
// everything that Run began, in good order: calls fail, and the next Run goes on.
func TestGoexitInHandlerEndsRun(t *testing.T) {
	for name, beside := range map[string]bool{"alone": false, "beside": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := newPair(t, nil, nil)
				var got []string
				c.Handle(messages.ServerTaskEnd, func(_ context.Context, m *messages.ServerMessage) error {
					if m.TaskName == "0" {
						if beside {
							readOn()
						}
						runtime.Goexit()
					}
					got = append(got, m.TaskName)
					return nil
				})
				over := make(chan struct{})
				go func() {
					defer close(over)
					_ = c.Run(context.Background())
				}()
				reply, err := c.Expect(context.Background(), MatchDeviceInfo("x"))
				must(t, err)
				must(t, s.Send(context.Background(), message(0)))
				<-over
				synctest.Wait()
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				if _, err := reply.Wait(ctx); !errors.Is(err, ErrNotRunning) {
					t.Errorf("the call ended with %v, want ErrNotRunning", err)
				}
				reply.Release()
				must(t, s.Send(context.Background(), message(1)))
				again, stop := context.WithTimeout(context.Background(), time.Second)
				defer stop()
				panicked := recovered(func() error { _ = c.Run(again); return nil })
				if panicked != nil {
					t.Errorf("the next Run: %.300v", panicked)
				}
				if len(got) != 1 {
					t.Errorf("handled %v", got)
				}
			})
		})
	}
}

// slowToStop takes a while to return when the context ends.
type slowToStop struct{ *transport.Memory }

func (s slowToStop) Receive(ctx context.Context) ([]byte, error) {
	data, err := s.Memory.Receive(ctx)
	if err != nil && ctx.Err() != nil {
		time.Sleep(10 * time.Millisecond)
	}
	return data, err
}

// TestDeadlineWhileTheReaderGoes: the deadline of Run passes while the reader is
// sent away.
func TestDeadlineWhileTheReaderGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := transport.NewPair(nil)
		c, err := NewClient(slowToStop{near}, nil)
		must(t, err)
		s, err := NewServer(far, nil)
		must(t, err)
		defer c.Close()
		defer s.Close()
		c.Handle(messages.ServerTaskEnd, func(context.Context, *messages.ServerMessage) error {
			time.Sleep(10 * patience)
			return nil
		})
		must(t, s.Send(context.Background(), message(0)))
		ctx, cancel := context.WithTimeout(context.Background(), 10*patience+quiet+5*time.Millisecond)
		defer cancel()
		if err := c.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run: %v", err)
		}
		if _, err := c.Expect(context.Background(), MatchDeviceInfo("x")); err != nil {
			t.Errorf("the connection is open, but Expect: %v", err)
		}
	})
}
