package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

func infoRequest() *messages.ClientMessage { return messages.NewDeviceInfoRequest("k", "dev") }

func TestCall(t *testing.T) {
	c, s := newPair(t, nil, nil)
	s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
		return AnswerDeviceInfo(ctx, s, m, value(t, m.RequestID))
	})
	c.OnUnhandled(func(_ context.Context, m *messages.ServerMessage) { t.Errorf("a reply reached the handlers: %+v", m) })
	running(t, s)
	running(t, c)
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			request := infoRequest()
			reply, err := c.Call(context.Background(), request, MatchDeviceInfo(request.RequestID))
			if err != nil || reply.Result.String() != `"`+request.RequestID+`"` {
				t.Errorf("got %v, %v", reply, err)
			}
		})
	}
	callers.Wait()
	if stats := c.Stats(); stats != (Stats{}) {
		t.Errorf("something is left: %+v", stats)
	}
}

func TestCallIsRegisteredBeforeSending(t *testing.T) {
	// The reply is there before Send returns: a transport that answers by
	// itself.
	a, b := transport.NewPair(nil)
	s, err := NewServer(b, nil)
	must(t, err)
	c, err := NewClient(answering{a, s}, nil)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	running(t, c)
	for range 100 {
		if _, err := c.Call(context.Background(), infoRequest(), MatchDeviceInfo("fixed")); err != nil {
			t.Fatal(err)
		}
	}
}

// answering is a transport to which the server's answer comes while it sends,
// and has been read when Send returns.
type answering struct {
	*transport.Memory
	s *Server
}

func (a answering) Send(ctx context.Context, _ []byte) error {
	if err := a.s.Send(ctx, messages.NewDeviceInfoResponse("fixed", messages.Value{})); err != nil {
		return err
	}
	for a.Backlog().ReceiveMessages > 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func TestCallBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		as(c, messages.Device)
		s.Handle(messages.ClientHeartbeat, func(ctx context.Context, _ *messages.ClientMessage) error { return AnswerHeartbeat(ctx, s) })
		running(t, s)
		result := make(chan error)
		call := func() {
			_, err := Beat(context.Background(), c)
			result <- err
		}
		go call()
		synctest.Wait()
		if n := s.Transport().(*transport.Memory).Backlog().ReceiveMessages; n != 0 || s.Stats().Unhandled != 0 {
			t.Error("something was sent before Run")
		}
		stop := running(t, c)
		must(t, <-result)
		stop()
		// Without Run the call fails after its time, and says why.
		began := time.Now()
		go call()
		err := <-result
		var failed *CallError
		if !errors.Is(err, ErrNotRunning) || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failed) || failed.Outcome != transport.NotSent {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestCallDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			timeout, context, want time.Duration
		}{
			{0, 0, 30 * time.Second},
			{time.Second, 0, time.Second},
			{time.Second, time.Hour, time.Hour}, // a deadline of the caller's counts
			{-1, time.Minute, time.Minute},
		} {
			c, _ := newPair(t, &Options{CallTimeout: test.timeout}, nil)
			stop := running(t, c)
			ctx, cancel := context.Background(), context.CancelFunc(func() {})
			if test.context > 0 {
				ctx, cancel = context.WithTimeout(ctx, test.context)
			}
			began := time.Now()
			_, err := c.Call(ctx, infoRequest(), MatchDeviceInfo("r"))
			cancel()
			var failed *CallError
			if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failed) || failed.Outcome != transport.Sent || failed.Type != "device_info_request" {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took != test.want {
				t.Errorf("%+v: took %v", test, took)
			}
			if c.Stats().Calls != 0 {
				t.Error("the call still waits")
			}
			stop()
		}
	})
}

func TestLateAndDuplicateReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		ctx := context.Background()
		var handled, late []string
		c.Handle(messages.ServerDeviceInfoResponse, func(_ context.Context, m *messages.ServerMessage) error {
			handled = append(handled, m.ResponseID)
			return nil
		})
		running(t, c)
		reply := func(id string) {
			must(t, s.Send(ctx, messages.NewDeviceInfoResponse(id, messages.Value{})))
			synctest.Wait()
		}
		cancelled, cancel := context.WithCancel(ctx)
		result := make(chan error, 1)
		go func() {
			_, err := c.Call(cancelled, infoRequest(), MatchDeviceInfo("given up"))
			result <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		go func() {
			_, err := c.Call(ctx, infoRequest(), MatchDeviceInfo("answered"))
			result <- err
		}()
		synctest.Wait()
		reply("answered")
		must(t, <-result)

		reply("answered")
		reply("given up")
		if stats := c.Stats(); stats.LateReplies != 1 || stats.DuplicateReplies != 1 || len(handled) != 0 {
			t.Errorf("%+v, handled %v", stats, handled)
		}
		c.OnLate(func(_ context.Context, m *messages.ServerMessage) { late = append(late, m.ResponseID) })
		reply("given up")
		reply("unasked")
		if stats := c.Stats(); stats.LateReplies != 1 || stats.DuplicateReplies != 2 ||
			!slices.Equal(late, []string{"given up"}) || !slices.Equal(handled, []string{"unasked"}) {
			t.Errorf("%+v, late %v, handled %v", stats, late, handled)
		}
		// After a while they are forgotten, and a new call may use the id.
		time.Sleep(tombstoneLife)
		reply("given up")
		if !slices.Equal(handled, []string{"unasked", "given up"}) {
			t.Errorf("handled %v", handled)
		}
		again, err := c.Expect(ctx, MatchDeviceInfo("answered"))
		must(t, err)
		reply("answered")
		if _, err := again.Wait(ctx); err != nil {
			t.Errorf("an id that is used again: %v", err)
		}
	})
}

func TestExpect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, &Options{MaxCalls: 3}, nil)
		ctx := context.Background()
		first, err := c.Expect(ctx, MatchDeviceInfo("a"))
		must(t, err)
		if _, err := c.Expect(ctx, MatchDeviceInfo("a")); !errors.Is(err, ErrDuplicateCall) {
			t.Errorf("the same twice: %v", err)
		}
		second, err := c.Expect(ctx, MatchFunc(func(m *messages.ServerMessage) bool { return m.Type == messages.ServerCommand }))
		must(t, err)
		third, err := c.Expect(ctx, MatchHeartbeat())
		must(t, err)
		if _, err := c.Expect(ctx, MatchHeartbeat()); !errors.Is(err, ErrTooManyCalls) {
			t.Errorf("one too many: %v", err)
		}
		running(t, c)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := first.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v", err)
		}
		must(t, s.Send(ctx, messages.NewCommand(messages.CommandRequest{SessionID: "s"})))
		must(t, s.Send(ctx, messages.NewDeviceInfoResponse("a", messages.Value{})))
		if m, err := first.Wait(ctx); err != nil || m.ResponseID != "a" {
			t.Errorf("Wait again: %v, %v", m, err)
		}
		if m, err := second.Wait(ctx); err != nil || m.SessionID != "s" {
			t.Errorf("MatchFunc: %v, %v", m, err)
		}
		third.Release()
		third.Release()
		first.Release()
		if _, err := third.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("released: %v", err)
		}
		if n := c.Stats().Calls; n != 0 {
			t.Errorf("%d calls wait", n)
		}
	})
}

func TestCallsFailAtTheEnd(t *testing.T) {
	cut := errors.New("cut")
	for _, test := range []struct {
		name string
		end  func(c *Client, s *Server, stop func())
		is   []error
	}{
		{"loss", func(_ *Client, s *Server, _ func()) { s.Transport().(transport.Aborter).Abort(cut) }, []error{io.ErrUnexpectedEOF}},
		{"own abort", func(c *Client, _ *Server, _ func()) { c.Transport().(transport.Aborter).Abort(cut) }, []error{io.ErrUnexpectedEOF, cut}},
		{"peer closes", func(_ *Client, s *Server, _ func()) { _ = s.Close() }, []error{io.EOF}},
		{"own close", func(c *Client, _ *Server, _ func()) { _ = c.Close() }, []error{transport.ErrClosed}},
		{"Run stopped", func(_ *Client, _ *Server, stop func()) { stop() }, []error{ErrNotRunning}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := newPair(t, nil, nil)
				stop := running(t, c)
				results := make(chan error, 4)
				for i := range 3 {
					go func() {
						_, err := c.Call(context.Background(), infoRequest(), MatchDeviceInfo(fmt.Sprint(i)))
						results <- err
					}()
				}
				go func() {
					_, err := c.Call(context.Background(), infoRequest(), MatchFunc(func(*messages.ServerMessage) bool { return false }))
					results <- err
				}()
				synctest.Wait()
				test.end(c, s, stop)
				for range cap(results) {
					err := <-results
					for _, want := range test.is {
						if !errors.Is(err, want) {
							t.Errorf("got %v, want %v", err, want)
						}
					}
					if outcome := transport.OutcomeOf(err); outcome == transport.NotSent {
						t.Errorf("outcome of %v is %v", err, outcome)
					}
				}
				if test.name == "Run stopped" {
					return
				}
				_, err := c.Call(context.Background(), infoRequest(), MatchDeviceInfo("after"))
				_, expected := c.Expect(context.Background(), MatchDeviceInfo("after"))
				for _, want := range test.is {
					if !errors.Is(err, want) || !errors.Is(expected, want) {
						t.Errorf("after the end: %v, %v", err, expected)
					}
				}
			})
		})
	}
}

