package transporttest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aip-go/aip/transport"
)

func closeTests() []subtest {
	return []subtest{
		{name: "clean close", run: testCleanClose},
		{name: "close is idempotent", run: testCloseAgain},
		{name: "close from both sides", run: testCloseBoth},
		{name: "close unblocks", run: testCloseUnblocks},
		{name: "close with full queues", timing: true, run: testCloseFull},
		{name: "close delivers", run: testCloseDelivers},
		{name: "close keeps what arrived", timing: true, run: testCloseKeeps},
		{name: "close codes", needs: Codes, run: testCloseCodes},
		{name: "close reason", needs: Codes, run: testCloseReason},
		{name: "invalid close code", needs: Codes, run: testInvalidCode},
	}
}

// testCleanClose: both sides can tell a clean close, and who asked for it.
func testCleanClose(t *trial) {
	near, far := t.pair()
	t.usable(near, far)
	if err := near.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	for range 3 {
		_, err := near.Receive(t.ctx)
		t.is("Receive after Close", err, net.ErrClosed, transport.ErrClosed)
		t.isNot("Receive after Close", err, io.EOF, io.ErrUnexpectedEOF)
		t.closedBy("Receive after Close", err, transport.StatusNormal, false)

		_, err = far.Receive(t.ctx)
		t.is("Receive after the peer's Close", err, io.EOF)
		t.isNot("Receive after the peer's Close", err, io.ErrUnexpectedEOF, net.ErrClosed)
		t.closedBy("Receive after the peer's Close", err, transport.StatusNormal, true)
	}
	for _, side := range []transport.Transport{near, far} {
		t.reaches("a side", side, transport.Disconnected)
		if err := side.WaitClosed(t.ctx); err != nil {
			t.Errorf("WaitClosed after a clean close: %v", err)
		}
		if side.IsConnected() {
			t.Error("connected after the close")
		}
		err := side.Send(t.ctx, []byte("too late"))
		if err == nil {
			t.Error("Send after the close succeeded")
		}
		t.outcome(err, transport.NotSent)
	}
}

// testCloseAgain: Close may be called again, and by many at once; all of them
// wait for the end.
func testCloseAgain(t *trial) {
	near, far := t.pair()
	var closing []*future[struct{}]
	for range 8 {
		closing = append(closing, call(func() error {
			err := near.Close()
			if state := near.State(); err == nil && state != transport.Disconnected {
				err = fmt.Errorf("the state is %s when Close returns", state)
			}
			return err
		}))
	}
	for _, c := range closing {
		if _, err := returns(t, "Close", c); err != nil {
			t.Errorf("concurrent Close: %v", err)
		}
	}
	for range 3 {
		if err := near.Close(); err != nil {
			t.Errorf("Close again: %v", err)
		}
	}
	t.reaches("the peer", far, transport.Disconnected)
	if err := far.Close(); err != nil {
		t.Errorf("Close after the peer's: %v", err)
	}
	_, err := far.Receive(t.ctx)
	t.is("Receive after the peer's Close and one's own", err, io.EOF)
}

// testCloseBoth: when both sides close at once, both see a clean close.
func testCloseBoth(t *trial) {
	t.start()
	for range 10 {
		near, far := t.another()
		start := time.Now()
		a, b := call(near.Close), call(far.Close)
		for _, closing := range []*future[struct{}]{a, b} {
			if _, err := returns(t, "Close", closing); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		t.took("Close from both sides", start, t.near().CloseTimeout/2)
		for _, side := range []transport.Transport{near, far} {
			if err := side.WaitClosed(t.ctx); err != nil {
				t.Errorf("WaitClosed: %v", err)
			}
			t.reaches("a side", side, transport.Disconnected)
			_, err := side.Receive(t.ctx)
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				t.Errorf("Receive: %v; want the peer's clean close or one's own", err)
			}
		}
	}
}

// testCloseUnblocks: Close ends the calls that wait, on both sides.
func testCloseUnblocks(t *trial) {
	near, far := t.pair()
	receiving := async(func() ([]byte, error) { return near.Receive(t.ctx) })
	waiting := call(func() error { return near.WaitClosed(t.ctx) })
	farReceiving := async(func() ([]byte, error) { return far.Receive(t.ctx) })
	farWaiting := call(func() error { return far.WaitClosed(t.ctx) })
	t.pause(t.short())
	if receiving.finished() || waiting.finished() {
		t.Fatal("Receive or WaitClosed returned on an open connection")
	}
	start := time.Now()
	if err := near.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	t.took("Close", start, t.near().CloseTimeout/2)

	_, err := returns(t, "Receive", receiving)
	t.is("Receive", err, net.ErrClosed)
	if _, err := returns(t, "WaitClosed", waiting); err != nil {
		t.Errorf("WaitClosed: %v", err)
	}
	_, err = returns(t, "the peer's Receive", farReceiving)
	t.is("the peer's Receive", err, io.EOF)
	if _, err := returns(t, "the peer's WaitClosed", farWaiting); err != nil {
		t.Errorf("the peer's WaitClosed: %v", err)
	}
}

