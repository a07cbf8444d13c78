package protocol

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// TestInterruption: it is handled in its place, and ends nothing.
func TestInterruption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		c, r, s := replacingPair(t, &Options{Logger: zap.New(core)})
		metrics := NewMetricsMiddleware()
		c.Extend(metrics)
		var trace []string
		var handling context.Context
		c.Handle(messages.ServerTaskEnd, func(ctx context.Context, m *messages.ServerMessage) error {
			trace, handling = append(trace, m.TaskName), ctx
			return nil
		})
		c.OnInterrupted(func(ctx context.Context, err *transport.InterruptedError) {
			trace = append(trace, "interrupted")
			if err != r.gap || ctx.Err() != nil || !c.inHandler(ctx) {
				t.Errorf("OnInterrupted got %v, %v", ctx, err)
			}
		})
		wait := start(context.Background(), c)
		send := func(n int) {
			must(t, s.Send(context.Background(), message(n)))
			raw(t, s.Transport(), gapText)
			must(t, s.Send(context.Background(), message(n+1)))
			synctest.Wait()
		}
		send(0)
		if !slices.Equal(trace, []string{"0", "interrupted", "1"}) || handling.Err() != nil {
			t.Errorf("ran %v; the handler's context: %v", trace, handling.Err())
		}
		if got := metrics.Snapshot(); got.ConnectionsEstablished != 1 || got.ConnectionsClosed != 0 || got.Errors != 0 {
			t.Errorf("the extensions saw %+v", got)
		}
		if logs.Len() != 0 {
			t.Errorf("logged although there is a function: %v", logs.All())
		}

		var reported error
		c.OnError(func(_ context.Context, _ *messages.ServerMessage, err error) { reported = err })
		c.OnInterrupted(func(context.Context, *transport.InterruptedError) { panic("hook") })
		send(2)
		var panicked *PanicError
		if !errors.As(reported, &panicked) || panicked.Value != "hook" {
			t.Errorf("a panic was reported as %v", reported)
		}

		c.OnInterrupted(nil)
		send(4)
		if entries := logs.All(); len(entries) != 1 || entries[0].Level != zap.InfoLevel ||
			strings.Contains(entries[0].Message+entries[0].ContextMap()["error"].(string), "secret") {
			t.Errorf("logged %v", entries)
		}
		must(t, s.Close())
		must(t, wait())
		if !slices.Equal(trace, []string{"0", "interrupted", "1", "2", "3", "4", "5"}) || metrics.Snapshot().ConnectionsClosed != 1 {
			t.Errorf("ran %v; %+v", trace, metrics.Snapshot())
		}
	})
}

// TestInterruptionEndsWaits: at once, even while a handler is at work; what is
// begun later is answered.
func TestInterruptionEndsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r, s := replacingPair(t, nil)
		as(c, messages.Constellation)
		ctx := context.Background()
		release := make(chan struct{})
		c.Handle(messages.ServerCommand, func(ctx context.Context, _ *messages.ServerMessage) error {
			_, nested := RequestDeviceInfo(ctx, c, "dev")
			if !r.isGap(nested) {
				t.Errorf("the handler's call: %v", nested)
			}
			<-release
			return nil
		})
		s.Handle(messages.ClientTask, func(ctx context.Context, m *messages.ClientMessage) error { return s.SendAck(ctx, m.SessionID) })
		answering := false
		s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
			if !answering {
				return nil
			}
			return AnswerDeviceInfo(ctx, s, m, value(t, 1))
		})
		running(t, c)
		running(t, s)
		task, err := StartTask(ctx, c, taskFor("s1"))
		must(t, err)
		reply, err := c.Expect(ctx, MatchFunc(func(*messages.ServerMessage) bool { return false }))
		must(t, err)
		failed := make(chan error, 1)
		go func() {
			_, err := RequestDeviceInfo(ctx, c, "dev")
			failed <- err
		}()
		must(t, s.Send(ctx, messages.NewCommand(messages.CommandRequest{Actions: []messages.Command{{ToolType: messages.ToolAction}}})))
		synctest.Wait()
		raw(t, s.Transport(), gapText)
		err = <-failed
		var call *CallError
		if !r.isGap(err) || !errors.As(err, &call) || call.Outcome != transport.Sent || !errors.Is(err, errCut) || !transport.Retryable(err) {
			t.Errorf("the call: %v", err)
		}
		if _, err := task.Wait(ctx); !r.isGap(err) {
			t.Errorf("the task: %v", err)
		}
		if _, err := reply.Wait(ctx); !r.isGap(err) {
			t.Errorf("the reply: %v", err)
		}
		if stats := c.Stats(); stats.Calls != 0 {
			t.Errorf("something is left: %+v", stats)
		}
		answering = true
		if got, err := RequestDeviceInfo(ctx, c, "dev"); err != nil || got.String() != "1" {
			t.Errorf("afterwards: %v, %v", got, err)
		}
		close(release)
	})
}

