package transporttest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aip-go/aip/transport"
)

// text returns a text of n bytes that names itself.
func text(name string, n int) string {
	if n <= len(name) {
		return name[:n]
	}
	return name + strings.Repeat(".", n-len(name)-1) + "!"
}

// brief returns the message, or what it takes to recognise a long one.
func brief(message string) string {
	if len(message) <= 64 {
		return fmt.Sprintf("%q", message)
	}
	return fmt.Sprintf("%d bytes %q…%q", len(message), message[:32], message[len(message)-8:])
}

func messageTests() []subtest {
	return []subtest{
		{name: "order", run: testOrder},
		{name: "empty message", run: testEmpty},
		{name: "text and binary", needs: Frames, run: testKinds},
		{name: "wrong kind", needs: Frames, run: testWrongKind},
		{name: "invalid UTF-8", run: testInvalidUTF8},
		{name: "size limit on send", set: smallNear, run: testSendLimit},
		{name: "size limit on receive", set: smallNear, run: testReceiveLimit},
	}
}

// testOrder: messages arrive complete and in order, both ways at once, and
// neither side keeps the other's hands on its bytes.
func testOrder(t *trial) {
	near, far := t.pair()
	const n = 300
	send := func(from transport.Transport, name string) *future[struct{}] {
		return call(func() error {
			buffer := make([]byte, 0, 4096)
			for i := range n {
				buffer = append(buffer[:0], text(fmt.Sprintf("%s %d ", name, i), 20+i*13)...)
				if err := from.Send(t.ctx, buffer); err != nil {
					return err
				}
				clear(buffer)
			}
			return nil
		})
	}
	receive := func(at transport.Transport, name string) *future[struct{}] {
		return call(func() error {
			var last []byte
			for i := range n {
				got, err := at.Receive(t.ctx)
				if err != nil {
					return err
				}
				clear(last)
				last = got
				if want := text(fmt.Sprintf("%s %d ", name, i), 20+i*13); string(got) != want {
					return fmt.Errorf("received %s, want %s", brief(string(got)), brief(want))
				}
			}
			return nil
		})
	}
	for _, r := range []*future[struct{}]{
		send(near, "near"), send(far, "far"), receive(near, "far"), receive(far, "near"),
	} {
		if _, err := r.wait(); err != nil {
			t.Error(err)
		}
	}
}

// testEmpty: a message of no bytes is a message.
func testEmpty(t *trial) {
	near, far := t.pair()
	t.send(near, "")
	t.send(near, "after")
	t.receive(far, "")
	t.receive(far, "after")
	if t.harness.Features&Frames == 0 {
		return
	}
	t.sendFrames(near, transport.Frame{Kind: transport.Binary}, transport.Frame{Kind: transport.Text})
	t.receiveFrame(far, transport.Binary, "")
	t.receiveFrame(far, transport.Text, "")
	t.usable(near, far)
}

// testKinds: text and binary messages keep their kind and their order, and
// binary ones may hold any bytes.
func testKinds(t *trial) {
	near, far := t.pair()
	binary := "\x00\xff\xfe binary"
	t.send(near, "one")
	t.sendFrames(near, transport.Frame{Kind: transport.Binary, Data: []byte(binary)})
	t.sendFrames(near, transport.Frame{Kind: transport.Text, Data: []byte("two")}, transport.Frame{Kind: transport.Binary, Data: []byte("three")})
	t.receiveFrame(far, transport.Text, "one")
	t.receiveFrame(far, transport.Binary, binary)
	t.receive(far, "two")
	t.receiveFrame(far, transport.Binary, "three")

	if err := feature[transport.FrameTransport](t, near).SendFrames(t.ctx); err != nil {
		t.Errorf("SendFrames without frames: %v", err)
	}
	t.usable(near, far)
}

// testWrongKind: Receive reports a binary message, with its bytes, and goes on.
func testWrongKind(t *trial) {
	near, far := t.pair()
	t.sendFrames(near, transport.Frame{Kind: transport.Binary, Data: []byte("\xffdata")})
	t.send(near, "text")
	_, err := far.Receive(t.ctx)
	t.is("Receive of a binary message", err, transport.ErrFrameType)
	var kind *transport.FrameTypeError
	switch {
	case !errors.As(err, &kind):
		t.Errorf("Receive of a binary message: %v; want a FrameTypeError", err)
	case kind.Want != transport.Text || kind.Got != transport.Binary || string(kind.Data) != "\xffdata":
		t.Errorf("Receive of a binary message: %+v", kind)
	}
	t.receive(far, "text")
	t.usable(near, far)
}

