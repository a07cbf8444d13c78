package transporttest

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/aip-go/aip/transport"
)

func connectTests() []subtest {
	return []subtest{
		{name: "features", once: true, run: testFeatures},
		{name: "not connected", once: true, run: testNotConnected},
		{name: "connect", once: true, run: testConnect},
		{name: "connect twice", run: testConnectTwice},
		{name: "concurrent connects", once: true, run: testConcurrentConnects},
		{name: "refused connect", once: true, run: testRefused},
		{name: "invalid URL", once: true, run: testInvalidURL},
		{name: "cancelled connect", once: true, run: testCancelledConnect},
		{name: "connect deadline", once: true, run: testConnectDeadline},
		{name: "close while connecting", once: true, run: testCloseConnecting},
		{name: "abort while connecting", once: true, needs: Aborts, run: testAbortConnecting},
	}
}

// testFeatures: the harness declares what there is, on both sides.
func testFeatures(t *trial) {
	near, far := t.pair()
	for who, side := range map[string]transport.Transport{"client": near, "server": far} {
		for _, f := range []struct {
			name string
			bit  Features
			err  error
		}{
			{"Frames", Frames, find[transport.FrameTransport](side)},
			{"Streams", Streams, find[transport.StreamTransport](side)},
			{"Pings", Pings, find[transport.Pinger](side)},
			{"Aborts", Aborts, find[transport.Aborter](side)},
			{"Codes", Codes, find[transport.CodeCloser](side)},
			{"StateWaits", StateWaits, find[transport.StateWaiter](side)},
			{"Resets", Resets, find[transport.Resetter](side)},
			{"ReadLimits", ReadLimits, find[transport.ReadLimiter](side)},
			{"Backlogs", Backlogs, find[transport.Backlogger](side)},
			{"CloseNotices", CloseNotices, find[transport.CloseNotifier](side)},
		} {
			switch declared := t.harness.Features&f.bit != 0; {
			case declared && f.err != nil:
				t.Errorf("the %s has not the declared %s: %v", who, f.name, f.err)
			case !declared && f.err == nil:
				t.Errorf("the %s has %s; declare it", who, f.name)
			}
		}
	}
}

// find returns an error unless t has the optional interface T.
func find[T any](t transport.Transport) error {
	_, err := transport.As[T](t)
	return err
}

// testNotConnected: a new transport is disconnected and says so.
func testNotConnected(t *trial) {
	t.start()
	c := t.client()
	if c.State() != transport.Disconnected || c.IsConnected() {
		t.Errorf("a new transport is %s, connected: %v", c.State(), c.IsConnected())
	}
	err := c.Send(t.ctx, []byte("too early"))
	t.is("Send", err, transport.ErrNotConnected)
	t.outcome(err, transport.NotSent)
	_, err = c.Receive(t.ctx)
	t.is("Receive", err, transport.ErrNotConnected)
	if err := c.WaitClosed(t.ctx); err != nil {
		t.Errorf("WaitClosed: %v", err)
	}
	t.notConnectedFeatures(c)
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if c.State() != transport.Disconnected {
		t.Errorf("%s after calls that change nothing", c.State())
	}
	t.usable(c, t.connect(c))
}

func (t *trial) notConnectedFeatures(c transport.Transport) {
	t.Helper()
	has := func(f Features) bool { return t.harness.Features&f != 0 }
	if has(Frames) {
		frames := feature[transport.FrameTransport](t, c)
		err := frames.SendFrames(t.ctx, transport.Frame{Kind: transport.Binary})
		t.is("SendFrames", err, transport.ErrNotConnected)
		t.outcome(err, transport.NotSent)
		_, err = frames.ReceiveFrame(t.ctx)
		t.is("ReceiveFrame", err, transport.ErrNotConnected)
	}
	if has(Streams) {
		streams := feature[transport.StreamTransport](t, c)
		err := streams.SendStream(t.ctx, transport.Text, strings.NewReader("too early"))
		t.is("SendStream", err, transport.ErrNotConnected)
		t.outcome(err, transport.NotSent)
		_, _, err = streams.ReceiveStream(t.ctx)
		t.is("ReceiveStream", err, transport.ErrNotConnected)
	}
	if has(Pings) {
		t.is("Ping", feature[transport.Pinger](t, c).Ping(t.ctx), transport.ErrNotConnected)
	}
	if has(Aborts) {
		feature[transport.Aborter](t, c).Abort(errors.New("nothing to abort"))
	}
	if has(Codes) {
		if err := feature[transport.CodeCloser](t, c).CloseWith(transport.StatusGoingAway, ""); err != nil {
			t.Errorf("CloseWith: %v", err)
		}
	}
	if has(Resets) {
		if err := feature[transport.Resetter](t, c).Reset(); err != nil {
			t.Errorf("Reset: %v", err)
		}
	}
	if has(Backlogs) {
		if b := feature[transport.Backlogger](t, c).Backlog(); b != (transport.Backlog{}) {
			t.Errorf("Backlog: %+v", b)
		}
	}
}

// testConnect: after Connect, both sides are connected and messages pass.
func testConnect(t *trial) {
	client, server := t.pair()
	for _, side := range []transport.Transport{client, server} {
		if side.State() != transport.Connected || !side.IsConnected() {
			t.Errorf("a connected side is %s, connected: %v", side.State(), side.IsConnected())
		}
	}
	t.usable(client, server)
}

// testConnectTwice: a connected transport refuses to connect, unharmed.
func testConnectTwice(t *trial) {
	near, far := t.pair()
	err := near.Connect(t.ctx, t.endpoint.URL)
	t.is("Connect when connected", err, transport.ErrAlreadyConnected)
	if transport.Retryable(err) {
		t.Errorf("%v is retryable", err)
	}
	t.usable(near, far)
}

