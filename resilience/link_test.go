package resilience_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// Protects: a session over several connections: nothing is lost, nothing comes
// twice, in both directions.
func TestLinkResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.listen("server:80")
		l := s.link(s.options("device"))
		session := s.session()
		for round := range 5 {
			first := round * 10
			for n := first; n < first+5; n++ {
				if err := l.Send(t.Context(), numbered(n)); err != nil {
					t.Fatal(err)
				}
				if err := session.Send(t.Context(), numbered(n)); err != nil {
					t.Fatal(err)
				}
			}
			s.latest().Cut(io.ErrUnexpectedEOF)
			buffered := transport.WithDelivery(t.Context(), transport.Buffered)
			for n := first + 5; n < first+10; n++ {
				if err := l.Send(buffered, numbered(n)); err != nil {
					t.Fatal(err)
				}
				if err := session.Send(buffered, numbered(n)); err != nil {
					t.Fatal(err)
				}
			}
			expectNumbered(t, l, first, first+9)
			expectNumbered(t, session, first, first+9)
		}
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b := l.Backlog(); b.SendMessages != 0 {
			t.Errorf("the link keeps %+v", b)
		}
		closeAll(t, l)
		if _, err := session.Receive(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("the session ended with %v", err)
		}
		closeAll(t, session)
		if n := len(s.registered); n != 6 {
			t.Errorf("%d registrations", n)
		}
	})
}

// Protects: peers that do not know the extension.
func TestLinkWithoutResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.plain = true
		s.listen("server:80")
		l := s.link(s.options("device"))
		server := s.session()
		if err := l.Send(t.Context(), numbered(1)); err != nil {
			t.Fatal(err)
		}
		expectNumbered(t, server, 1, 1)
		s.cut()
		err := l.Send(t.Context(), numbered(2))
		if !errors.Is(err, transport.ErrNotConnected) || transport.OutcomeOf(err) != transport.NotSent {
			t.Errorf("Send: %v", err)
		}
		if err := l.Send(transport.WithDelivery(t.Context(), transport.Volatile), numbered(2)); err != nil {
			t.Errorf("volatile Send: %v", err)
		}
		ctx, receipt := transport.WithReceipt(transport.WithDelivery(t.Context(), transport.Buffered))
		if err := l.Send(ctx, numbered(3)); err != nil {
			t.Errorf("buffered Send: %v", err)
		}
		_, err = l.Receive(t.Context())
		var interrupted *transport.InterruptedError
		if !errors.As(err, &interrupted) || len(interrupted.Undelivered) != 0 {
			t.Errorf("Receive: %v", err)
		}
		again := s.session()
		expectNumbered(t, again, 3, 3)
		if o, err := receipt.Wait(t.Context()); o != transport.Sent || err != nil {
			t.Errorf("the receipt says %v, %v", o, err)
		}
		if err := again.Send(t.Context(), numbered(4)); err != nil {
			t.Fatal(err)
		}
		expectNumbered(t, l, 4, 4)
		closeAll(t, l, server, again)
	})
}

// Protects: the truth about a session that the server has lost.
func TestLinkServerRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.listen("server:80")
		l := s.link(s.options("device"))
		first := s.session()
		ctx, delivered := transport.WithReceipt(t.Context())
		if err := l.Send(ctx, numbered(1)); err != nil {
			t.Fatal(err)
		}
		expectNumbered(t, first, 1, 1)
		if err := l.Flush(t.Context()); err != nil || delivered.Outcome() != transport.Acked {
			t.Errorf("outcome %v", delivered.Outcome())
		}
		ctx, unknown := transport.WithReceipt(t.Context())
		if err := l.Send(ctx, numbered(2)); err != nil {
			t.Fatal(err)
		}
		s.restart(nil)
		s.cut()
		ctx, carried := transport.WithReceipt(transport.WithDelivery(t.Context(), transport.Buffered))
		if err := l.Send(ctx, numbered(3)); err != nil {
			t.Fatal(err)
		}
		_, err := l.Receive(t.Context())
		var interrupted *transport.InterruptedError
		if !errors.As(err, &interrupted) || !errors.Is(err, resilience.ErrSessionLost) {
			t.Fatalf("Receive: %v", err)
		}
		if u := interrupted.Undelivered; len(u) != 1 || u[0].Outcome != transport.MaybeSent || string(u[0].Frames[0].Data) != string(numbered(2)) {
			t.Errorf("undelivered: %+v", u)
		}
		if o, _ := unknown.Wait(t.Context()); o != transport.MaybeSent {
			t.Errorf("outcome %v", o)
		}
		second := s.session()
		expectNumbered(t, second, 3, 3)
		if err := l.Flush(t.Context()); err != nil || carried.Outcome() != transport.Acked {
			t.Errorf("outcome %v, %v", carried.Outcome(), err)
		}
		closeAll(t, l, second, first)
	})
}

// Protects: a Close while the link tries to reconnect: it does not wait.
func TestLinkCloseWhileReconnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.listen("server:80")
		o := s.options("device")
		o.Strategy = hours{}
		l := s.link(o)
		session := s.session()
		s.cut()
		if l.State() != transport.Connecting {
			t.Errorf("the state is %s", l.State())
		}
		start := time.Now()
		closeAll(t, l)
		if time.Since(start) != 0 {
			t.Errorf("Close took %v", time.Since(start))
		}
		if l.State() != transport.Disconnected {
			t.Errorf("the state is %s", l.State())
		}
		if _, err := l.Receive(context.Background()); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("Receive: %v", err)
		}
		if err := session.WaitClosed(t.Context()); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the session ended with %v", err)
		}
		closeAll(t, session)
	})
}

// hours waits for a long time.
type hours struct{}

func (hours) NextDelay(int, error) (time.Duration, bool) { return time.Hour, true }
