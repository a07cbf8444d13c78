package resilience_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// memoryStage is a stage over memory transports, and a link to it.
func memoryStage(t *testing.T, change func(*resilience.LinkOptions)) (*memoryNetwork, *resilience.Link, *resilience.Session, *resilience.LinkOptions) {
	t.Helper()
	s := newStage(t)
	n := &memoryNetwork{accept: func(at transport.Transport) {
		if err := s.admit(context.Background(), at); err != nil {
			_ = at.Close() // It has failed already.
		}
	}}
	t.Cleanup(n.serving.Wait)
	o := s.options("device")
	o.Dial = n.dial
	if change != nil {
		change(o)
	}
	l := s.link(o)
	return n, l, s.session().(*resilience.Session), o
}

func sendNumbered(t *testing.T, on transport.Transport, from, to int) {
	t.Helper()
	ctx := transport.WithDelivery(t.Context(), transport.Buffered)
	for i := from; i <= to; i++ {
		if err := on.Send(ctx, numbered(i)); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

// Protects: what was received while messages wait to be written is acknowledged:
// these carry older acks.
func TestAckAfterWaitingMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l, session, _ := memoryStage(t, nil)
		cable := n.latest()
		cable.set(0, func(w *memoryWire) { w.late = true })
		sent := make(chan error, 1)
		go func() { sent <- l.Send(context.Background(), numbered(1)) }()
		synctest.Wait()
		sendNumbered(t, l, 2, 3) // They wait for the first one.
		sendNumbered(t, session, 1, 4)
		expectNumbered(t, l, 1, 4)
		cable.set(0, func(w *memoryWire) { w.late = false })
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := session.Flush(ctx); err != nil {
			t.Errorf("Flush: %v; the session keeps %+v", err, session.Backlog())
		}
		if err := <-sent; err != nil {
			t.Errorf("Send: %v", err)
		}
		expectNumbered(t, session, 1, 3)
		closeAll(t, l, session)
	})
}

// Protects: an ack does not get lost with a heartbeat that could not be sent.
func TestAckOfHeartbeatThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l, session, _ := memoryStage(t, nil)
		sendNumbered(t, session, 1, 1)
		expectNumbered(t, l, 1, 1)
		n.latest().set(0, func(w *memoryWire) { w.stalled = true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := l.Send(ctx, heartbeat); transport.OutcomeOf(err) != transport.NotSent || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send: %v", err)
		}
		n.latest().set(0, func(w *memoryWire) { w.stalled = false })
		ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := session.Flush(ctx); err != nil {
			t.Errorf("Flush: %v", err)
		}
		closeAll(t, l, session)
	})
}

// Protects: a message that was accepted before it is known that no connection
// can carry it: its sender learns so, and nobody gets anything in its place.
func TestMessageThatNoConnectionTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l, session, _ := memoryStage(t, nil)
		huge := []byte(`{"type":"task","pad":"` + strings.Repeat("x", 64<<10) + `"}`)
		ctx, receipt := transport.WithReceipt(t.Context())
		if err := l.Send(ctx, huge); !errors.Is(err, transport.ErrMessageTooLarge) || receipt.Outcome() != transport.NotSent {
			t.Errorf("Send: %v, %v", err, receipt.Outcome())
		}
		n.latest().cut(0)
		synctest.Wait()
		ctx, receipt = transport.WithReceipt(transport.WithDelivery(t.Context(), transport.Buffered))
		if err := l.Send(ctx, huge); err != nil {
			t.Error(err)
		}
		sendNumbered(t, l, 1, 2)
		expectNumbered(t, session, 1, 2)
		if o, err := receipt.Wait(t.Context()); o != transport.NotSent || err != nil {
			t.Errorf("the receipt says %v, %v", o, err)
		}
		if err := l.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		closeAll(t, l, session)
	})
}

// Protects: what waits to be received is not acknowledged, neither while the
// connection is replaced nor to a later process; and the later process gets it.
func TestUnreceivedIsNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := resilience.NewMemoryStore()
		n, l, session, o := memoryStage(t, func(o *resilience.LinkOptions) { o.Resume.Store = store })
		ctx, receipt := transport.WithReceipt(t.Context())
		if err := session.Send(ctx, numbered(1)); err != nil {
			t.Fatal(err)
		}
		sendNumbered(t, session, 2, 3)
		n.latest().cut(1)
		time.Sleep(time.Minute)
		if !session.IsConnected() || receipt.Outcome() != transport.Sent {
			t.Errorf("session: %s, receipt: %v", session.State(), receipt.Outcome())
		}
		expectNumbered(t, l, 1, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := session.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) || receipt.Outcome() != transport.Acked {
			t.Errorf("Flush: %v, receipt: %v", err, receipt.Outcome())
		}
		l.Abort(errCut)
		later, err := resilience.NewLink(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := later.Connect(t.Context(), "mem://server"); err != nil {
			t.Fatal(err)
		}
		expectNumbered(t, later, 3, 3)
		if err := session.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		closeAll(t, l, later, session)
	})
}

