package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aip-go/aip/transport"
)

func streamTests() []subtest {
	return []subtest{
		{name: "large stream", needs: Streams, set: allowLarge, run: testLargeStream},
		{name: "stream and message", needs: Streams, run: testStreamAndMessage},
		{name: "stream of UTF-8", needs: Streams, run: testStreamUTF8},
		{name: "stream not read", needs: Streams, run: testStreamNotRead},
		{name: "concurrent streams", needs: Streams, run: testConcurrentStreams},
		{name: "stream waits its turn", needs: Streams, run: testStreamTurn},
		{name: "cancelled receive of a stream", needs: Streams, run: testCancelledPart},
		{name: "broken source", needs: Streams, run: testBrokenSource},
		{name: "interrupted stream", needs: Streams | Aborts, run: testInterruptedStream},
		{name: "stream limit on send", needs: Streams, set: smallNear, run: testStreamSendLimit},
		{name: "stream limit on receive", needs: Streams, set: smallNear, run: testStreamReceiveLimit},
	}
}

// source yields n bytes of a text and counts them.
type source struct {
	n       int64
	yielded atomic.Int64
}

// at returns byte i of every source.
func at(i int64) byte { return 'a' + byte((i+i>>8+i>>16)%26) }

func (s *source) Read(p []byte) (int, error) {
	done := s.yielded.Load()
	if done == s.n {
		return 0, io.EOF
	}
	n := min(int64(len(p)), s.n-done)
	for i := range n {
		p[i] = at(done + i)
	}
	s.yielded.Store(done + n)
	return int(n), nil
}

// sinks checks that p is what a source yields from offset on.
func sinks(p []byte, offset int64) error {
	for i, c := range p {
		if c != at(offset+int64(i)) {
			return fmt.Errorf("byte %d of the stream is wrong", offset+int64(i))
		}
	}
	return nil
}

const (
	largeStream = 16 << 20
	// largeLead is how much of it may be underway: far more than the queues of
	// both sides and of the network together hold, far less than all.
	largeLead = 2 << 20
)

func allowLarge(near, far *Settings) {
	near.MaxMessageSize, far.MaxMessageSize = largeStream, largeStream
}

// testLargeStream: a stream passes whole, and in memory that does not depend
// on its length.
func testLargeStream(t *trial) {
	near, far := t.pair()
	from := &source{n: largeStream}
	sender := feature[transport.StreamTransport](t, near)
	sending := call(func() error { return sender.SendStream(t.ctx, transport.Binary, from) })
	if t.harness.Carrier != Sockets {
		t.settle()
		if lead := from.yielded.Load(); lead > largeLead {
			t.Errorf("%d bytes of a stream were taken while nobody receives", lead)
		}
	}
	ctx, cancel := context.WithCancel(t.ctx)
	kind, r, err := feature[transport.StreamTransport](t, far).ReceiveStream(ctx)
	cancel() // It is for the first part only.
	if err != nil || kind != transport.Binary {
		t.Fatalf("ReceiveStream: %s, %v", kind, err)
	}
	var read, lead int64
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		if wrong := sinks(buffer[:n], read); wrong != nil {
			t.Fatal(wrong)
		}
		read += int64(n)
		lead = max(lead, from.yielded.Load()-read)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("Read after %d bytes: %v", read, err)
		}
	}
	if read != largeStream {
		t.Errorf("the stream has %d bytes, want %d", read, largeStream)
	}
	if lead > largeLead && t.harness.Carrier != Sockets {
		t.Errorf("%d bytes were underway at a time", lead)
	}
	if _, err := returns(t, "SendStream", sending); err != nil {
		t.Errorf("SendStream: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close of a stream that was read: %v", err)
	}
	t.usable(near, far)
}

// stream sends a text as a stream.
func (t *trial) stream(from transport.Transport, message io.Reader) *future[struct{}] {
	t.Helper()
	sender := feature[transport.StreamTransport](t, from)
	return call(func() error { return sender.SendStream(t.ctx, transport.Text, message) })
}

