package protocol

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// TestCallReceipt: a call that fails after its send says what the transport
// has reported.
func TestCallReceipt(t *testing.T) {
	for _, test := range []struct {
		name  string
		known func(*transport.Receipt)
		want  transport.Outcome
	}{
		{"nothing", func(*transport.Receipt) {}, transport.Sent},
		{"not sent so far", func(r *transport.Receipt) { r.Report(transport.NotSent, false) }, transport.Sent},
		{"maybe sent so far", func(r *transport.Receipt) { r.Report(transport.MaybeSent, false) }, transport.Sent},
		{"not sent", func(r *transport.Receipt) { r.Report(transport.NotSent, true) }, transport.NotSent},
		{"maybe sent", func(r *transport.Receipt) { r.Report(transport.MaybeSent, true) }, transport.MaybeSent},
		{"sent", func(r *transport.Receipt) { r.Report(transport.Sent, true) }, transport.Sent},
		{"acknowledged", func(r *transport.Receipt) { r.Report(transport.Acked, true) }, transport.Acked},
	} {
		for _, end := range []struct {
			name string
			end  func(t *testing.T, s *Server)
		}{
			{"interrupted", func(t *testing.T, s *Server) { raw(t, s.Transport(), gapText) }},
			{"lost", func(t *testing.T, s *Server) { s.Transport().(transport.Aborter).Abort(errCut) }},
			{"timeout", func(*testing.T, *Server) { time.Sleep(time.Hour) }},
		} {
			t.Run(test.name+"/"+end.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, r, s := replacingPair(t, nil)
					as(c, messages.Constellation)
					_ = start(context.Background(), c)
					var receipt *transport.Receipt
					r.sent = func(ctx context.Context) { receipt = transport.ReceiptOf(ctx) }
					failed := make(chan error, 2)
					go func() {
						_, err := RequestDeviceInfo(context.Background(), c, "dev")
						failed <- err
					}()
					synctest.Wait()
					test.known(receipt)
					go func() {
						_, err := StartTask(context.Background(), c, taskFor("s"))
						failed <- err
					}()
					synctest.Wait()
					test.known(receipt)
					end.end(t, s)
					for range 2 {
						var call *CallError
						if err := <-failed; !errors.As(err, &call) || call.Outcome != test.want {
							t.Errorf("got %v, want the outcome %s", err, test.want)
						}
					}
				})
			})
		}
	}
}

// TestCallReceiptOfCaller: the caller's receipt is the one that is used.
func TestCallReceiptOfCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r, s := replacingPair(t, nil)
		running(t, c)
		ctx, receipt := transport.WithReceipt(context.Background())
		r.sent = func(ctx context.Context) {
			if transport.ReceiptOf(ctx) != receipt {
				t.Error("it is another receipt")
			}
			receipt.Report(transport.NotSent, true)
			raw(t, s.Transport(), gapText)
		}
		_, err := c.Call(ctx, infoRequest(), MatchDeviceInfo("x"))
		var call *CallError
		if !errors.As(err, &call) || call.Outcome != transport.NotSent || !r.isGap(err) {
			t.Errorf("got %v", err)
		}
	})
}

// TestAnsweredCallReceipt: who answers has the message, whatever was reported.
func TestAnsweredCallReceipt(t *testing.T) {
	for _, report := range []struct{ reported, want transport.Outcome }{
		{transport.MaybeSent, transport.Sent}, {transport.Acked, transport.Acked},
	} {
		c, r, s := replacingPair(t, nil)
		s.Handle(messages.ClientTask, func(ctx context.Context, m *messages.ClientMessage) error { return s.SendError(ctx, "no", m) })
		r.sent = func(ctx context.Context) { transport.ReceiptOf(ctx).Report(report.reported, true) }
		running(t, c)
		running(t, s)
		_, err := StartTask(context.Background(), c, taskFor("s"))
		var call *CallError
		var refused *RemoteError
		if !errors.As(err, &refused) || !errors.As(err, &call) || call.Outcome != report.want {
			t.Errorf("%s: got %v", report.reported, err)
		}
	}
}

// TestDeliveryOfHeartbeats: only those that nobody waits for are volatile.
func TestDeliveryOfHeartbeats(t *testing.T) {
	c, r, s := replacingPair(t, nil)
	as(c, messages.Device)
	s.Handle(messages.ClientHeartbeat, func(ctx context.Context, _ *messages.ClientMessage) error { return AnswerHeartbeat(ctx, s) })
	running(t, s)
	var got transport.Delivery
	r.sent = func(ctx context.Context) { got = transport.DeliveryOf(ctx) }
	must(t, SendHeartbeat(context.Background(), c))
	if got != transport.Volatile {
		t.Errorf("SendHeartbeat: %s", got)
	}
	running(t, c)
	_, err := Beat(context.Background(), c)
	must(t, err)
	if got != transport.FailNow {
		t.Errorf("Beat: %s", got)
	}
}

// asksToWait is an error with a delay before the next attempt.
type asksToWait struct{ error }

func (asksToWait) RetryAfter() (time.Duration, bool) { return time.Minute, true }

func TestRegistrationRetryAfter(t *testing.T) {
	for _, test := range []struct {
		err  *RegistrationError
		want time.Duration
	}{
		{&RegistrationError{RegistrationRefused, &RemoteError{}}, 10 * time.Second},
		{&RegistrationError{RegistrationInvalid, errCut}, 0},
		{&RegistrationError{RegistrationTimeout, context.DeadlineExceeded}, 0},
		{&RegistrationError{RegistrationLost, errCut}, 0},
		{&RegistrationError{RegistrationLost, asksToWait{errCut}}, time.Minute},
	} {
		if after, ok := test.err.RetryAfter(); after != test.want || ok != (test.want != 0) {
			t.Errorf("%v: %v, %v", test.err, after, ok)
		}
	}
}
