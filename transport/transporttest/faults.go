package transporttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/aip-go/aip/transport"
)

func faultTests() []subtest {
	return []subtest{
		{name: "half-open peer", needs: KeepAlive, faults: true, run: func(t *trial) { testHalfOpen(t, Directions...) }},
		{name: "half-open peer one way", needs: KeepAlive, faults: true, run: func(t *trial) { testHalfOpen(t, t.toFar()) }},
		{name: "late answers", needs: KeepAlive, faults: true, run: testLateAnswers},
		{name: "stalled network", faults: true, set: noPings, run: testStalledNetwork},
		{name: "ping deadline", needs: Pings, faults: true, set: noPings, run: testPingDeadline},
		{name: "slow link", faults: true, set: slowPings, run: testSlowLink},
		{name: "delayed link", faults: true, run: testDelayedLink},
		{name: "close delivers what waits", faults: true, set: noPings, run: testCloseWaiting},
		{name: "close against a silent peer", faults: true, run: testCloseSilent},
		{name: "cut while closing", faults: true, run: testCutClosing},
		{name: "close against a swallowing network", faults: true, run: testCloseSwallowed},
		{name: "calls while closing", faults: true, run: testCallsClosing},
		{name: "held dials", once: true, faults: true, run: testHeldDials},
		{name: "late end of an old connection", once: true, needs: Resets | Aborts, faults: true, run: testLateEnd},
	}
}

// testHalfOpen: a peer that is gone without a word is found out within the
// ping's interval and timeout, on both sides.
func testHalfOpen(t *trial, holes ...Direction) {
	near, far := t.pair()
	t.usable(near, far)
	// The worst moment is just after a ping was answered.
	t.pause(t.near().PingInterval + time.Millisecond)
	for _, d := range holes {
		t.link().BlackHole(d)
	}
	start := time.Now()
	ended := make(map[string]*future[struct{}])
	for who, side := range map[string]transport.Transport{"near": near, "far": far} {
		ended[who] = call(func() error {
			err := side.WaitClosed(t.ctx)
			t.took("finding out on the "+who+" side", start, t.near().PingInterval+t.near().PingTimeout)
			return err
		})
	}
	for who, r := range ended {
		_, err := returns(t, "WaitClosed", r)
		t.is("WaitClosed on the "+who+" side", err, io.ErrUnexpectedEOF)
		if len(holes) == 2 {
			t.is("WaitClosed on the "+who+" side", err, transport.ErrPingTimeout)
		}
	}
	t.lost("the near side", near, nil)
	t.lost("the far side", far, nil)
}

// testLateAnswers: answers that take long but not too long are fine.
func testLateAnswers(t *trial) {
	near, far := t.pair()
	for _, d := range Directions {
		t.link().SetDelay(d, t.near().PingTimeout/2-100*time.Millisecond)
	}
	t.pause(10 * time.Minute)
	t.usable(near, far)
}

// testStalledNetwork: while nothing passes, sends return in time, and little is
// kept; when it is over, everything is as it should be.
func testStalledNetwork(t *trial) {
	near, far := t.pair()
	const size = 4000
	t.link().Stall(t.toFar())
	before := t.link().Written(t.toFar())
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.ctx, 5*time.Second)
	defer cancel()
	var attempts []attempt
	for {
		a := t.attempt(ctx, near, fmt.Sprintf("message %d", len(attempts)), size)
		attempts = append(attempts, a)
		if a.err != nil {
			break
		}
		if len(attempts)*size > 10*(64<<10) {
			t.Fatalf("%d bytes were taken over while nothing passes", len(attempts)*size)
		}
	}
	t.took("Send", start, 5*time.Second)
	if took := time.Since(start); took < 5*time.Second {
		t.Errorf("Send returned after %v, before its context ended", took)
	}
	err := attempts[len(attempts)-1].err
	t.is("Send", err, context.DeadlineExceeded)
	if written := t.link().Written(t.toFar()) - before; written < defaultBuffer {
		t.Errorf("only %d bytes were written although the network takes %d", written, defaultBuffer)
	}
	t.send(far, "the other way")
	t.receive(near, "the other way")

	t.pause(time.Minute)
	t.link().Resume(t.toFar())
	for _, a := range attempts {
		if transport.OutcomeOf(a.err) != transport.NotSent {
			t.receive(far, a.message)
		}
	}
	t.usable(near, far)
}