// testCloseFull: Close is bounded when the peer takes nothing in, and ends the
// sends that wait.
func testCloseFull(t *trial) {
	near, far := t.pair()
	sent := 0
	sending := call(func() error {
		for {
			if err := near.Send(t.ctx, []byte(text(fmt.Sprintf("%d ", sent), 4000))); err != nil {
				return err
			}
			sent++
		}
	})
	t.settle()
	queued := call(func() error { return near.Send(t.ctx, []byte(text("queued ", 4000))) })
	t.settle()
	if sending.finished() || queued.finished() {
		t.Fatal("Send does not wait although nobody receives")
	}
	start := time.Now()
	_ = near.Close() // The handshake may have failed.
	t.took("Close", start, t.near().CloseTimeout)
	t.reaches("the closing side", near, transport.Disconnected)
	for _, send := range []*future[struct{}]{sending, queued} {
		_, err := returns(t, "Send", send)
		t.is("Send", err, net.ErrClosed)
		if transport.OutcomeOf(err) == transport.Sent {
			t.Error("an interrupted Send succeeded")
		}
	}
	_, err := near.Receive(t.ctx)
	t.is("Receive", err, net.ErrClosed)

	// The peer has a beginning of what was sent, and an end.
	for i := 0; ; i++ {
		got, err := far.Receive(t.ctx)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the peer's Receive: %v", err)
			}
			break
		}
		if want := text(fmt.Sprintf("%d ", i), 4000); string(got) != want {
			t.Fatalf("received %s, want %s", brief(string(got)), brief(want))
		}
	}
}

// testCloseDelivers: what was sent before a Close arrives.
func testCloseDelivers(t *trial) {
	near, far := t.pair()
	const n = 50
	for i := range n {
		t.send(near, text(fmt.Sprintf("message %d ", i), 200))
	}
	closing := call(near.Close)
	for i := range n {
		t.receive(far, text(fmt.Sprintf("message %d ", i), 200))
	}
	_, err := far.Receive(t.ctx)
	t.is("Receive after the last message", err, io.EOF)
	if _, err := returns(t, "Close", closing); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// testCloseKeeps: what has arrived before a Close, by either side, can still be
// received.
func testCloseKeeps(t *trial) {
	t.start()
	for _, who := range []string{"this side", "the peer"} {
		near, far := t.another()
		t.send(far, "one")
		t.send(far, "two")
		t.settle()
		closer, want := near, net.ErrClosed
		if who == "the peer" {
			closer, want = far, io.EOF
		}
		if err := closer.Close(); err != nil {
			t.Errorf("Close by %s: %v", who, err)
		}
		t.reaches("the receiver", near, transport.Disconnected)
		t.receive(near, "one")
		t.receive(near, "two")
		_, err := near.Receive(t.ctx)
		t.is("Receive after Close by "+who, err, want)
	}
}

// testCloseCodes: the peer gets the code and the reason.
func testCloseCodes(t *trial) {
	t.start()
	for _, test := range []struct {
		code      transport.StatusCode
		clean     bool
		retryable bool
	}{
		{transport.StatusNormal, true, true},
		{transport.StatusGoingAway, true, true},
		{transport.StatusPolicyViolation, false, false},
		{transport.StatusInternalError, false, true},
		{transport.StatusServiceRestart, false, true},
		{3000, false, true},
		{4999, false, true},
	} {
		near, far := t.another()
		what := fmt.Sprintf("close with %s", test.code)
		if err := feature[transport.CodeCloser](t, near).CloseWith(test.code, "a reason"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		_, err := near.Receive(t.ctx)
		t.closedBy(what+": Receive", err, test.code, false)
		t.is(what+": Receive", err, net.ErrClosed)
		if err := near.WaitClosed(t.ctx); err != nil {
			t.Errorf("%s: WaitClosed of the side that closed: %v", what, err)
		}

		_, err = far.Receive(t.ctx)
		t.closedBy(what+": the peer's Receive", err, test.code, true)
		var end *transport.CloseError
		if errors.As(err, &end) && end.Reason != "a reason" {
			t.Errorf("%s: the reason is %q", what, end.Reason)
		}
		if errors.Is(err, io.EOF) != test.clean {
			t.Errorf("%s: the peer's Receive: %v matches io.EOF: %v", what, err, !test.clean)
		}
		if got := transport.Retryable(err); got != test.retryable {
			t.Errorf("%s: retryable: %v", what, got)
		}
		err = far.WaitClosed(t.ctx)
		if test.clean && err != nil {
			t.Errorf("%s: the peer's WaitClosed: %v", what, err)
		}
		if !test.clean {
			t.closedBy(what+": the peer's WaitClosed", err, test.code, true)
		}
		t.reaches("the closing side", near, transport.Disconnected)
		t.reaches("the peer", far, transport.Disconnected)
	}
}

// testCloseReason: a long reason is cut at a character, not refused.
func testCloseReason(t *trial) {
	t.start()
	for _, test := range []struct{ reason, want string }{
		{"", ""},
		{strings.Repeat("x", 123), strings.Repeat("x", 123)},
		{strings.Repeat("x", 124), strings.Repeat("x", 123)},
		{strings.Repeat("é", 62), strings.Repeat("é", 61)},
		{strings.Repeat("€", 100), strings.Repeat("€", 41)},
	} {
		near, far := t.another()
		if err := feature[transport.CodeCloser](t, near).CloseWith(transport.StatusGoingAway, test.reason); err != nil {
			t.Errorf("a reason of %d bytes: %v", len(test.reason), err)
		}
		_, err := far.Receive(t.ctx)
		var end *transport.CloseError
		if !errors.As(err, &end) || end.Code != transport.StatusGoingAway || end.Reason != test.want || !utf8.ValidString(end.Reason) {
			t.Errorf("a reason of %d bytes: %v; want one of %d bytes", len(test.reason), err, len(test.want))
		}
	}
}

// testInvalidCode: a code that may not be sent closes nothing.
func testInvalidCode(t *trial) {
	near, far := t.pair()
	closer := feature[transport.CodeCloser](t, near)
	for _, code := range []transport.StatusCode{0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, -1} {
		t.is(fmt.Sprintf("CloseWith(%d)", int(code)), closer.CloseWith(code, ""), transport.ErrInvalidStatusCode)
	}
	t.usable(near, far)
}