// testConcurrentConnects: one of many Connects at a time wins.
func testConcurrentConnects(t *trial) {
	t.start()
	client := t.client()
	accepting := async(func() (transport.Transport, error) { return t.endpoint.Accept(t.ctx) })
	var connecting []*future[struct{}]
	for range 8 {
		connecting = append(connecting, call(func() error { return client.Connect(t.ctx, t.endpoint.URL) }))
	}
	won := 0
	for _, c := range connecting {
		if _, err := returns(t, "Connect", c); err == nil {
			won++
		} else {
			t.is("one of several Connects", err, transport.ErrAlreadyConnected)
		}
	}
	if won != 1 {
		t.Fatalf("%d of %d concurrent Connects succeeded, want 1", won, len(connecting))
	}
	server, err := returns(t, "Accept", accepting)
	if err != nil {
		t.Fatalf("Accept: %v", err)
	}
	t.Cleanup(func() { _ = server.Close() })
	t.usable(client, server)
}

// failed checks what a failed Connect leaves behind, and that a reset helps.
func (t *trial) failed(client transport.Transport, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("Connect succeeded")
	}
	var typed *transport.Error
	if !errors.As(err, &typed) || typed.Op != "connect" {
		t.Errorf("Connect: %v; want a transport.Error of connect", err)
	}
	if client.State() != transport.Failed || client.IsConnected() {
		t.Errorf("after a failed Connect the state is %s", client.State())
	}
	t.outcome(client.Send(t.ctx, []byte("no connection")), transport.NotSent)
	if err := client.Close(); err != nil {
		t.Errorf("Close after a failed Connect: %v", err)
	}
	var transition *transport.TransitionError
	if err := client.Connect(t.ctx, t.endpoint.URL); !errors.As(err, &transition) {
		t.Errorf("Connect after a failed Connect: %v; want a TransitionError", err)
	}
	if client.State() != transport.Failed {
		t.Errorf("%s after calls that change nothing", client.State())
	}
	if t.harness.Features&Resets == 0 {
		return
	}
	if err := feature[transport.Resetter](t, client).Reset(); err != nil {
		t.Errorf("Reset: %v", err)
	}
	if client.State() != transport.Disconnected {
		t.Errorf("%s after Reset", client.State())
	}
	t.usable(client, t.connect(client))
}

// testRefused: a refused connection is an error that is worth a retry and
// tells no secrets.
func testRefused(t *trial) {
	t.start()
	client := t.client()
	err := client.Connect(t.ctx, t.endpoint.RefusedURL+"?token=hunter2")
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error holds a credential: %v", err)
	}
	if !transport.Retryable(err) {
		t.Errorf("%v is not retryable", err)
	}
	t.failed(client, err)
}

// testInvalidURL: what is not a URL will never be one.
func testInvalidURL(t *trial) {
	t.start()
	client := t.client()
	err := client.Connect(t.ctx, "::not a URL?token=hunter2")
	t.is("Connect", err, transport.ErrInvalidURL)
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error holds a credential: %v", err)
	}
	if transport.Retryable(err) {
		t.Errorf("%v is retryable", err)
	}
	t.failed(client, err)
}

// testCancelledConnect: a context that has ended, or ends, ends Connect.
func testCancelledConnect(t *trial) {
	t.start()
	ctx, cancel := context.WithCancel(t.ctx)
	client := t.client()
	connecting := call(func() error { return client.Connect(ctx, t.endpoint.SilentURL) })
	t.reaches("the client", client, transport.Connecting)
	t.pause(t.short())
	if connecting.finished() {
		t.Error("Connect returned although nobody answers")
	}
	start := time.Now()
	cancel()
	_, err := returns(t, "Connect", connecting)
	t.took("Connect", start, 0)
	t.is("Connect", err, context.Canceled)
	t.failed(client, err)

	client = t.client()
	err = client.Connect(ctx, t.endpoint.URL)
	t.is("Connect with a cancelled context", err, context.Canceled)
	t.failed(client, err)
}

// testConnectDeadline: Connect returns when its time is over.
func testConnectDeadline(t *trial) {
	t.start()
	client := t.client()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.ctx, t.short())
	defer cancel()
	err := client.Connect(ctx, t.endpoint.SilentURL)
	t.took("Connect", start, t.short())
	t.is("Connect", err, context.DeadlineExceeded)
	t.failed(client, err)
}

// testCloseConnecting: Close ends a Connect that is running, and another one
// does not disturb it.
func testCloseConnecting(t *trial) {
	t.start()
	client := t.client()
	connecting := call(func() error { return client.Connect(t.ctx, t.endpoint.SilentURL) })
	t.reaches("the client", client, transport.Connecting)
	t.is("Connect when connecting", client.Connect(t.ctx, t.endpoint.URL), transport.ErrAlreadyConnected)
	t.outcome(client.Send(t.ctx, []byte("too early")), transport.NotSent)
	if connecting.finished() || client.IsConnected() {
		t.Error("calls during Connect have changed something")
	}
	start := time.Now()
	if err := client.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	t.took("Close", start, 0)
	_, err := returns(t, "Connect", connecting)
	t.is("Connect", err, net.ErrClosed)
	t.failed(client, err)
}

// testAbortConnecting: Abort ends a Connect that is running, with its cause.
func testAbortConnecting(t *trial) {
	t.start()
	client := t.client()
	connecting := call(func() error { return client.Connect(t.ctx, t.endpoint.SilentURL) })
	t.reaches("the client", client, transport.Connecting)
	cause := errors.New("the cause")
	feature[transport.Aborter](t, client).Abort(cause)
	_, err := returns(t, "Connect", connecting)
	t.is("Connect", err, cause)
	t.failed(client, err)
}