// TestInterruptedStart: of a task that is not accepted yet.
func TestInterruptedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r, s := replacingPair(t, nil)
		running(t, c)
		s.Handle(messages.ClientTask, func(context.Context, *messages.ClientMessage) error {
			raw(t, s.Transport(), gapText)
			return nil
		})
		running(t, s)
		_, err := StartTask(context.Background(), c, taskFor("s1"))
		var failed *CallError
		if !r.isGap(err) || !errors.As(err, &failed) || failed.Outcome != transport.Sent || c.Stats().Calls != 0 {
			t.Errorf("got %v, %+v", err, c.Stats())
		}
	})
}

// TestInterruptedBinary: half a binary message is reported, and what comes
// after the interruption does not complete it.
func TestInterruptedBinary(t *testing.T) {
	const announcement = `{"type":"binary_data","size":1,"session_id":"s"}`
	ctx := context.Background()
	t.Run("Run", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, _, s := replacingPair(t, nil)
			var trace []string
			c.OnInvalid(func(_ context.Context, e *MessageError) { trace = append(trace, e.Kind.String()+" "+e.Code()) })
			c.OnInterrupted(func(context.Context, *transport.InterruptedError) { trace = append(trace, "interrupted") })
			running(t, c)
			play(t, s.Transport().(*transport.Memory), textOf(announcement), textOf(gapText), binaryOf("x"), textOf(gapText))
			synctest.Wait()
			if want := []string{"text unexpected_frame", "interrupted", "binary unexpected_frame", "interrupted"}; !slices.Equal(trace, want) {
				t.Errorf("got %q, want %q", trace, want)
			}
		})
	})
	t.Run("Receive", func(t *testing.T) {
		c, r, s := replacingPair(t, nil)
		play(t, s.Transport().(*transport.Memory), textOf(announcement), textOf(gapText), binaryOf("x"))
		must(t, s.Send(ctx, message(1)))
		if _, err := c.Receive(ctx); !errors.Is(err, errNoData) {
			t.Errorf("first: %v", err)
		}
		if _, err := c.ReceiveBinary(ctx, nil); err != r.gap {
			t.Errorf("second: %v", err)
		}
		if _, err := c.Receive(ctx); !errors.Is(err, errUnannounced) {
			t.Errorf("third: %v", err)
		}
		if m, err := c.Receive(ctx); err != nil || m.TaskName != "1" {
			t.Errorf("fourth: %v, %v", m, err)
		}
	})
}

// TestReceiveInterrupted: the error is the transport's, once; replies that are
// expected without Run fail too.
func TestReceiveInterrupted(t *testing.T) {
	c, r, s := replacingPair(t, nil)
	ctx := context.Background()
	reply, err := c.Expect(ctx, MatchTaskEnd("s1"))
	must(t, err)
	must(t, s.Send(ctx, message(0)))
	raw(t, s.Transport(), gapText)
	must(t, s.Send(ctx, message(1)))
	if m, err := c.Receive(ctx); err != nil || m.TaskName != "0" {
		t.Errorf("first: %v, %v", m, err)
	}
	if _, err := c.Receive(ctx); err != r.gap {
		t.Errorf("second: %v", err)
	}
	if _, err := reply.Wait(ctx); !r.isGap(err) {
		t.Errorf("the reply: %v", err)
	}
	if m, err := c.Receive(ctx); err != nil || m.TaskName != "1" {
		t.Errorf("third: %v, %v", m, err)
	}
}

// TestInterruptionOutlivesRun: one that was read and not handled is what comes
// next, in its place.
func TestInterruptionOutlivesRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r, s := replacingPair(t, nil)
		ctx := context.Background()
		c.OnInterrupted(func(context.Context, *transport.InterruptedError) { t.Error("it was handled") })
		c.Handle(messages.ServerTaskEnd, func(ctx context.Context, _ *messages.ServerMessage) error {
			<-ctx.Done()
			return nil
		})
		stop := running(t, c)
		must(t, s.Send(ctx, message(0)))
		must(t, s.Send(ctx, message(1)))
		raw(t, s.Transport(), gapText)
		must(t, s.Send(ctx, message(2)))
		raw(t, s.Transport(), gapText)
		must(t, s.Send(ctx, message(3)))
		synctest.Wait()
		stop()
		for i, want := range []string{"1", "", "2", "", "3"} {
			m, err := c.Receive(ctx)
			if want == "" && err != r.gap || want != "" && (err != nil || m.TaskName != want) {
				t.Errorf("%d: got %v, %v; want %q", i, m, err, want)
			}
		}
	})
}

func TestRegistrationInterrupted(t *testing.T) {
	c, r, s := replacingPair(t, nil)
	raw(t, s.Transport(), gapText)
	err := RegisterDevice(context.Background(), c, "dev", "linux", messages.Value{})
	var failed *RegistrationError
	if !r.isGap(err) || !errors.As(err, &failed) || failed.Failure != RegistrationLost || !transport.Retryable(err) {
		t.Errorf("Register: %v", err)
	}
	near, far := transport.NewPair(nil)
	server, err := NewServer(&replacing{Memory: near, gap: r.gap}, nil)
	must(t, err)
	t.Cleanup(func() { _ = far.Close() })
	raw(t, far, gapText)
	_, err = AwaitRegistration(context.Background(), server)
	if !r.isGap(err) || !errors.As(err, &failed) || failed.Failure != RegistrationLost || !near.IsConnected() {
		t.Errorf("AwaitRegistration: %v", err)
	}
}
