package transporttest

import (
	"context"
	"fmt"

	"github.com/aip-go/aip/transport"
)

func senderTests() []subtest {
	return []subtest{
		{name: "concurrent senders", run: testSenders},
		{name: "adjacent frames", needs: Frames, run: testAdjacent},
		{name: "concurrent receivers", run: testReceivers},
	}
}

// testSenders: messages of 64 senders at a time arrive whole, and each
// sender's in order.
func testSenders(t *trial) {
	near, far := t.pair()
	const senders, each = 64, 20
	message := func(sender, i int) string {
		size := 20 + (sender*131+i*977)%3000
		if i == each/2 && sender%8 == 0 {
			size = 100 << 10
		}
		return text(fmt.Sprintf("sender %02d message %02d ", sender, i), size)
	}
	var sending []*future[struct{}]
	for sender := range senders {
		sending = append(sending, call(func() error {
			for i := range each {
				if err := near.Send(t.ctx, []byte(message(sender, i))); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	var next [senders]int
	for range senders * each {
		ctx, cancel := context.WithTimeout(t.ctx, t.patience())
		got, err := far.Receive(ctx)
		cancel()
		if err != nil {
			t.Fatalf("Receive: %v", err)
		}
		var sender, i int
		if _, err := fmt.Sscanf(string(got), "sender %d message %d", &sender, &i); err != nil || sender >= senders {
			t.Fatalf("received %s: %v", brief(string(got)), err)
		}
		if want := message(sender, next[sender]); string(got) != want {
			t.Fatalf("received %s, want %s", brief(string(got)), brief(want))
		}
		next[sender]++
	}
	for _, s := range sending {
		if _, err := s.wait(); err != nil {
			t.Error(err)
		}
	}
	t.usable(near, far)
}

// testAdjacent: frames that are sent together arrive together, also when they
// are more than fits in the queues.
func testAdjacent(t *trial) {
	near, far := t.pair()
	const senders, each = 16, 12
	var sending []*future[struct{}]
	for sender := range senders {
		frames := feature[transport.FrameTransport](t, near)
		sending = append(sending, call(func() error {
			for i := range each {
				name := fmt.Sprintf("sender %d message %d ", sender, i)
				err := frames.SendFrames(t.ctx,
					transport.Frame{Kind: transport.Text, Data: []byte(name)},
					transport.Frame{Kind: transport.Binary, Data: []byte(text(name, 4000))},
					transport.Frame{Kind: transport.Binary, Data: []byte(text(name, (i%3)*50_000+100))})
				if err != nil {
					return err
				}
			}
			return nil
		}), call(func() error {
			for range each {
				if err := near.Send(t.ctx, []byte("alone")); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for alone, groups := 0, 0; alone < senders*each || groups < senders*each; {
		ctx, cancel := context.WithTimeout(t.ctx, t.patience())
		first, err := far.Receive(ctx)
		cancel()
		if err != nil {
			t.Fatalf("Receive: %v", err)
		}
		if string(first) == "alone" {
			alone++
			continue
		}
		var sender, i int
		if _, err := fmt.Sscanf(string(first), "sender %d message %d", &sender, &i); err != nil {
			t.Fatalf("received %s: %v", brief(string(first)), err)
		}
		t.receiveFrame(far, transport.Binary, text(string(first), 4000))
		t.receiveFrame(far, transport.Binary, text(string(first), (i%3)*50_000+100))
		groups++
	}
	for _, s := range sending {
		if _, err := s.wait(); err != nil {
			t.Error(err)
		}
	}
}

// testReceivers: there should be one receiver at a time, but several spoil
// nothing: they share the messages.
func testReceivers(t *trial) {
	near, far := t.pair()
	const receivers, each = 4, 50
	var receiving []*future[[]string]
	for range receivers {
		receiving = append(receiving, async(func() ([]string, error) {
			var got []string
			for range each {
				message, err := near.Receive(t.ctx)
				if err != nil {
					return nil, err
				}
				got = append(got, string(message))
			}
			return got, nil
		}))
	}
	missing := make(map[string]bool)
	for i := range receivers * each {
		message := text(fmt.Sprintf("message %d ", i), 20+i*10)
		missing[message] = true
		t.send(far, message)
	}
	for _, r := range receiving {
		got, err := r.wait()
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range got {
			if !missing[message] {
				t.Errorf("received %s, which was not sent or was received already", brief(message))
			}
			delete(missing, message)
		}
	}
}
