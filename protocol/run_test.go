package protocol

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// collect returns a handler that notes the task names, and the list.
func collect() (Handler[messages.ServerMessage], *[]string) {
	var names []string
	return func(_ context.Context, m *messages.ServerMessage) error {
		names = append(names, m.TaskName)
		return nil
	}, &names
}

// count returns the numbers from 0 up to n as texts.
func count(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}

func TestRunKeepsOrder(t *testing.T) {
	for _, policy := range []QueuePolicy{Block, DropOldest} {
		c, s := newPair(t, &Options{Queue: QueueOptions{Messages: 4096, Policy: policy}}, nil)
		ctx := context.Background()
		const n = 2000
		done := make(chan []string)
		var names []string
		c.Handle(messages.ServerTaskEnd, func(_ context.Context, m *messages.ServerMessage) error {
			if names = append(names, m.TaskName); len(names) == n {
				done <- names
			}
			return nil
		})
		running(t, c)
		for i := range n {
			must(t, s.Send(ctx, message(i)))
		}
		if got := <-done; !slices.Equal(got, count(n)) {
			t.Errorf("policy %d: out of order", policy)
		}
	}
}

func TestHandlersOfOneType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		c, s := newPair(t, &Options{Logger: zap.New(core)}, nil)
		var trace []string
		failure := errors.New("failure")
		add := func(name string, err error) {
			c.Handle(messages.ServerTaskEnd, func(context.Context, *messages.ServerMessage) error {
				trace = append(trace, name)
				if err == nil {
					panic(name)
				}
				return err
			})
		}
		add("first", failure)
		add("second", nil)
		add("third", failure)
		running(t, c)
		must(t, s.Send(context.Background(), message(0)))
		synctest.Wait()
		if want := []string{"first", "second", "third"}; !slices.Equal(trace, want) {
			t.Errorf("ran %v", trace)
		}
		if logs.FilterMessage("handler failed").Len() != 3 {
			t.Errorf("logged %v", logs.All())
		}

		var reported []error
		c.OnError(func(_ context.Context, m *messages.ServerMessage, err error) {
			if m.TaskName != "1" {
				t.Errorf("message %+v", m)
			}
			reported = append(reported, err)
		})
		must(t, s.Send(context.Background(), message(1)))
		synctest.Wait()
		var panicked *PanicError
		if len(reported) != 3 || reported[0] != failure || !errors.As(reported[1], &panicked) || panicked.Value != "second" {
			t.Errorf("reported %v", reported)
		}
		if logs.Len() != 3 {
			t.Errorf("logged although there is a function: %v", logs.All())
		}
		c.OnError(func(context.Context, *messages.ServerMessage, error) { panic("again") })
		must(t, s.Send(context.Background(), message(2)))
		synctest.Wait()
		if logs.Len() != 6 {
			t.Errorf("panics of OnError are not logged: %v", logs.All())
		}
	})
}

func TestUnhandledAndInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		c, s := newPair(t, nil, &Options{Logger: zap.New(core)})
		ctx := context.Background()
		running(t, s)
		send := func() {
			must(t, c.Send(ctx, messages.NewDeviceHeartbeat("dev")))
			raw(t, c.Transport(), "nonsense")
			must(t, c.sendUnit(ctx, []byte(`{"type":"binary_data","size":1,"session_id":"s"}`), []byte("x")))
			synctest.Wait()
		}
		send()
		if logs.Len() != 3 || s.Stats().Unhandled != 2 {
			t.Errorf("logged %v, %+v", logs.All(), s.Stats())
		}
		var unhandled []string
		var codes []string
		s.OnUnhandled(func(_ context.Context, m *messages.ClientMessage) { unhandled = append(unhandled, m.ClientID) })
		s.OnInvalid(func(_ context.Context, e *MessageError) { codes = append(codes, e.Code()+string(e.Binary)) })
		send()
		if !slices.Equal(unhandled, []string{"dev"}) || !slices.Equal(codes, []string{"malformed_message", "unsupportedx"}) {
			t.Errorf("unhandled %v, invalid %v", unhandled, codes)
		}
		if logs.Len() != 3 {
			t.Errorf("logged although there are functions: %v", logs.All())
		}
	})
}

func TestBlockedHandlerDoesNotBlockReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		ctx := context.Background()
		release := make(chan struct{})
		c.Handle(messages.ServerCommand, func(context.Context, *messages.ServerMessage) error {
			<-release
			return nil
		})
		s.Handle(messages.ClientHeartbeat, func(ctx context.Context, _ *messages.ClientMessage) error {
			return AnswerHeartbeat(ctx, s)
		})
		running(t, s)
		running(t, c)
		must(t, s.Send(ctx, messages.NewCommand(messages.CommandRequest{Actions: []messages.Command{{ToolType: messages.ToolAction}}})))
		as(c, messages.Device)
		for range 60 {
			time.Sleep(10 * time.Second)
			if _, err := Beat(ctx, c); err != nil {
				t.Fatal(err)
			}
			must(t, s.Transport().(transport.Pinger).Ping(ctx))
		}
		close(release)
	})
}

func TestRunEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *Client, s *Server)
		want error
	}{
		{"closed by the peer", func(_ *Client, s *Server) { _ = s.Close() }, nil},
		{"closed by this side", func(c *Client, _ *Server) { _ = c.Close() }, nil},
		{"closed with a code by this side", func(c *Client, _ *Server) {
			_ = c.Transport().(transport.CodeCloser).CloseWith(transport.StatusPolicyViolation, "")
		}, nil},
		{"refused by the peer", func(_ *Client, s *Server) {
			_ = s.Transport().(transport.CodeCloser).CloseWith(transport.StatusPolicyViolation, "")
		}, &transport.CloseError{}},
		{"lost", func(_ *Client, s *Server) { s.Transport().(transport.Aborter).Abort(errors.New("cut")) }, io.ErrUnexpectedEOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := newPair(t, nil, nil)
				h, names := collect()
				var context1 context.Context
				c.Handle(messages.ServerTaskEnd, func(ctx context.Context, _ *messages.ServerMessage) error {
					context1 = ctx
					return nil
				})
				c.Handle(messages.ServerTaskEnd, h)
				wait := start(context.Background(), c)
				must(t, s.Send(context.Background(), message(0)))
				synctest.Wait()
				if context1.Err() != nil {
					t.Error("the handler's context ended before the connection")
				}
				must(t, s.Send(context.Background(), message(1)))
				test.end(c, s)
				err := wait()
				var end *transport.CloseError
				switch {
				case test.want == nil && err != nil, test.want != nil && err == nil:
					t.Errorf("Run returned %v", err)
				case errors.As(test.want, &end):
					if !errors.As(err, &end) || end.Code != transport.StatusPolicyViolation {
						t.Errorf("Run returned %v", err)
					}
				case !errors.Is(err, test.want):
					t.Errorf("Run returned %v", err)
				}
				if context1.Err() == nil {
					t.Error("the handler's context did not end with the connection")
				}
				if want := count(2); !slices.Equal(*names, want) {
					t.Errorf("handled %v, want %v", *names, want)
				}
			})
		})
	}
}

func TestRunNeverConnected(t *testing.T) {
	hub := transport.NewMemoryHub()
	listener, err := hub.Listen("server", nil)
	must(t, err)
	defer listener.Close()
	m := hub.NewTransport(nil)
	c, err := NewClient(m, nil)
	must(t, err)
	ctx := context.Background()
	if err := c.Run(ctx); !errors.Is(err, transport.ErrNotConnected) {
		t.Fatalf("Run: %v", err)
	}
	accepted := make(chan *transport.Memory, 1)
	go func() {
		peer, _ := listener.Accept(ctx)
		accepted <- peer
	}()
	must(t, m.Connect(ctx, listener.URL()))
	defer m.Close()
	s, err := NewServer(<-accepted, nil)
	must(t, err)
	s.Handle(messages.ClientHeartbeat, func(ctx context.Context, _ *messages.ClientMessage) error {
		return AnswerHeartbeat(ctx, s)
	})
	running(t, s)
	running(t, c)
	if _, err := Beat(ctx, as(c, messages.Device)); err != nil {
		t.Errorf("after Connect: %v", err)
	}
}

func TestRunStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		var handled []string
		block := make(chan struct{})
		var cause error
		c.Handle(messages.ServerTaskEnd, func(ctx context.Context, m *messages.ServerMessage) error {
			handled = append(handled, m.TaskName)
			if m.TaskName == "0" {
				<-ctx.Done()
				cause = context.Cause(ctx)
				<-block
			}
			return nil
		})
		trace := 0
		c.Use(clientMiddleware{Incoming: func(_ context.Context, m *messages.ServerMessage) (*messages.ServerMessage, error) {
			trace++
			return m, nil
		}})
		ctx, cancel := context.WithCancelCause(context.Background())
		wait := start(ctx, c)
		for i := range 5 {
			must(t, s.Send(context.Background(), message(i)))
		}
		readOn()
		why := errors.New("why")
		cancel(why)
		synctest.Wait()
		if cause != why {
			t.Errorf("the handler's cause is %v", cause)
		}
		close(block)
		if err := wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		if n, _ := c.Pending(); n != 4 || !c.Transport().IsConnected() {
			t.Errorf("%d messages are kept; connected: %v", n, c.Transport().IsConnected())
		}
		// The next receive begins with what was not handled, and so does the
		// next Run; none of it runs through the middleware again.
		m, err := c.Receive(context.Background())
		if err != nil || m.TaskName != "1" {
			t.Errorf("Receive: %v, %v", m, err)
		}
		must(t, s.Send(context.Background(), message(5)))
		wait = start(context.Background(), c)
		synctest.Wait()
		must(t, s.Close())
		must(t, wait())
		if want := []string{"0", "2", "3", "4", "5"}; !slices.Equal(handled, want) || trace != 6 {
			t.Errorf("handled %v, %d times through the middleware", handled, trace)
		}
	})
}

func TestCloseInHandler(t *testing.T) {
	c, s := newPair(t, nil, nil)
	c.Handle(messages.ServerTaskEnd, func(context.Context, *messages.ServerMessage) error { return c.Close() })
	wait := start(context.Background(), c)
	must(t, s.Send(context.Background(), message(0)))
	must(t, wait())
}

func TestCloseWhileRunning(t *testing.T) {
	for range 50 {
		c, s := newPair(t, &Options{Queue: QueueOptions{Messages: 2}}, nil)
		s.Handle(messages.ClientHeartbeat, func(ctx context.Context, _ *messages.ClientMessage) error { return AnswerHeartbeat(ctx, s) })
		as(c, messages.Device)
		c.Handle(messages.ServerHeartbeat, func(ctx context.Context, _ *messages.ServerMessage) error { return SendHeartbeat(ctx, c) })
		ctx, cancel := context.WithCancel(context.Background())
		waitClient, waitServer := start(ctx, c), start(ctx, s)
		var senders sync.WaitGroup
		for range 4 {
			senders.Go(func() {
				for range 10 {
					if _, err := c.Call(ctx, messages.NewDeviceHeartbeat("dev"), MatchFunc(func(*messages.ServerMessage) bool { return true })); err != nil {
						return
					}
				}
			})
		}
		senders.Go(func() { _ = c.Close() })
		senders.Go(func() { _ = s.Close() })
		must(t, waitClient())
		must(t, waitServer())
		senders.Wait()
		cancel()
	}
}

func TestHandleWrongType(t *testing.T) {
	c, _ := newPair(t, nil, nil)
	for name, f := range map[string]func(){
		"other direction": func() {
			c.Handle(messages.ClientTask, func(context.Context, *messages.ServerMessage) error { return nil })
		},
		"undeclared": func() {
			c.Handle(messages.ServerMessageType("x"), func(context.Context, *messages.ServerMessage) error { return nil })
		},
		"a status": func() {
			c.Handle(messages.StatusOK, func(context.Context, *messages.ServerMessage) error { return nil })
		},
		"nil type":   func() { c.Handle(nil, func(context.Context, *messages.ServerMessage) error { return nil }) },
		"no handler": func() { c.Handle(messages.ServerTask, nil) },
	} {
		err := recovered(func() error { f(); return nil })
		var panicked *PanicError
		if !errors.As(err, &panicked) || !strings.Contains(err.Error(), "protocol: Handle") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