// receiveStream returns the next message's reader.
func (t *trial) receiveStream(at transport.Transport, want transport.Kind) io.ReadCloser {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, t.patience())
	defer cancel()
	kind, r, err := feature[transport.StreamTransport](t, at).ReceiveStream(ctx)
	if err != nil {
		t.Fatalf("ReceiveStream: %v", err)
	}
	if kind != want {
		t.Errorf("ReceiveStream: %s, want %s", kind, want)
	}
	return r
}

// testStreamAndMessage: what is sent in one form can be received in another.
func testStreamAndMessage(t *trial) {
	near, far := t.pair()
	for _, size := range []int{0, 1, 64 << 10, 64<<10 + 1, 200 << 10} {
		message := text("message ", size)
		sending := t.stream(near, strings.NewReader(message))
		t.receive(far, message)
		if _, err := returns(t, "SendStream", sending); err != nil {
			t.Errorf("SendStream of %d bytes: %v", size, err)
		}

		whole := call(func() error { return near.Send(t.ctx, []byte(message)) })
		r := t.receiveStream(far, transport.Text)
		got, err := io.ReadAll(r)
		if err != nil || string(got) != message {
			t.Fatalf("the stream is %s, %v; want %s", brief(string(got)), err, brief(message))
		}
		for range 2 {
			if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("Read at the end: %d, %v", n, err)
			}
		}
		if _, err := returns(t, "Send", whole); err != nil {
			t.Errorf("Send: %v", err)
		}
	}
	t.usable(near, far)
}

// testStreamUTF8: a character may lie across any boundary, but a text that is
// not UTF-8 does not come out as a message.
func testStreamUTF8(t *trial) {
	near, far := t.pair()
	for offset := range 3 {
		message := text("", offset) + strings.Repeat("€", 70_000)
		sending := t.stream(near, strings.NewReader(message))
		t.receive(far, message)
		if _, err := returns(t, "SendStream", sending); err != nil {
			t.Errorf("SendStream: %v", err)
		}
	}
	sending := t.stream(near, strings.NewReader(strings.Repeat("€", 70_000)+"\xe2\x82"))
	_, received := far.Receive(t.ctx)
	_, sent := returns(t, "SendStream", sending)
	if received == nil {
		t.Error("Receive returned a text that is not UTF-8")
	}
	if !errors.Is(received, transport.ErrInvalidUTF8) && !errors.Is(sent, transport.ErrInvalidUTF8) {
		t.Errorf("a stream that is not UTF-8: SendStream %v, Receive %v; want ErrInvalidUTF8", sent, received)
	}
}

// testStreamNotRead: a stream that is closed before its end, by its reader,
// does not stand in the way of the next message.
func testStreamNotRead(t *trial) {
	near, far := t.pair()
	for _, size := range []int{100, 500 << 10} {
		sending := t.stream(near, strings.NewReader(text("long ", size)))
		r := t.receiveStream(far, transport.Text)
		if _, err := io.ReadFull(r, make([]byte, 50)); err != nil {
			t.Fatalf("Read: %v", err)
		}
		for range 2 {
			if err := r.Close(); err != nil {
				t.Errorf("Close of the stream: %v", err)
			}
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("Read after Close: %d, %v", n, err)
		}
		after := call(func() error { return near.Send(t.ctx, []byte("after")) })
		t.receive(far, "after")
		if _, err := returns(t, "SendStream", sending); err != nil {
			t.Errorf("SendStream: %v", err)
		}
		if _, err := returns(t, "Send", after); err != nil {
			t.Errorf("Send: %v", err)
		}
	}
	t.usable(near, far)
}

