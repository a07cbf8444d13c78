package transporttest

import (
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/aip-go/aip/transport"
)

func lossTests() []subtest {
	return []subtest{
		{name: "abort", needs: Aborts, run: testAbort},
		{name: "loss", faults: true, run: func(t *trial) { testLoss(t, nil) }},
		{name: "connection reset", faults: true, run: func(t *trial) { testLoss(t, syscall.ECONNRESET) }},
		{name: "loss unblocks", faults: true, run: testLossUnblocks},
	}
}

// lost checks what both sides see of a connection that was lost; cause is nil
// where none is known.
func (t *trial) lost(who string, at transport.Transport, cause error) {
	t.Helper()
	t.reaches(who, at, transport.Failed)
	for range 2 {
		_, err := at.Receive(t.ctx)
		t.is(who+": Receive", err, io.ErrUnexpectedEOF)
		t.isNot(who+": Receive", err, io.EOF, net.ErrClosed)
		var end *transport.CloseError
		if !errors.As(err, &end) || end.Code != transport.StatusAbnormal {
			t.Errorf("%s: Receive: %v; want a CloseError with %s", who, err, transport.StatusAbnormal)
		}
		closed := at.WaitClosed(t.ctx)
		t.is(who+": WaitClosed", closed, io.ErrUnexpectedEOF)
		sent := at.Send(t.ctx, []byte("no connection"))
		t.is(who+": Send", sent, io.ErrUnexpectedEOF)
		t.outcome(sent, transport.NotSent)
		for _, err := range []error{err, closed, sent} {
			if cause != nil {
				t.is(who, err, cause)
			}
			if !transport.Retryable(err) {
				t.Errorf("%s: %v is not retryable", who, err)
			}
		}
	}
	if at.IsConnected() {
		t.Errorf("%s is connected after the loss", who)
	}
	if err := at.Close(); err != nil {
		t.Errorf("%s: Close: %v", who, err)
	}
	if at.State() != transport.Failed {
		t.Errorf("%s is %s after Close", who, at.State())
	}
}

// testAbort: Abort is a loss on both sides, and this one knows the cause.
func testAbort(t *trial) {
	near, far := t.pair()
	cause := errors.New("the cause")
	receiving := async(func() ([]byte, error) { return near.Receive(t.ctx) })
	waiting := call(func() error { return near.WaitClosed(t.ctx) })
	t.pause(t.short())
	feature[transport.Aborter](t, near).Abort(cause)
	_, err := returns(t, "Receive", receiving)
	t.is("Receive", err, cause)
	_, err = returns(t, "WaitClosed", waiting)
	t.is("WaitClosed", err, cause)
	feature[transport.Aborter](t, near).Abort(errors.New("another cause"))
	t.lost("the side that aborts", near, cause)
	t.lost("the peer", far, nil)
}

// testLoss: the end of a connection without a closing handshake is a loss on
// both sides, after the messages that arrived before.
func testLoss(t *trial, cause error) {
	near, far := t.pair()
	t.send(far, "one")
	t.send(far, "two")
	t.settle()
	t.link().Cut(cause)
	t.reaches("this side", near, transport.Failed)
	t.receive(near, "one")
	t.receive(near, "two")
	t.lost("this side", near, cause)
	t.lost("the peer", far, cause)
}

// testLossUnblocks: a loss ends all the calls that wait.
func testLossUnblocks(t *trial) {
	near, far := t.pair()
	t.link().Stall(t.toFar())
	receiving := async(func() ([]byte, error) { return near.Receive(t.ctx) })
	waiting := call(func() error { return near.WaitClosed(t.ctx) })
	sending := call(func() error {
		for {
			if err := near.Send(t.ctx, make([]byte, 4000)); err != nil {
				return err
			}
		}
	})
	calls := []*future[struct{}]{waiting, sending}
	if t.harness.Features&Pings != 0 {
		pinger := feature[transport.Pinger](t, near)
		calls = append(calls, call(func() error { return pinger.Ping(t.ctx) }))
	}
	t.settle()
	for _, c := range calls {
		if c.finished() {
			t.Fatal("a call returned although nothing moves")
		}
	}
	t.link().Cut(syscall.ECONNRESET)
	_, err := returns(t, "Receive", receiving)
	t.is("Receive", err, io.ErrUnexpectedEOF, syscall.ECONNRESET)
	for _, c := range calls {
		_, err := returns(t, "a call", c)
		t.is("a call that waited", err, io.ErrUnexpectedEOF, syscall.ECONNRESET)
	}
	if _, err := sending.wait(); transport.OutcomeOf(err) == transport.Sent {
		t.Error("an interrupted Send succeeded")
	}
	t.lost("this side", near, syscall.ECONNRESET)
	t.lost("the peer", far, syscall.ECONNRESET)
}
