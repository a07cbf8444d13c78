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

type clientMiddleware = Middleware[messages.ClientMessage, messages.ServerMessage]

// tracing returns a middleware that notes when it runs.
func tracing(name string, trace *[]string) clientMiddleware {
	return clientMiddleware{
		Outgoing: func(_ context.Context, m *messages.ClientMessage) (*messages.ClientMessage, error) {
			*trace = append(*trace, "out "+name)
			return m, nil
		},
		Incoming: func(_ context.Context, m *messages.ServerMessage) (*messages.ServerMessage, error) {
			*trace = append(*trace, "in "+name)
			return m, nil
		},
	}
}

func TestMiddlewareOrder(t *testing.T) {
	c, s := newPair(t, nil, nil)
	ctx := context.Background()
	var trace []string
	c.Use(tracing("a", &trace), tracing("b", &trace), clientMiddleware{})
	c.Use(tracing("c", &trace))
	must(t, c.Send(ctx, messages.NewDeviceHeartbeat("dev")))
	_, err := s.Receive(ctx)
	must(t, err)
	must(t, s.Send(ctx, messages.NewHeartbeatReply()))
	_, err = c.Receive(ctx)
	must(t, err)
	if want := []string{"out a", "out b", "out c", "in c", "in b", "in a"}; !slices.Equal(trace, want) {
		t.Errorf("got %v, want %v", trace, want)
	}
}

func TestMiddlewareReplaces(t *testing.T) {
	c, s := newPair(t, nil, nil)
	ctx := context.Background()
	c.Use(clientMiddleware{
		Outgoing: func(_ context.Context, m *messages.ClientMessage) (*messages.ClientMessage, error) {
			next := *m
			next.ClientID += "+1"
			return &next, nil
		},
		Incoming: func(_ context.Context, m *messages.ServerMessage) (*messages.ServerMessage, error) {
			return messages.NewServerError("instead of " + string(m.Type)), nil
		},
	}, clientMiddleware{
		Outgoing: func(_ context.Context, m *messages.ClientMessage) (*messages.ClientMessage, error) {
			next := *m
			next.ClientID += "+2"
			return &next, nil
		},
	})
	mine := messages.NewDeviceHeartbeat("dev")
	must(t, c.Send(ctx, mine))
	if mine.ClientID != "dev" {
		t.Error("the sender's message was changed")
	}
	if m, err := s.Receive(ctx); err != nil || m.ClientID != "dev+1+2" {
		t.Errorf("got %v, %v", m, err)
	}
	must(t, s.Send(ctx, messages.NewHeartbeatReply()))
	if m, err := c.Receive(ctx); err != nil || m.Error != "instead of heartbeat" {
		t.Errorf("got %v, %v", m, err)
	}
}

func TestMiddlewareStopsOutgoing(t *testing.T) {
	c, s := newPair(t, nil, nil)
	ctx := context.Background()
	stop := errors.New("stop")
	result := func(*messages.ClientMessage) (*messages.ClientMessage, error) { return nil, stop }
	c.Use(clientMiddleware{
		Outgoing: func(_ context.Context, m *messages.ClientMessage) (*messages.ClientMessage, error) { return result(m) },
	})
	err := c.Send(ctx, messages.NewDeviceHeartbeat("dev"))
	var stopped *MiddlewareError
	if !errors.Is(err, stop) || !errors.As(err, &stopped) || !stopped.Outgoing || stopped.Type != "heartbeat" {
		t.Errorf("got %v", err)
	}
	if transport.OutcomeOf(err) != transport.NotSent {
		t.Errorf("outcome of %v", err)
	}
	result = func(*messages.ClientMessage) (*messages.ClientMessage, error) { return nil, nil }
	if err := c.Send(ctx, messages.NewDeviceHeartbeat("dev")); !errors.As(err, &stopped) {
		t.Errorf("a middleware that returns nothing: %v", err)
	}
	result = func(*messages.ClientMessage) (*messages.ClientMessage, error) { return &messages.ClientMessage{}, nil }
	if err := c.Send(ctx, messages.NewDeviceHeartbeat("dev")); !errors.Is(err, messages.ErrInvalid) {
		t.Errorf("an invalid message of a middleware: %v", err)
	}
	if n := s.Transport().(*transport.Memory).Backlog().ReceiveMessages; n != 0 {
		t.Errorf("%d messages were sent", n)
	}
}

func TestMiddlewareStopsIncoming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		ctx := context.Background()
		stop := errors.New("stop")
		c.Use(clientMiddleware{
			Incoming: func(_ context.Context, m *messages.ServerMessage) (*messages.ServerMessage, error) {
				switch m.SessionID {
				case "stop":
					return nil, stop
				case "panic":
					panic("secret")
				}
				return m, nil
			},
		})
		check := func(e *MessageError, want error) {
			t.Helper()
			var stopped *MiddlewareError
			if !errors.As(e, &stopped) || stopped.Outgoing || want != nil && !errors.Is(e, want) ||
				e.SessionID == "" || e.Type != "heartbeat" || e.Code() != "refused" {
				t.Errorf("got %+v, code %s", e, e.Code())
			}
		}
		must(t, s.Send(ctx, messages.NewTaskAck("stop")))
		_, err := c.Receive(ctx)
		var invalid *MessageError
		if !errors.As(err, &invalid) {
			t.Fatalf("Receive: %v", err)
		}
		check(invalid, stop)

		var seen []*MessageError
		var handled []string
		c.OnInvalid(func(_ context.Context, e *MessageError) { seen = append(seen, e) })
		c.Handle(messages.ServerHeartbeat, func(_ context.Context, m *messages.ServerMessage) error {
			handled = append(handled, m.SessionID)
			return nil
		})
		running(t, c)
		for _, session := range []string{"stop", "panic", "fine"} {
			must(t, s.Send(ctx, messages.NewTaskAck(session)))
		}
		synctest.Wait()
		if len(seen) != 2 || !slices.Equal(handled, []string{"fine"}) {
			t.Fatalf("seen %v, handled %v", seen, handled)
		}
		check(seen[0], stop)
		check(seen[1], nil)
		var panicked *PanicError
		if !errors.As(seen[1], &panicked) || panicked.Value != "secret" || len(panicked.Stack) == 0 {
			t.Errorf("got %v", seen[1])
		}
	})
}

func TestMiddlewareSeesReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		var trace []string
		c.Use(tracing("a", &trace), tracing("b", &trace))
		s.Handle(messages.ClientHeartbeat, func(ctx context.Context, _ *messages.ClientMessage) error {
			return AnswerHeartbeat(ctx, s)
		})
		running(t, s)
		running(t, c)
		_, err := Beat(context.Background(), as(c, messages.Device))
		must(t, err)
		if want := []string{"out a", "out b", "in b", "in a"}; !slices.Equal(trace, want) {
			t.Errorf("got %v, want %v", trace, want)
		}
	})
}