// testConcurrentStreams: streams and messages that are sent at the same time do
// not mix.
func testConcurrentStreams(t *trial) {
	near, far := t.pair()
	missing := make(map[string]bool)
	var sending []*future[struct{}]
	for i := range 8 {
		stream, message := text(fmt.Sprintf("stream %d ", i), 200<<10), text(fmt.Sprintf("message %d ", i), 5000)
		missing[stream], missing[message] = true, true
		halves := io.MultiReader(strings.NewReader(stream[:100<<10]), pausing{t}, strings.NewReader(stream[100<<10:]))
		sending = append(sending, t.stream(near, halves),
			call(func() error {
				t.pause(time.Millisecond / 2)
				return near.Send(t.ctx, []byte(message))
			}))
	}
	for len(missing) > 0 {
		ctx, cancel := context.WithTimeout(t.ctx, t.patience())
		got, err := far.Receive(ctx)
		cancel()
		if err != nil {
			t.Fatalf("Receive: %v", err)
		}
		if !missing[string(got)] {
			t.Fatalf("received %s, which was not sent", brief(string(got)))
		}
		delete(missing, string(got))
	}
	for _, s := range sending {
		if _, err := returns(t, "a send", s); err != nil {
			t.Error(err)
		}
	}
}

// pausing is an empty reader that takes time, so that others come to send.
type pausing struct{ t *trial }

func (p pausing) Read([]byte) (int, error) {
	p.t.pause(time.Millisecond)
	return 0, io.EOF
}

// testStreamTurn: while a stream is being sent others wait, as long as their
// contexts let them.
func testStreamTurn(t *trial) {
	near, far := t.pair()
	slow, feed := io.Pipe()
	defer slow.Close()
	streaming := t.stream(near, slow)
	if _, err := io.WriteString(feed, "begin "); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.short())
	defer cancel()
	err := near.Send(ctx, []byte("never"))
	t.is("Send during a stream", err, context.DeadlineExceeded)
	t.outcome(err, transport.NotSent)
	err = feature[transport.StreamTransport](t, near).SendStream(ctx, transport.Text, strings.NewReader("never"))
	t.is("SendStream during a stream", err, context.DeadlineExceeded)
	t.outcome(err, transport.NotSent)

	after := call(func() error { return near.Send(t.ctx, []byte("after")) })
	if _, err := io.WriteString(feed, "end"); err != nil {
		t.Fatal(err)
	}
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	t.receive(far, "begin end")
	t.receive(far, "after")
	if _, err := returns(t, "SendStream", streaming); err != nil {
		t.Errorf("SendStream: %v", err)
	}
	if _, err := returns(t, "Send", after); err != nil {
		t.Errorf("Send: %v", err)
	}
	t.usable(near, far)
}

// testCancelledPart: a receive that is given up in the middle of a message
// leaves the message whole.
func testCancelledPart(t *trial) {
	near, far := t.pair()
	slow, feed := io.Pipe()
	defer slow.Close()
	streaming := t.stream(far, slow)
	message := text("message ", 200<<10)
	if _, err := io.WriteString(feed, message[:100<<10]); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		ctx, cancel := context.WithTimeout(t.ctx, t.short())
		_, err := near.Receive(ctx)
		cancel()
		t.is("Receive of a part", err, context.DeadlineExceeded)
	}
	feeding := call(func() error {
		_, err := io.WriteString(feed, message[100<<10:])
		return errors.Join(err, feed.Close())
	})
	t.receive(near, message)
	if _, err := returns(t, "the source", feeding); err != nil {
		t.Error(err)
	}
	if _, err := returns(t, "SendStream", streaming); err != nil {
		t.Errorf("SendStream: %v", err)
	}
	t.usable(near, far)
}

// truncated checks the error of a stream of which only a part arrived.
func (t *trial) truncated(r io.Reader) {
	t.Helper()
	n, err := io.Copy(io.Discard, r)
	if err == nil {
		t.Errorf("a stream ended after %d bytes as if it were whole", n)
	}
	t.is("Read of a part of a stream", err, io.ErrUnexpectedEOF)
}