// testInvalidUTF8: a text message must be UTF-8, and nothing is sent if not.
func testInvalidUTF8(t *trial) {
	near, far := t.pair()
	for _, bad := range []string{"\xff", "cut \xe2\x82", "\xed\xa0\x80"} {
		err := near.Send(t.ctx, []byte(bad))
		t.is("Send of invalid UTF-8", err, transport.ErrInvalidUTF8)
		t.outcome(err, transport.NotSent)
	}
	if t.harness.Features&Frames != 0 {
		err := feature[transport.FrameTransport](t, near).SendFrames(t.ctx,
			transport.Frame{Kind: transport.Text, Data: []byte("fine")},
			transport.Frame{Kind: transport.Text, Data: []byte("\xff")})
		t.is("SendFrames with invalid UTF-8", err, transport.ErrInvalidUTF8)
		t.outcome(err, transport.NotSent)
	}
	t.usable(near, far)
}

const smallLimit = 1000

// smallNear lets the near side handle small messages only.
func smallNear(near, _ *Settings) { near.MaxMessageSize = smallLimit }

// testSendLimit: a message over the limit is refused; one at the limit is not.
func testSendLimit(t *trial) {
	near, far := t.pair()
	for _, size := range []int{smallLimit - 1, smallLimit} {
		t.send(near, text("fits", size))
		t.receive(far, text("fits", size))
	}
	err := near.Send(t.ctx, []byte(text("too long", smallLimit+1)))
	t.is("Send over the limit", err, transport.ErrMessageTooLarge)
	t.outcome(err, transport.NotSent)
	if transport.Retryable(err) {
		t.Errorf("%v is retryable", err)
	}
	if t.harness.Features&Frames != 0 {
		err := feature[transport.FrameTransport](t, near).SendFrames(t.ctx,
			transport.Frame{Kind: transport.Text, Data: []byte("fits")},
			transport.Frame{Kind: transport.Binary, Data: []byte(text("too long", smallLimit+1))})
		t.is("SendFrames over the limit", err, transport.ErrMessageTooLarge)
		t.outcome(err, transport.NotSent)
	}
	t.usable(near, far)
}

// testReceiveLimit: a message over the limit ends the connection with 1009,
// after what came before it.
func testReceiveLimit(t *trial) {
	near, far := t.pair()
	for _, size := range []int{smallLimit - 1, smallLimit, smallLimit + 1} {
		t.send(far, text("message", size))
	}
	t.receive(near, text("message", smallLimit-1))
	t.receive(near, text("message", smallLimit))
	_, err := near.Receive(t.ctx)
	t.is("Receive over the limit", err, transport.ErrMessageTooLarge)
	t.closedBy("Receive over the limit", err, transport.StatusMessageTooBig, false)
	if transport.Retryable(err) {
		t.Errorf("%v is retryable", err)
	}
	t.reaches("the receiver", near, transport.Failed)
	t.is("WaitClosed of the receiver", near.WaitClosed(t.ctx), transport.ErrMessageTooLarge)

	_, err = far.Receive(t.ctx)
	t.closedBy("Receive of the sender", err, transport.StatusMessageTooBig, true)
	err = far.WaitClosed(t.ctx)
	t.closedBy("WaitClosed of the sender", err, transport.StatusMessageTooBig, true)
	t.reaches("the sender", far, transport.Disconnected)
}

// closedBy checks that an error tells the end of the connection.
func (t *trial) closedBy(what string, err error, code transport.StatusCode, remote bool) {
	t.Helper()
	var end *transport.CloseError
	if !errors.As(err, &end) {
		t.Errorf("%s: %v; want a CloseError", what, err)
		return
	}
	if end.Code != code || end.Remote != remote {
		t.Errorf("%s: code %s, remote %v; want %s, %v", what, end.Code, end.Remote, code, remote)
	}
}

// sendFrames sends frames that must get through.
func (t *trial) sendFrames(from transport.Transport, frames ...transport.Frame) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, t.patience())
	defer cancel()
	if err := feature[transport.FrameTransport](t, from).SendFrames(ctx, frames...); err != nil {
		t.Fatalf("SendFrames: %v", err)
	}
}

// receiveFrame receives a message that must be the given one.
func (t *trial) receiveFrame(at transport.Transport, kind transport.Kind, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, t.patience())
	defer cancel()
	got, err := feature[transport.FrameTransport](t, at).ReceiveFrame(ctx)
	if err != nil {
		t.Fatalf("ReceiveFrame: %v; want %s", err, brief(want))
	}
	if got.Kind != kind || string(got.Data) != want {
		t.Fatalf("received %s %s, want %s %s", got.Kind, brief(string(got.Data)), kind, brief(want))
	}
}