// testPingDeadline: a ping returns when its context ends, and the connection
// goes on.
func testPingDeadline(t *trial) {
	near, far := t.pair()
	t.link().Stall(t.toFar())
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.ctx, 2*time.Second)
	defer cancel()
	err := feature[transport.Pinger](t, near).Ping(ctx)
	t.took("Ping", start, 2*time.Second)
	t.is("Ping", err, context.DeadlineExceeded)
	t.link().Resume(t.toFar())
	t.usable(near, far)
	if err := feature[transport.Pinger](t, near).Ping(t.ctx); err != nil {
		t.Errorf("Ping after one that was not answered: %v", err)
	}
}

// slowPings makes a large message take much longer than pings may.
func slowPings(near, far *Settings) {
	for _, side := range []*Settings{near, far} {
		side.PingInterval, side.PingTimeout = 5*time.Second, 5*time.Second
	}
}

// testSlowLink: while a large message takes its time, pings pass in between,
// both ways.
func testSlowLink(t *trial) {
	near, far := t.pair()
	const rate = 64 << 10
	for _, d := range Directions {
		t.link().SetRate(d, rate)
	}
	message := text("large ", int(t.near().MaxMessageSize))
	start := time.Now()
	sending := call(func() error { return near.Send(t.ctx, []byte(message)) })
	var pinging []*future[struct{}]
	if t.harness.Features&Pings != 0 {
		t.pause(2 * time.Second)
		for _, side := range []transport.Transport{near, far} {
			pinger := feature[transport.Pinger](t, side)
			pinging = append(pinging, call(func() error {
				asked := time.Now()
				err := pinger.Ping(t.ctx)
				t.took("Ping during a large message", asked, 5*time.Second)
				return err
			}))
		}
	}
	t.receive(far, message)
	if took := time.Since(start); took < 10*time.Second {
		t.Errorf("a message of %d bytes took %v at %d bytes per second", len(message), took, rate)
	}
	if _, err := returns(t, "Send", sending); err != nil {
		t.Errorf("Send: %v", err)
	}
	for _, p := range pinging {
		if _, err := returns(t, "Ping", p); err != nil {
			t.Errorf("Ping during a large message: %v", err)
		}
	}
	t.usable(near, far)
}

