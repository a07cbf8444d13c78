package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// fill sends messages of a size until the buffer is full, and returns how many
// it took.
func fill(t *testing.T, on transport.Transport, size int) (n int) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(transport.WithDelivery(t.Context(), transport.Buffered), time.Second)
		start := time.Now()
		err := on.Send(ctx, sized(n, size))
		cancel()
		if err == nil {
			n++
			continue
		}
		if !errors.Is(err, context.DeadlineExceeded) || transport.OutcomeOf(err) != transport.NotSent || time.Since(start) != time.Second {
			t.Fatalf("message %d: %v, after %v", n, err, time.Since(start))
		}
		return n
	}
}

// sized is a message of about the size.
func sized(n, size int) []byte {
	return fmt.Appendf(nil, `{"type":"task","n":%d,"pad":"%s"}`, n, strings.Repeat("x", size))
}

func expectSized(t *testing.T, in transport.Transport, n, size int) {
	t.Helper()
	for i := range n {
		got, err := in.Receive(context.Background())
		if err != nil || string(got) != string(sized(i, size)) {
			t.Fatalf("message %d of %d: %.60q, %v", i, n, got, err)
		}
	}
}

// Protects: the defaults of what is kept, 1024 messages and 8 MiB. A sender
// waits for room as long as its context allows, and what was kept arrives.
func TestKeptLimits(t *testing.T) {
	for name, test := range map[string]struct{ size, least, most int }{
		"messages": {10, resilience.DefaultMaxMessages, resilience.DefaultMaxMessages},
		"bytes":    {60 << 10, resilience.DefaultMaxBytes/(60<<10) - 2, resilience.DefaultMaxBytes / (60 << 10)},
	} {
		for _, connected := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, connected %t", name, connected), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n, l, session, _ := memoryStage(t, nil)
					if connected {
						// The server does not read: the network holds what it can.
						n.latest().set(0, func(w *memoryWire) { w.stalled = true })
						go func() { _ = l.Send(context.Background(), heartbeat) }()
					} else {
						n.refuseDials(true)
						n.latest().cut(0)
					}
					synctest.Wait()
					got := fill(t, l, test.size)
					if got < test.least || got > test.most {
						t.Errorf("%d messages were kept", got)
					}
					b := l.Backlog()
					if b.SendMessages != got || b.SendBytes > resilience.DefaultMaxBytes {
						t.Errorf("the link keeps %+v", b)
					}
					n.refuseDials(false)
					n.latest().cut(0)
					expectSized(t, session, got, test.size)
					if err := l.Flush(t.Context()); err != nil {
						t.Error(err)
					}
					closeAll(t, l, session)
				})
			})
		}
	}
}

// Protects: two sides that send until both their buffers are full, and only then
// receive: each gets everything, and both can go on.
func TestBothBuffersFull(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprintf("cut %t", cut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, l, session, _ := memoryStage(t, func(o *resilience.LinkOptions) { o.MaxMessages, o.MaxBytes = 16, 4<<10 })
				up, down := make(chan int, 1), make(chan int, 1)
				go func() { up <- fill(t, l, 100) }()
				go func() { down <- fill(t, session, 100) }()
				sentUp, sentDown := <-up, <-down
				if sentUp != 16 || sentDown < 16 || sentDown > 4<<10/100 {
					t.Errorf("%d and %d messages were kept", sentUp, sentDown)
				}
				if cut {
					n.latest().cut(0)
				}
				expectSized(t, l, sentDown, 100)
				expectSized(t, session, sentUp, 100)
				for i := range 3 {
					sendNumbered(t, l, i, i)
					sendNumbered(t, session, i, i)
					expectNumbered(t, l, i, i)
					expectNumbered(t, session, i, i)
				}
				closeAll(t, l, session)
			})
		})
	}
}

// Protects: senders at both sides that wait for room, while both sides receive:
// it is an ack that makes room, whoever reads it.
func TestSendersWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l, session, _ := memoryStage(t, func(o *resilience.LinkOptions) { o.MaxMessages, o.MaxBytes = 4, 1<<10 })
		done := make(chan error, 4)
		for _, side := range []transport.Transport{l, session} {
			go func() {
				for i := range 300 {
					if err := side.Send(context.Background(), sized(i, i%200)); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
			go func() {
				for i := range 300 {
					got, err := side.Receive(context.Background())
					if err != nil || string(got) != string(sized(i, i%200)) {
						done <- fmt.Errorf("message %d: %.60q, %w", i, got, err)
						return
					}
				}
				done <- nil
			}()
		}
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		closeAll(t, l, session)
	})
}

// Protects: a message larger than the whole buffer. It is sent, and arrives; it
// is refused where it would have to be kept; and while it is on its way the
// session ends with the connection, and both sides are told.
func TestMessageLargerThanBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l, session, _ := memoryStage(t, func(o *resilience.LinkOptions) { o.MaxBytes = 1 << 10 })
		large := sized(0, 2<<10)
		ctx, receipt := transport.WithReceipt(t.Context())
		if err := l.Send(ctx, large); err != nil {
			t.Fatal(err)
		}
		sendNumbered(t, l, 1, 1)
		expectSized(t, session, 1, 2<<10)
		expectNumbered(t, session, 1, 1)
		if err := l.Flush(t.Context()); err != nil || receipt.Outcome() != transport.Acked {
			t.Errorf("Flush: %v, receipt: %v", err, receipt.Outcome())
		}

		// Acknowledged: the session can be resumed.
		n.refuseDials(true)
		n.latest().cut(0)
		synctest.Wait()
		err := l.Send(transport.WithDelivery(t.Context(), transport.Buffered), large)
		if !errors.Is(err, transport.ErrMessageTooLarge) || transport.OutcomeOf(err) != transport.NotSent {
			t.Errorf("Send without a connection: %v", err)
		}
		n.refuseDials(false)
		sendNumbered(t, l, 2, 2)
		expectNumbered(t, session, 2, 2)
		if err := l.Flush(t.Context()); err != nil {
			t.Error(err)
		}

		// On its way: it cannot.
		n.latest().set(0, func(w *memoryWire) { w.hole = true })
		ctx, receipt = transport.WithReceipt(t.Context())
		if err := l.Send(ctx, large); err != nil {
			t.Fatal(err)
		}
		sendNumbered(t, l, 3, 3)
		n.latest().cut(0)
		_, err = l.Receive(t.Context())
		var interrupted *transport.InterruptedError
		if !errors.As(err, &interrupted) || !errors.Is(err, resilience.ErrSessionLost) || len(interrupted.Undelivered) != 2 {
			t.Fatalf("Receive: %v", err)
		}
		if u := interrupted.Undelivered; len(u[0].Frames) != 0 || string(u[1].Frames[0].Data) != string(numbered(3)) {
			t.Errorf("undelivered: %+v", u)
		}
		if o, err := receipt.Wait(t.Context()); o != transport.MaybeSent || err != nil {
			t.Errorf("the receipt says %v, %v", o, err)
		}
		if _, err := session.Receive(t.Context()); err == nil {
			t.Error("the server's session goes on")
		}
		closeAll(t, l, session)
	})
}
