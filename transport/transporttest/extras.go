package transporttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/aip-go/aip/transport"
)

func extraTests() []subtest {
	return []subtest{
		{name: "ping", needs: Pings, run: testPing},
		{name: "read limit", needs: ReadLimits, run: testReadLimit},
		{name: "backlog", needs: Backlogs, run: testBacklog},
		{name: "bounded backlog", needs: Backlogs, timing: true, set: noPings, run: testBoundedBacklog},
		{name: "close notices", needs: CloseNotices, run: testCloseNotices},
		{name: "close notices of a loss", needs: CloseNotices | Aborts, run: testCloseNoticesOfLoss},
		{name: "idle connection", timing: true, run: testIdle},
	}
}

// noPings keeps pings out of the way of tests in which nobody answers for a
// while.
func noPings(near, far *Settings) { near.PingInterval, far.PingInterval = -1, -1 }

// testPing: a ping is answered although nobody receives, and one that is given
// up harms nothing.
func testPing(t *trial) {
	near, far := t.pair()
	pinger := feature[transport.Pinger](t, near)
	var pinging []*future[struct{}]
	for range 16 {
		pinging = append(pinging, call(func() error { return pinger.Ping(t.ctx) }))
	}
	for _, p := range pinging {
		if _, err := returns(t, "Ping", p); err != nil {
			t.Errorf("Ping: %v", err)
		}
	}
	cancelled, cancel := context.WithCancel(t.ctx)
	cancel()
	for range 50 {
		t.is("Ping with a cancelled context", pinger.Ping(cancelled), context.Canceled)
	}
	t.usable(near, far)
	if err := pinger.Ping(t.ctx); err != nil {
		t.Errorf("Ping: %v", err)
	}
	if err := near.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	t.is("Ping after Close", pinger.Ping(t.ctx), net.ErrClosed)
}

// testReadLimit: the limit can be raised and lowered on an open connection.
func testReadLimit(t *trial) {
	near, far := t.pair()
	limiter := feature[transport.ReadLimiter](t, near)
	for _, limit := range []int{10, 1000, 100} {
		limiter.SetReadLimit(int64(limit))
		t.send(far, text("fits", limit))
		t.receive(near, text("fits", limit))
	}
	_ = far.Send(t.ctx, []byte(text("too long", 101))) // The end may come first.
	_, err := near.Receive(t.ctx)
	t.is("Receive over the new limit", err, transport.ErrMessageTooLarge)
	t.closedBy("WaitClosed of the sender", far.WaitClosed(t.ctx), transport.StatusMessageTooBig, true)
}

// testCloseNotices: both sides are told of a close, once, unless they did not
// want to be any more, and those who ask too late at once.
func testCloseNotices(t *trial) {
	near, far := t.pair()
	told := make(chan transport.Transport, 10)
	notify := func(side transport.Transport) (stop func() bool) {
		return feature[transport.CloseNotifier](t, side).AfterClosed(func() { told <- side })
	}
	notify(near)
	stop := notify(far)
	unwanted := notify(near)
	notify(far)
	if !unwanted() || unwanted() {
		t.Error("a notice can be stopped once")
	}
	t.pause(t.short())
	if len(told) > 0 {
		t.Error("told of the end of an open connection")
	}
	if err := near.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	times := map[transport.Transport]int{}
	count := func() {
		side, err := returns(t, "the notice", async(func() (transport.Transport, error) { return next(t.ctx, told) }))
		if err != nil {
			t.Fatalf("no notice: %v", err)
		}
		times[side]++
		if _, err := returns(t, "WaitClosed", call(func() error { return side.WaitClosed(t.ctx) })); err != nil {
			t.Errorf("WaitClosed after the notice: %v", err)
		}
	}
	for range 3 {
		count()
	}
	if stop() {
		t.Error("a notice was stopped after it came")
	}
	if notify(far)() {
		t.Error("a notice of what was over was stopped")
	}
	count()
	if times[near] != 1 || times[far] != 3 {
		t.Errorf("the side that closes got %d notices, the other one %d; want 1 and 3", times[near], times[far])
	}
}

