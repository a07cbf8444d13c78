package transporttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"

	"github.com/aip-go/aip/transport"
)

func cutTests() []subtest {
	return []subtest{
		{name: "cut at every byte to the server", once: true, faults: true, run: func(t *trial) { testCutEverywhere(t, ToServer) }},
		{name: "cut at every byte to the client", once: true, faults: true, run: func(t *trial) { testCutEverywhere(t, ToClient) }},
	}
}

// script is what the client sends and the server sends back. The second
// message is long enough for a longer header in most framings.
var script = []string{"one", text("two ", 300), "three"}

// testCutEverywhere: wherever a connection is cut, what was received is a whole
// number of messages, everybody learns of the end, and nothing hangs.
func testCutEverywhere(t *trial, d Direction) {
	t.start()
	servers := t.serve()
	defer servers.stop()

	// Once without a cut, to learn the length.
	whole := t.converse(servers)
	if whole.err != nil || len(whole.received) != len(script) {
		t.Fatalf("without a cut: %v after %d messages", whole.err, len(whole.received))
	}
	opened, total := whole.opened[d], t.link().Written(d)
	for at := int64(0); at <= total; at++ {
		if skip := opened / 64; at+skip < opened {
			at += skip // A handshake may be long; look at places all over it.
		}
		cause := error(nil)
		if at%2 == 1 {
			cause = syscall.ECONNRESET
		}
		t.env.Network.Apply(func(l *Link) {
			if l.Written(d) == 0 {
				l.CutAfter(d, at, cause)
			}
		})
		t.converse(servers).check(t, fmt.Sprintf("cut %s after %d of %d bytes", d, at, total))
	}
	t.env.Network.Apply(nil)
	if again := t.converse(servers); again.err != nil {
		t.Errorf("without a cut, afterwards: %v", again.err)
	}
}

// conversation is what became of a script.
type conversation struct {
	opened    [2]int64 // bytes written when Connect returned, by direction
	connected bool
	err       error             // what ended the script early
	outcome   transport.Outcome // of the last send
	sent      int               // sends that succeeded
	received  []string          // by the client
	state     transport.State   // of the client at the end
	end       error             // what the client's Receive says at the end
	accepted  int               // connections that the server got
	served    []string          // received by the server
	serverEnd error
}

// converse plays the script once.
func (t *trial) converse(servers *servers) *conversation {
	t.Helper()
	c := &conversation{}
	client := t.endpoint.NewClient()
	if c.err = client.Connect(t.ctx, t.endpoint.URL); c.err == nil {
		c.connected = true
		link := t.link()
		c.opened = [2]int64{link.Written(ToServer), link.Written(ToClient)}
		c.play(t.ctx, client)
	}
	_ = client.Close() // The connection may be cut.
	for c.connected && c.end == nil {
		_, c.end = client.Receive(t.ctx)
	}
	c.state = client.State()
	c.accepted, c.served, c.serverEnd = servers.settle(t)
	return c
}

// play sends each message and waits for the answer.
func (c *conversation) play(ctx context.Context, client transport.Transport) {
	for _, message := range script {
		if c.err = client.Send(ctx, []byte(message)); c.err != nil {
			c.outcome = transport.OutcomeOf(c.err)
			return
		}
		c.sent++
		var got []byte
		if got, c.err = client.Receive(ctx); c.err != nil {
			return
		}
		c.received = append(c.received, string(got))
	}
}

// check checks a conversation that was cut.
func (c *conversation) check(t *trial, what string) {
	t.Helper()
	if !slices.Equal(c.received, script[:min(len(c.received), len(script))]) {
		t.Errorf("%s: the client received %q", what, c.received)
	}
	if !slices.Equal(c.served, script[:min(len(c.served), len(script))]) {
		t.Errorf("%s: the server received %q", what, c.served)
	}
	switch {
	case !c.connected:
		if c.state != transport.Failed || len(c.served) > 0 {
			t.Errorf("%s: no connection (%v), but the client is %s and %d messages arrived", what, c.err, c.state, len(c.served))
		}
		return
	case c.err == nil && c.state == transport.Disconnected:
		if !errors.Is(c.end, transport.ErrClosed) {
			t.Errorf("%s: cut while it was being closed, the client's end is %v", what, c.end)
		}
	case c.err == nil: // Cut before the close.
		if c.state != transport.Failed || !errors.Is(c.end, io.ErrUnexpectedEOF) {
			t.Errorf("%s: the client is %s: %v; want a loss", what, c.state, c.end)
		}
	default:
		if c.state != transport.Failed || !errors.Is(c.err, io.ErrUnexpectedEOF) || !errors.Is(c.end, io.ErrUnexpectedEOF) {
			t.Errorf("%s: the client is %s: %v, then %v; want a loss", what, c.state, c.err, c.end)
		}
	}
	if len(c.served) > c.sent && c.outcome == transport.NotSent {
		t.Errorf("%s: a message that arrived is said to be not sent: %v", what, c.err)
	}
	if c.accepted > 0 && !errors.Is(c.serverEnd, io.ErrUnexpectedEOF) && !errors.Is(c.serverEnd, io.EOF) {
		t.Errorf("%s: the server's end is %v; want a loss or a close", what, c.serverEnd)
	}
	if c.state == transport.Failed && errors.Is(c.serverEnd, io.EOF) {
		t.Errorf("%s: the server saw a clean close although there was none", what)
	}
}

// servers accepts connections and sends back what it receives.
type servers struct {
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	accepted int
	received []string
	end      error
}

// serve starts to accept.
func (t *trial) serve() *servers {
	ctx, cancel := context.WithCancel(t.ctx)
	s := &servers{cancel: cancel}
	s.running.Go(func() {
		for {
			server, err := t.endpoint.Accept(ctx)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.accepted++
			s.mu.Unlock()
			s.running.Go(func() { s.answer(ctx, server) })
		}
	})
	return s
}

func (s *servers) answer(ctx context.Context, server transport.Transport) {
	defer server.Close()
	for {
		message, err := server.Receive(ctx)
		s.mu.Lock()
		if err != nil {
			s.end = err
			s.mu.Unlock()
			return
		}
		s.received = append(s.received, string(message))
		s.mu.Unlock()
		_ = server.Send(ctx, message) // Receive tells the end.
	}
}

// settle returns what the server saw since the last time, when all is quiet.
func (s *servers) settle(t *trial) (accepted int, received []string, end error) {
	t.settle()
	s.mu.Lock()
	defer s.mu.Unlock()
	accepted, received, end = s.accepted, s.received, s.end
	s.accepted, s.received, s.end = 0, nil, nil
	return accepted, received, end
}

// stop ends accepting and waits for all connections.
func (s *servers) stop() {
	s.cancel()
	s.running.Wait()
}