func TestCallSendFails(t *testing.T) {
	c, _ := newPair(t, nil, nil)
	running(t, c)
	stop := errors.New("stop")
	c.Use(clientMiddleware{Outgoing: func(context.Context, *messages.ClientMessage) (*messages.ClientMessage, error) { return nil, stop }})
	_, err := c.Call(context.Background(), infoRequest(), MatchDeviceInfo("r"))
	var failed *CallError
	if !errors.Is(err, stop) || !errors.As(err, &failed) || failed.Outcome != transport.NotSent {
		t.Errorf("got %v", err)
	}
	if c.Stats().Calls != 0 {
		t.Error("the call still waits")
	}
}

func TestErrorsFailCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		ctx := context.Background()
		var handled []string
		c.Handle(messages.ServerError, func(_ context.Context, m *messages.ServerMessage) error {
			handled = append(handled, m.Error)
			return nil
		})
		running(t, c)
		expect := func(match Match[messages.ServerMessage]) *Reply[messages.ServerMessage] {
			r, err := c.Expect(ctx, match)
			must(t, err)
			return r
		}
		failsWith := func(r *Reply[messages.ServerMessage], text string) {
			t.Helper()
			synctest.Wait()
			select {
			case <-r.Done():
			default:
				if text != "" {
					t.Errorf("still waits for %q", text)
				}
				return
			}
			_, err := r.Wait(ctx)
			var remote *RemoteError
			if !errors.As(err, &remote) || remote.Message != text {
				t.Errorf("got %v, want %q", err, text)
			}
		}
		refuse := func(text, session, id string) {
			m := messages.NewServerError(text)
			m.SessionID = session
			if id != "" {
				m.ResponseID = id
			}
			must(t, s.Send(ctx, m))
			synctest.Wait()
		}
		ack, end, info := expect(MatchTaskAck("s")), expect(MatchTaskEnd("s")), expect(MatchDeviceInfo("r"))
		other, beat := expect(MatchTaskEnd("other")), expect(MatchHeartbeat())

		refuse("about nothing", "", "") // two calls could be meant
		refuse("another session", "unknown", "")
		failsWith(ack, "")
		failsWith(info, "")
		refuse("by id", "s", "r")
		failsWith(info, "by id")
		failsWith(ack, "")
		refuse("by session", "s", "")
		failsWith(ack, "by session")
		failsWith(end, "by session")
		failsWith(other, "")

		ack = expect(MatchTaskAck("s2"))
		refuse("the only one", "", "")
		failsWith(ack, "the only one")
		refuse("nobody left", "", "")
		failsWith(beat, "")
		failsWith(other, "")
		if want := []string{"about nothing", "another session", "nobody left"}; !slices.Equal(handled, want) {
			t.Errorf("handled %v", handled)
		}
		other.Release()
		beat.Release()
	})
}

func TestErrorsFailCallsOfServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		as(c, messages.Device)
		ctx := context.Background()
		running(t, s)
		command := messages.NewCommand(messages.CommandRequest{SessionID: "s", Actions: []messages.Command{{ToolType: messages.ToolAction}}})
		for _, answer := range []func() error{
			func() error { return c.SendError(ctx, "no", command) },
			func() error { return c.SendError(ctx, "no", &messages.ServerMessage{SessionID: "s"}) },
			func() error { return c.SendError(ctx, "no", &messages.ServerMessage{ResponseID: command.ResponseID}) },
		} {
			result := make(chan error, 1)
			go func() {
				_, err := SendCommand(ctx, s, command)
				result <- err
			}()
			synctest.Wait()
			_, err := c.Receive(ctx)
			must(t, err)
			must(t, answer())
			var remote *RemoteError
			if err := <-result; !errors.As(err, &remote) || remote.Message != "no" {
				t.Errorf("got %v", err)
			}
		}
	})
}
