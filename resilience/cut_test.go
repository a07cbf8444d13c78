package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
)

// cutAt is where a connection is cut: when so many bytes were written in the
// direction.
type cutAt struct {
	connection int
	direction  transporttest.Direction
	offset     int64
}

func (c cutAt) String() string {
	return fmt.Sprintf("connection %d, %s, byte %d", c.connection, c.direction, c.offset)
}

// Protects: a session, wherever its connection is cut: at every byte that either
// side writes, from the first one of the handshake on, nothing is lost, nothing
// comes twice and nothing comes out of order.
func TestCutAtEveryByte(t *testing.T) {
	lengths := conversationLengths(t)
	if lengths[0][0] < 600 || lengths[0][1] < 600 {
		t.Fatalf("the conversation has %d bytes", lengths[0])
	}
	var cuts []cutAt
	for _, d := range transporttest.Directions {
		for n := range lengths[0][d] {
			cuts = append(cuts, cutAt{0, d, n})
		}
	}
	inBubbles(t, len(cuts), func(t *testing.T, i int) { converse(t, cuts[i]) })
}

// Protects: a session whose connection is cut again while it is resumed: in the
// handshake, or while the messages are sent again.
func TestCutAtEveryByteOfResume(t *testing.T) {
	lengths := conversationLengths(t)
	first := cutAt{0, transporttest.ToClient, lengths[0][transporttest.ToClient] * 3 / 4}
	again := conversationLengths(t, first)
	var cuts []cutAt
	for _, d := range transporttest.Directions {
		for n := range again[1][d] {
			cuts = append(cuts, cutAt{1, d, n})
		}
	}
	inBubbles(t, len(cuts), func(t *testing.T, i int) { converse(t, first, cuts[i]) })
}

// Protects: the same for other places of the first cut, and a third one.
func TestCutAgainAndAgain(t *testing.T) {
	lengths := conversationLengths(t)
	inBubbles(t, 500, func(t *testing.T, i int) {
		rng := rand.New(rand.NewPCG(uint64(i), 5))
		var cuts []cutAt
		for connection := range 1 + rng.IntN(4) {
			d := transporttest.Directions[rng.IntN(2)]
			cuts = append(cuts, cutAt{connection, d, rng.Int64N(lengths[0][d])})
		}
		converse(t, cuts...)
	})
}

// conversationLengths returns how many bytes the connections of a conversation
// carry in each direction.
func conversationLengths(t *testing.T, cuts ...cutAt) (lengths [][2]int64) {
	synctest.Test(t, func(t *testing.T) {
		for _, l := range converse(t, cuts...) {
			lengths = append(lengths, [2]int64{l.Written(transporttest.ToServer), l.Written(transporttest.ToClient)})
		}
	})
	return lengths
}

// converse has a client and a server send each other messages over connections
// that are cut, and checks that they arrive.
func converse(t *testing.T, cuts ...cutAt) []*transporttest.Link {
	defer func() {
		if t.Failed() {
			t.Logf("cuts: %v", cuts)
		}
	}()
	s := newStage(t)
	s.dialled = func(number int, l *transporttest.Link) {
		for _, c := range cuts {
			if c.connection == number {
				l.CutAfter(c.direction, c.offset, io.ErrUnexpectedEOF)
			}
		}
	}
	s.listen("server:80")
	served := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case session := <-s.sessions:
				s.conns.Go(func() { serveConversation(session, served) })
			case <-stop:
				return
			}
		}
	}()
	defer close(stop)
	o := s.options("device")
	o.RetryFirst = true
	l, err := resilience.NewLink(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Connect(t.Context(), "ws://server/ws"); err != nil {
		t.Fatal(err)
	}
	if err := talk(l, 0); err != nil {
		t.Errorf("client: %v", err)
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Errorf("Flush: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("server: %v", err)
	}
	links := s.network.Links()
	closeAll(t, l)
	return links
}

// serveConversation is the server's side. It says nothing before the client
// does: the client may not know of the session.
func serveConversation(session transport.Transport, served chan<- error) {
	defer func() { _ = session.Close() }() // It may have ended.
	first, err := session.Receive(context.Background())
	if err != nil {
		return
	}
	if string(first) != string(numbered(0)) {
		served <- fmt.Errorf("the first message is %s", first)
		return
	}
	resumable := session.(*resilience.Session)
	err = talk(resumable, 1)
	if err == nil {
		err = resumable.Flush(context.Background())
	}
	served <- err
	if more, err := session.Receive(context.Background()); err == nil {
		served <- fmt.Errorf("one message too many: %s", more)
	}
}

// rounds is how often both sides speak in a conversation.
const rounds = 3

// talk is one side of the conversation: in each round it sends a message, a
// binary one and another message, and receives the same. The server has
// received the first one.
func talk(on interface {
	transport.Transport
	transport.FrameTransport
}, received int) error {
	ctx := transport.WithDelivery(context.Background(), transport.Buffered)
	for round := range rounds {
		n := round * 2
		if err := on.Send(ctx, numbered(n)); err != nil {
			return err
		}
		if err := on.SendFrames(ctx, binaryMessage(round)...); err != nil {
			return err
		}
		if err := on.Send(ctx, numbered(n+1)); err != nil {
			return err
		}
		due := append([]transport.Frame{{Kind: transport.Text, Data: numbered(n)}}, binaryMessage(round)...)
		due = append(due, transport.Frame{Kind: transport.Text, Data: numbered(n + 1)})
		for _, want := range due[received:] {
			got, err := on.ReceiveFrame(context.Background())
			if err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
			if got.Kind != want.Kind || string(got.Data) != string(want.Data) {
				return fmt.Errorf("round %d: got %s %.80q, want %.80q", round, got.Kind, got.Data, want.Data)
			}
		}
		received = 0
	}
	return nil
}

func binaryMessage(n int) []transport.Frame {
	return []transport.Frame{
		{Kind: transport.Text, Data: fmt.Appendf(nil, `{"type":"binary_data","filename":"f%d","size":3}`, n)},
		{Kind: transport.Binary, Data: []byte{0xff, byte(n), 0}},
	}
}

// Protects: a session over which nothing is sent before its connections are
// cut, ten times in a row.
func TestResumeWithoutTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.listen("server:80")
		l := s.link(s.options("device"))
		session := s.session()
		for range 10 {
			s.latest().Cut(nil)
			time.Sleep(time.Second)
			if !l.IsConnected() || !session.IsConnected() {
				t.Fatalf("link: %s, session: %s", l.State(), session.State())
			}
		}
		if n := len(s.registered); n != 11 {
			t.Errorf("%d registrations", n)
		}
		if err := l.Send(t.Context(), numbered(1)); err != nil {
			t.Fatal(err)
		}
		if err := session.Send(t.Context(), numbered(1)); err != nil {
			t.Fatal(err)
		}
		expectNumbered(t, l, 1, 1)
		expectNumbered(t, session, 1, 1)
		closeAll(t, l)
		if _, err := session.Receive(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("the session ended with %v", err)
		}
		closeAll(t, session)
	})
}