// testCloseNoticesOfLoss: both sides are told of a loss, and can see its cause.
func testCloseNoticesOfLoss(t *trial) {
	near, far := t.pair()
	told := make(chan error, 2)
	for _, side := range []transport.Transport{near, far} {
		feature[transport.CloseNotifier](t, side).AfterClosed(func() { told <- side.WaitClosed(t.ctx) })
	}
	feature[transport.Aborter](t, near).Abort(errors.New("the cause"))
	for range 2 {
		cause, err := returns(t, "the notice", async(func() (error, error) { return next(t.ctx, told) }))
		if err != nil {
			t.Fatalf("no notice: %v", err)
		}
		if cause == nil {
			t.Error("WaitClosed after a loss: nil")
		}
	}
}

// next returns the next value of c, or the error of ctx.
func next[T any](ctx context.Context, c <-chan T) (v T, err error) {
	select {
	case v = <-c:
		return v, nil
	case <-ctx.Done():
		return v, ctx.Err()
	}
}

// testBacklog: the backlog counts what waits for the receiver.
func testBacklog(t *trial) {
	near, far := t.pair()
	backlog := feature[transport.Backlogger](t, near).Backlog
	if b := backlog(); b != (transport.Backlog{}) {
		t.Errorf("the backlog of an idle connection is %+v", b)
	}
	const n, size = 5, 100
	for i := range n {
		t.send(far, text(fmt.Sprintf("message %d ", i), size))
	}
	for left := n; left >= 0; left-- {
		want := transport.Backlog{ReceiveMessages: left, ReceiveBytes: int64(left * size)}
		t.until(fmt.Sprintf("the backlog is %+v", want), func() bool { return backlog() == want })
		if left > 0 {
			t.receive(near, text(fmt.Sprintf("message %d ", n-left), size))
		}
	}
	farBacklog := feature[transport.Backlogger](t, far).Backlog
	t.until("the sender's backlog is empty", func() bool { return farBacklog() == transport.Backlog{} })
	t.usable(near, far)
}

// testBoundedBacklog: with nobody receiving, the queues fill up to their
// bounds, and are empty when everything was received.
func testBoundedBacklog(t *trial) {
	near, far := t.pair()
	const n, size = 200, 4000
	sending := call(func() error {
		for i := range n {
			if err := near.Send(t.ctx, []byte(text(fmt.Sprintf("message %d ", i), size))); err != nil {
				return err
			}
		}
		return nil
	})
	t.settle()
	if sending.finished() {
		t.Fatalf("%d bytes were sent although nobody receives", n*size)
	}
	sent, received := feature[transport.Backlogger](t, near).Backlog(), feature[transport.Backlogger](t, far).Backlog()
	if sent.SendMessages == 0 || sent.SendBytes < size {
		t.Errorf("the backlog of the sender is %+v while its sends wait", sent)
	}
	if received.ReceiveMessages == 0 || received.ReceiveBytes < size {
		t.Errorf("the backlog of the receiver is %+v while sends wait", received)
	}
	for who, bytes := range map[string]int64{"sender": sent.SendBytes, "receiver": received.ReceiveBytes} {
		if limit := t.near().QueueBytes + 2*size; bytes > limit {
			t.Errorf("%d bytes wait at the %s, want at most %d", bytes, who, limit)
		}
	}
	for i := range n {
		t.receive(far, text(fmt.Sprintf("message %d ", i), size))
	}
	if _, err := returns(t, "Send", sending); err != nil {
		t.Errorf("Send: %v", err)
	}
	t.settle()
	for who, side := range map[string]transport.Transport{"sender": near, "receiver": far} {
		if b := feature[transport.Backlogger](t, side).Backlog(); b != (transport.Backlog{}) {
			t.Errorf("the backlog of the %s is %+v when all was received", who, b)
		}
	}
}

// testIdle: a connection on which nothing happens, and nobody receives, stays.
func testIdle(t *trial) {
	near, far := t.pair()
	t.pause(20*time.Minute + 7*time.Second)
	t.usable(near, far)
}