// testDelayedLink: a network that takes time changes nothing else.
func testDelayedLink(t *trial) {
	const delay = 300 * time.Millisecond
	t.env.Network.Apply(func(l *Link) {
		for _, d := range Directions {
			l.SetDelay(d, delay)
		}
	})
	near, far := t.pair()
	sending := call(func() error {
		for i := range 100 {
			if err := near.Send(t.ctx, []byte(text(fmt.Sprintf("message %d ", i), 3000))); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range 100 {
		t.receive(far, text(fmt.Sprintf("message %d ", i), 3000))
	}
	if _, err := returns(t, "Send", sending); err != nil {
		t.Errorf("Send: %v", err)
	}
	start := time.Now()
	if err := near.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	t.took("Close", start, 4*delay)
	_, err := far.Receive(t.ctx)
	t.is("Receive", err, io.EOF)
}

// testCloseWaiting: what was taken over when Close is called arrives, whether
// sends return before the network has the message or not.
func testCloseWaiting(t *trial) {
	near, far := t.pair()
	t.link().SetBuffer(t.toFar(), 1000)
	t.link().Stall(t.toFar())
	var sending []*future[attempt]
	for i := range 20 {
		sending = append(sending, async(func() (attempt, error) {
			return t.attempt(t.ctx, near, fmt.Sprintf("message %d", i), 1000), nil
		}))
	}
	t.settle()
	closing := call(near.Close)
	t.settle()
	t.link().Resume(t.toFar())
	arrived := make(map[string]int)
	for {
		got, err := far.Receive(t.ctx)
		if err != nil {
			t.is("Receive after the last message", err, io.EOF)
			break
		}
		arrived[string(got)]++
	}
	for _, s := range sending {
		a, _ := returns(t, "Send", s)
		t.accounted(a, arrived[a.message], false)
	}
	if _, err := returns(t, "Close", closing); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// testCloseSilent: Close waits for a silent peer, but no longer than it may.
func testCloseSilent(t *trial) {
	near, far := t.pair()
	for _, d := range Directions {
		t.link().Stall(d)
	}
	receiving := async(func() ([]byte, error) { return near.Receive(t.ctx) })
	var pinging []*future[struct{}]
	if t.harness.Features&Pings != 0 {
		pinger := feature[transport.Pinger](t, near)
		pinging = append(pinging, call(func() error { return pinger.Ping(t.ctx) }))
	}
	t.settle()
	start := time.Now()
	_ = near.Close() // The handshake has failed.
	t.took("Close", start, t.near().CloseTimeout)
	if near.State() != transport.Disconnected {
		t.Errorf("%s after Close", near.State())
	}
	_, err := returns(t, "Receive", receiving)
	t.is("Receive", err, net.ErrClosed)
	for _, p := range pinging {
		_, err := returns(t, "Ping", p)
		t.is("Ping", err, net.ErrClosed)
	}
	_ = returnsAny(t, near)
	for _, d := range Directions {
		t.link().Resume(d)
	}
	_, err = far.Receive(t.ctx)
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the peer's Receive: %v", err)
	}
}

// returnsAny waits for WaitClosed, whatever it says.
func returnsAny(t *trial, at transport.Transport) error {
	t.Helper()
	_, err := returns(t, "WaitClosed", call(func() error { return at.WaitClosed(t.ctx) }))
	return err
}

// testCutClosing: a connection that is cut while it is being closed is closed.
func testCutClosing(t *trial) {
	near, _ := t.pair()
	for _, d := range Directions {
		t.link().Stall(d)
	}
	closing := call(near.Close)
	t.reaches("the closing side", near, transport.Disconnecting)
	t.settle()
	if closing.finished() {
		t.Fatal("Close did not wait for the peer")
	}
	start := time.Now()
	t.link().Cut(syscall.ECONNRESET)
	_, _ = returns(t, "Close", closing) // The handshake has failed.
	t.took("Close", start, 0)
	if near.State() != transport.Disconnected {
		t.Errorf("%s after Close", near.State())
	}
	_, err := near.Receive(t.ctx)
	t.is("Receive", err, net.ErrClosed)
	_ = returnsAny(t, near)
}

// testCloseSwallowed: the same when the network swallows everything.
func testCloseSwallowed(t *trial) {
	near, _ := t.pair()
	for _, d := range Directions {
		t.link().BlackHole(d)
	}
	start := time.Now()
	_ = near.Close() // The handshake has failed.
	t.took("Close", start, t.near().CloseTimeout)
	if near.State() != transport.Disconnected {
		t.Errorf("%s after Close", near.State())
	}
	_ = returnsAny(t, near)
}

// testCallsClosing: while a connection is being closed, no call has another
// idea.
func testCallsClosing(t *trial) {
	near, _ := t.pair()
	for _, d := range Directions {
		t.link().Stall(d)
	}
	closing := call(near.Close)
	t.reaches("the closing side", near, transport.Disconnecting)
	t.is("Connect when disconnecting", near.Connect(t.ctx, t.endpoint.URL), transport.ErrAlreadyConnected)
	err := near.Send(t.ctx, []byte("too late"))
	t.is("Send when disconnecting", err, net.ErrClosed)
	t.outcome(err, transport.NotSent)
	if t.harness.Features&Resets != 0 {
		var transition *transport.TransitionError
		if err := feature[transport.Resetter](t, near).Reset(); !errors.As(err, &transition) {
			t.Errorf("Reset when disconnecting: %v; want a TransitionError", err)
		}
	}
	if near.IsConnected() || closing.finished() {
		t.Error("calls during Close have changed something")
	}
	start := time.Now()
	again := call(near.Close)
	t.settle()
	if again.finished() {
		t.Error("a second Close did not wait for the first one")
	}
	_, _ = returns(t, "Close", closing) // The handshake has failed.
	_, _ = returns(t, "Close", again)
	t.took("Close", start, t.near().CloseTimeout)
	if near.State() != transport.Disconnected {
		t.Errorf("%s after Close", near.State())
	}
}

// testHeldDials: dials that take long end with their contexts, and dials that
// overtake each other reach the right transports.
func testHeldDials(t *trial) {
	t.start()
	t.env.Network.HoldDials(true)
	client := t.client()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.ctx, t.short())
	defer cancel()
	err := client.Connect(ctx, t.endpoint.URL)
	t.took("Connect", start, t.short())
	t.is("Connect", err, context.DeadlineExceeded)
	late, err := t.env.Network.NextDial(t.ctx)
	if err != nil {
		t.Fatal(err)
	}
	late.Release()
	t.settle()
	if client.State() != transport.Failed {
		t.Errorf("a dial that came too late made the state %s", client.State())
	}

	clients := []transport.Transport{t.client(), t.client()}
	connecting := make([]*future[struct{}], len(clients))
	dials := make([]*HeldDial, len(clients))
	for i, c := range clients {
		connecting[i] = call(func() error { return c.Connect(t.ctx, t.endpoint.URL) })
		if dials[i], err = t.env.Network.NextDial(t.ctx); err != nil {
			t.Fatal(err)
		}
	}
	for i := len(clients) - 1; i >= 0; i-- {
		accepting := async(func() (transport.Transport, error) { return t.endpoint.Accept(t.ctx) })
		dials[i].Release()
		if _, err := returns(t, "Connect", connecting[i]); err != nil {
			t.Fatalf("Connect: %v", err)
		}
		server, err := returns(t, "Accept", accepting)
		if err != nil {
			t.Fatalf("Accept: %v", err)
		}
		t.Cleanup(func() { _ = server.Close() })
		t.usable(clients[i], server)
	}
	t.env.Network.HoldDials(false)
	t.failed(client, errDialTimedOut)
}

// errDialTimedOut stands for the error that was looked at already.
var errDialTimedOut = &transport.Error{Op: "connect", Err: context.DeadlineExceeded}

// testLateEnd: an old connection whose end comes late, with bytes that are
// older still, does not reach into the new one.
func testLateEnd(t *trial) {
	t.start()
	client := t.client()
	old := t.connect(client)
	link := t.link()
	for _, d := range Directions {
		link.Stall(d)
	}
	t.send(old, "old")
	feature[transport.Aborter](t, client).Abort(errors.New("the cause"))
	t.reaches("the client", client, transport.Failed)
	if err := feature[transport.Resetter](t, client).Reset(); err != nil {
		t.Errorf("Reset: %v", err)
	}
	current := t.connect(client)
	waiting := call(func() error { return client.WaitClosed(t.ctx) })
	t.usable(client, current)
	for _, d := range Directions {
		link.Resume(d)
	}
	t.reaches("the old peer", old, transport.Failed)
	t.pause(t.short())
	if waiting.finished() || client.State() != transport.Connected {
		t.Errorf("the end of an old connection made the new one %s", client.State())
	}
	t.usable(client, current)
}