// testBrokenSource: when the source fails, the message that has begun must not
// seem to be whole; the connection is given up.
func testBrokenSource(t *trial) {
	t.start()
	for _, fault := range []error{errors.New("the fault"), io.ErrUnexpectedEOF} {
		near, far := t.another()
		broken := io.MultiReader(&source{n: 100 << 10}, failing{fault})
		sending := t.stream(near, broken)
		t.truncated(t.receiveStream(far, transport.Text))
		_, err := returns(t, "SendStream", sending)
		t.is("SendStream", err, fault)
		t.outcome(err, transport.MaybeSent)
		t.reaches("the sender", near, transport.Failed)
		t.is("WaitClosed", near.WaitClosed(t.ctx), fault)
		t.reaches("the receiver", far, transport.Failed)
	}
}

// failing is a reader that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// testInterruptedStream: a loss ends a stream on both sides.
func testInterruptedStream(t *trial) {
	near, far := t.pair()
	slow, feed := io.Pipe()
	defer slow.Close()
	streaming := t.stream(near, slow)
	feeding := call(func() error {
		_, err := io.Copy(feed, &source{n: 100 << 10})
		return err
	})
	r := t.receiveStream(far, transport.Text)
	if _, err := io.ReadFull(r, make([]byte, 10_000)); err != nil {
		t.Fatalf("Read: %v", err)
	}
	if _, err := returns(t, "the source", feeding); err != nil {
		t.Fatal(err)
	}
	feature[transport.Aborter](t, far).Abort(errors.New("the cause"))
	t.truncated(r)
	t.reaches("the sender", near, transport.Failed)
	feeding = call(func() error {
		_, err := io.Copy(feed, &source{n: 500 << 10})
		return err
	})
	_, err := returns(t, "SendStream", streaming)
	t.is("SendStream", err, io.ErrUnexpectedEOF)
	if transport.OutcomeOf(err) != transport.MaybeSent {
		t.Errorf("an interrupted stream was %s", transport.OutcomeOf(err))
	}
	_ = slow.Close() // It returns nil.
	_, err = returns(t, "the source", feeding)
	t.is("the source", err, io.ErrClosedPipe)
}

// testStreamSendLimit: a stream that turns out to be over the limit of its
// sender is not delivered as a message.
func testStreamSendLimit(t *trial) {
	near, far := t.pair()
	sending := t.stream(near, strings.NewReader(text("fits ", smallLimit)))
	t.receive(far, text("fits ", smallLimit))
	if _, err := returns(t, "SendStream", sending); err != nil {
		t.Errorf("SendStream at the limit: %v", err)
	}
	sending = t.stream(near, bytes.NewReader(make([]byte, smallLimit+1)))
	_, err := returns(t, "SendStream", sending)
	t.is("SendStream over the limit", err, transport.ErrMessageTooLarge)
	ctx, cancel := context.WithTimeout(t.ctx, t.short())
	defer cancel()
	if got, err := far.Receive(ctx); err == nil {
		t.Errorf("received %d bytes of a stream over the limit", len(got))
	}
}

// testStreamReceiveLimit: the limit of the receiver holds for streams too.
func testStreamReceiveLimit(t *trial) {
	near, far := t.pair()
	sending := t.stream(far, strings.NewReader(text("fits ", smallLimit)))
	t.receive(near, text("fits ", smallLimit))
	if _, err := returns(t, "SendStream", sending); err != nil {
		t.Errorf("SendStream at the limit: %v", err)
	}
	sending = t.stream(far, &source{n: 300 << 10})
	_, r, err := feature[transport.StreamTransport](t, near).ReceiveStream(t.ctx)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if err == nil {
		t.Error("a stream over the limit was received")
	}
	_, _ = returns(t, "SendStream", sending) // It may be done before the receiver objects.
	_, err = near.Receive(t.ctx)
	t.is("Receive after a stream over the limit", err, transport.ErrMessageTooLarge)
	t.closedBy("Receive after a stream over the limit", err, transport.StatusMessageTooBig, false)
	t.reaches("the receiver", near, transport.Failed)
	// The end can destroy the close frame while the rest of the stream is on its
	// way, as a socket's does.
	err = far.WaitClosed(t.ctx)
	if !errors.Is(err, transport.ErrMessageTooLarge) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("WaitClosed of the sender: %v; want code %s or a loss", err, transport.StatusMessageTooBig)
	}
}