// Protects: the receipts of a link that ended without its session: what its
// store has, a later link may send.
func TestReceiptsOfEndedLink(t *testing.T) {
	for name, want := range map[string]transport.Outcome{"memory": transport.NotSent, "store": transport.MaybeSent} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, l, session, _ := memoryStage(t, func(o *resilience.LinkOptions) {
					if name == "store" {
						o.Resume.Store = resilience.NewMemoryStore()
					}
				})
				n.refuseDials(true)
				n.latest().cut(0)
				synctest.Wait()
				ctx, receipt := transport.WithReceipt(transport.WithDelivery(t.Context(), transport.Buffered))
				if err := l.Send(ctx, numbered(1)); err != nil {
					t.Fatal(err)
				}
				l.Abort(errCut)
				if o, err := receipt.Wait(t.Context()); o != want || err != nil {
					t.Errorf("the receipt says %v, %v", o, err)
				}
				closeAll(t, l, session)
			})
		})
	}
}

// Protects: a server that claims to resume a session nobody asked for ends the
// attempt; the client does not ask it again and again.
func TestResumedWithoutToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &memoryNetwork{accept: func(at transport.Transport) {
			p, err := protocol.NewServer(at, nil)
			if err != nil {
				t.Error(err)
				return
			}
			registration, err := protocol.AwaitRegistration(context.Background(), p)
			if err != nil {
				t.Error(err)
				return
			}
			answer := messages.NewRegistrationConfirmation()
			answer.Result, err = messages.NewValue(map[string]any{resilience.ResumeExtension: map[string]any{
				"v": 1, "id": "token", "resumed": true, "rx": 0, "max_s": 10, "epoch": "e",
			}})
			if err != nil {
				t.Error(err)
			}
			if err := registration.ConfirmWith(context.Background(), answer); err != nil {
				t.Error(err)
			}
			_ = at.WaitClosed(context.Background())
		}}
		o := (&stage{}).options("device")
		o.Dial = n.dial
		l, err := resilience.NewLink(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Connect(t.Context(), "mem://server"); err == nil || transport.Retryable(err) || strings.Contains(err.Error(), "token") {
			t.Errorf("Connect: %v", err)
		}
		closeAll(t, l)
		n.serving.Wait()
	})
}

// Protects: a Close whose connection is lost while it writes what was accepted:
// it does not wait for what cannot be written any more.
func TestCloseOfLostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l, session, _ := memoryStage(t, nil)
		n.latest().set(0, func(w *memoryWire) { w.stalled = true })
		sent := make(chan error, 1)
		go func() { sent <- l.Send(context.Background(), numbered(1)) }()
		synctest.Wait()
		start := time.Now()
		time.AfterFunc(time.Second, func() { n.latest().cut(0) })
		_ = l.Close() // The connection is lost.
		if d := time.Since(start); d != time.Second {
			t.Errorf("Close took %v", d)
		}
		if err := <-sent; err != nil {
			t.Errorf("Send: %v", err)
		}
		closeAll(t, session)
	})
}

// Protects: heartbeats are sent while the buffer is full: they are not kept, and
// a peer that does not hear them gives the connection up.
func TestHeartbeatWhileFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l, session, _ := memoryStage(t, func(o *resilience.LinkOptions) { o.MaxMessages = 3 })
		sendNumbered(t, l, 1, 3)
		ctx, receipt := transport.WithReceipt(transport.WithDelivery(t.Context(), transport.Volatile))
		if err := l.Send(ctx, heartbeat); err != nil {
			t.Error(err)
		}
		if o, err := receipt.Wait(t.Context()); o != transport.Sent || err != nil {
			t.Errorf("the receipt says %v, %v", o, err)
		}
		expectNumbered(t, session, 1, 3)
		if got, err := session.Receive(t.Context()); err != nil || string(got) == "" {
			t.Errorf("%s, %v", got, err)
		}
		closeAll(t, l, session)
	})
}
