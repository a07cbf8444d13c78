package transporttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aip-go/aip/transport"
)

func contextTests() []subtest {
	return []subtest{
		{name: "context of Connect", run: testConnectContext},
		{name: "cancelled sends", run: func(t *trial) { testCancelledSends(t, 4<<10) }},
		{name: "cancelled large sends", run: func(t *trial) { testCancelledSends(t, 300<<10) }},
		{name: "cancelled receives", run: testCancelledReceives},
	}
}

// testConnectContext: the contexts of Connect and Accept end with the calls, and
// the connection does not.
func testConnectContext(t *trial) {
	near, far := t.pair() // It has ended both contexts.
	receiving := async(func() ([]byte, error) { return near.Receive(t.ctx) })
	t.pause(t.short())
	t.send(far, "hello")
	if got, err := receiving.wait(); err != nil || string(got) != "hello" {
		t.Fatalf("received %q, %v", got, err)
	}
	t.usable(near, far)
}

// attempt is a send that may have failed.
type attempt struct {
	message string
	err     error
}

// testCancelledSends: sends whose context ends harm neither the connection nor
// other messages, and tell the truth about their own.
func testCancelledSends(t *trial, size int) {
	near, far := t.pair()
	cancelled, cancel := context.WithCancel(t.ctx)
	cancel()
	for i := range 200 {
		err := near.Send(cancelled, []byte(fmt.Sprintf("never %d", i)))
		t.is("Send with a cancelled context", err, context.Canceled)
		t.outcome(err, transport.NotSent)
	}
	t.usable(near, far)

	// Nobody receives, until sends wait.
	attempts := []attempt{t.attempt(t.ctx, near, "first", size)}
	for full := false; !full; {
		ctx, cancel := context.WithTimeout(t.ctx, t.short())
		a := t.attempt(ctx, near, fmt.Sprintf("fill %d", len(attempts)), size)
		cancel()
		full = a.err != nil
		attempts = append(attempts, a)
		if len(attempts) > 100_000 {
			t.Fatal("sends never wait although nobody receives")
		}
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.short())
	var sending []*future[attempt]
	for i := range 200 {
		sending = append(sending, async(func() (attempt, error) {
			return t.attempt(ctx, near, fmt.Sprintf("queued %d", i), size), nil
		}))
	}
	for _, s := range sending {
		a, _ := s.wait()
		attempts = append(attempts, a)
	}
	cancel()

	// What was not refused arrives, once and intact, and nothing else does.
	last := call(func() error { return near.Send(t.ctx, []byte("last")) })
	arrived := t.collect(far, "last")
	if _, err := last.wait(); err != nil {
		t.Errorf("Send after cancelled sends: %v", err)
	}
	for _, a := range attempts {
		n := arrived[a.message]
		delete(arrived, a.message)
		if a.err != nil && !errors.Is(a.err, context.DeadlineExceeded) {
			t.Errorf("Send when its context has ended: %v", a.err)
		}
		t.accounted(a, n, true)
	}
	for message := range arrived {
		t.Errorf("%s arrived and was never sent", brief(message))
	}
	t.usable(near, far)
}

// attempt sends a message and overwrites the bytes at once afterwards.
func (t *trial) attempt(ctx context.Context, from transport.Transport, name string, size int) attempt {
	message := text(name+" ", size)
	buffer := []byte(message)
	err := from.Send(ctx, buffer)
	copy(buffer, strings.Repeat("overwritten ", 1+size/12))
	return attempt{message: message, err: err}
}

// accounted checks that a message arrived as often as its send lets expect.
// While the connection lives, what may have been sent arrives too.
func (t *trial) accounted(a attempt, arrived int, lives bool) {
	t.Helper()
	outcome := transport.OutcomeOf(a.err)
	least, most := 1, 1
	switch {
	case outcome == transport.NotSent:
		least, most = 0, 0
	case outcome == transport.MaybeSent && !lives:
		least = 0
	}
	if arrived < least || arrived > most {
		t.Errorf("%s arrived %d times although its send said %v", brief(a.message), arrived, a.err)
	}
}

// collect receives until the last message has come and counts the others.
func (t *trial) collect(at transport.Transport, last string) map[string]int {
	t.Helper()
	arrived := make(map[string]int)
	for {
		ctx, cancel := context.WithTimeout(t.ctx, t.patience())
		got, err := at.Receive(ctx)
		cancel()
		if err != nil {
			t.Fatalf("Receive: %v", err)
		}
		if string(got) == last {
			return arrived
		}
		arrived[string(got)]++
	}
}

// testCancelledReceives: a receive whose context ends loses no message.
func testCancelledReceives(t *trial) {
	near, far := t.pair()
	cancelled, cancel := context.WithCancel(t.ctx)
	cancel()
	for range 50 {
		_, err := near.Receive(cancelled)
		t.is("Receive with a cancelled context", err, context.Canceled)
	}
	for range 3 {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.ctx, t.short())
		_, err := near.Receive(ctx)
		cancel()
		t.is("Receive after its deadline", err, context.DeadlineExceeded)
		t.took("Receive", start, t.short())
	}
	// A message that is there already, and one that comes at the same moment.
	t.send(far, "waiting")
	t.pause(t.short())
	if got, err := near.Receive(cancelled); err == nil {
		if string(got) != "waiting" {
			t.Fatalf("received %q, want %q", got, "waiting")
		}
	} else {
		t.receive(near, "waiting")
	}
	for i := range 300 {
		want := text(fmt.Sprintf("message %d ", i), 30)
		ctx, cancel := context.WithCancel(t.ctx)
		receiving := async(func() ([]byte, error) { return near.Receive(ctx) })
		cancelling := call(func() error { cancel(); return nil })
		t.send(far, want)
		got, err := receiving.wait()
		_, _ = cancelling.wait() // It cannot fail.
		switch {
		case err == nil && string(got) != want:
			t.Fatalf("received %q, want %q", got, want)
		case err != nil:
			t.is("Receive", err, context.Canceled)
			t.receive(near, want)
		}
	}
	t.usable(near, far)
}

// took checks that no more than limit has passed since start, on a clock that
// is exact.
func (t *trial) took(what string, start time.Time, limit time.Duration) {
	t.Helper()
	if took := time.Since(start); took > limit && t.harness.Carrier != Sockets {
		t.Errorf("%s took %v, want at most %v", what, took, limit)
	}
}
