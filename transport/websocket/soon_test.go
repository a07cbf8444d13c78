package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
	"github.com/aip-go/aip/transport/websocket"
)

// Protects: order. A sender that does not wait for its messages still has them
// arrive in turn, among large ones, units, streams, and those it waits for.
func TestSentInOrder(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine}
		p, client, server := pair(t, opts, opts)
		p.link().SetDelay(transporttest.ToServer, time.Millisecond)
		const n = 400
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for i := range n {
				ctx, text := context.WithoutCancel(t.Context()), []byte(fmt.Sprintf("%d ", i))
				var err error
				switch {
				case i%50 == 49:
					err = client.Send(ctx, append(text, strings.Repeat("x", 200_000)...))
				case i%50 == 48:
					err = client.SendStream(ctx, transport.Text, bytes.NewReader(text))
				case i%20 == 19:
					err = client.SendFrames(ctx, transport.Frame{Kind: transport.Text, Data: text})
				case i%3 == 2:
					err = client.Send(t.Context(), text)
				default:
					err = client.Send(ctx, text)
				}
				if err != nil {
					t.Errorf("message %d: %v", i, err)
				}
				clear(text) // It is the sender's again.
			}
		}()
		for i := range n {
			got, err := server.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("%d ", i); !strings.HasPrefix(string(got), want) {
				t.Fatalf("received %.10q, want %q", got, want)
			}
		}
		<-sent
	})
}

// Protects: senders that do not wait, and whoever holds the memory: when the
// peer does not read they do wait, and what was taken over is counted.
func TestSentSoonIsBounded(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine, PingInterval: -1, WriteTimeout: -1}
		p, client, server := pair(t, opts, opts)
		const size = 1000
		ctx := context.WithoutCancel(t.Context())
		for range 20 {
			if err := client.Send(ctx, numbered(7, size)); err != nil {
				t.Fatal(err)
			}
			if _, err := server.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		link := p.link()
		link.SetBuffer(transporttest.ToServer, 4<<10)
		link.Stall(transporttest.ToServer)
		sent, stuck := 0, make(chan error, 1)
		go func() {
			for {
				if err := client.Send(ctx, numbered(7, size)); err != nil {
					stuck <- err
					return
				}
				sent++
			}
		}()
		synctest.Wait()
		b := client.Backlog()
		if b.SendBytes < 32<<10 || b.SendBytes > 256<<10 || b.SendMessages != int(b.SendBytes/size) {
			t.Errorf("after %d messages the backlog is %+v", sent, b)
		}
		cause := errors.New("the cause")
		client.Abort(cause)
		is(t, "Send", <-stuck, cause)
		closeAll(t, server)
	})
}

// Protects: the truth about a message that was taken over and not written: the
// next call and the end of the connection tell of the loss.
func TestSentSoonTellsLater(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine}
		p, client, _ := pair(t, opts, opts)
		ctx := context.WithoutCancel(t.Context())
		for range 20 {
			if err := client.Send(ctx, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		p.link().Cut(nil)
		start := time.Now()
		var err error
		for err == nil {
			err = client.Send(ctx, []byte("x"))
		}
		within(t, "the error", start, 2*time.Second)
		closedWith(t, "Send", err, transport.StatusAbnormal, false)
		closedWith(t, "WaitClosed", client.WaitClosed(ctx), transport.StatusAbnormal, false)
	})
}
