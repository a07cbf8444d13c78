package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// TestCutWhileManySend: of what many senders sent until the connection was
// lost, whatever arrives is whole and in each sender's order, and no send that
// failed for certain arrives.
func TestCutWhileManySend(t *testing.T) {
	client, server, near := filePair(t)
	const senders = 8
	var next [senders]int64
	refuse := func(format string, args ...any) { t.Errorf(format, args...); near.Abort(errCut) }
	must(t, server.HandleBinary(nil, func(_ context.Context, m *BinaryMessage) error {
		from, err := requireInt(m.Metadata, "from")
		if err != nil || string(m.Data) != fmt.Sprintf("%d-%d", from, next[from]) {
			refuse("binary message %q of %d, %v", m.Data, from, err)
			return nil
		}
		if next[from]++; next[from] == 50 {
			near.Abort(errCut)
		}
		return nil
	}))
	server.OnInvalid(func(_ context.Context, e *MessageError) { refuse("%v", e) })
	server.OnError(func(_ context.Context, _ *messages.ClientMessage, err error) { refuse("%v", err) })
	server.OnUnhandled(func(context.Context, *messages.ClientMessage) {})
	wait := start(context.Background(), server)
	var sent [senders]int64
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for {
				data := fmt.Appendf(nil, "%d-%d", i, sent[i])
				err := client.SendBinary(context.Background(), data, messages.Object{{Key: "from", Value: numberValue(int64(i))}})
				if err == nil || transport.OutcomeOf(err) == transport.MaybeSent {
					sent[i]++
				}
				if err == nil {
					err = client.Send(context.Background(), messages.NewDeviceHeartbeat("dev"))
				}
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if err := wait(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Run: %v", err)
	}
	for i := range senders {
		if next[i] > sent[i] {
			t.Errorf("%d of %d binary messages of sender %d arrived", next[i], sent[i], i)
		}
	}
}

// TestChangesWhileRunning: everything that may be set at any time is, while
// messages arrive. The race detector judges.
func TestChangesWhileRunning(t *testing.T) {
	client, server, _ := filePair(t)
	running(t, client)
	running(t, server)
	ctx := fileContext(t)
	dir := t.TempDir()
	metrics := NewMetricsMiddleware()
	var handled sync.WaitGroup
	handled.Add(100)
	server.Handle(messages.ClientHeartbeat, func(context.Context, *messages.ClientMessage) error { handled.Done(); return nil })
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 100 {
			if err := client.Send(ctx, messages.NewDeviceHeartbeat("dev")); err != nil {
				t.Error(err)
			}
			if err := client.SendBinary(ctx, []byte{byte(i)}, nil); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for range 20 {
			server.Use(Middleware[messages.ServerMessage, messages.ClientMessage]{
				Incoming: func(_ context.Context, m *messages.ClientMessage) (*messages.ClientMessage, error) { return m, nil },
			})
			server.Extend(metrics)
			server.Handle(messages.ClientTask, func(context.Context, *messages.ClientMessage) error { return nil })
			server.OnInvalid(func(context.Context, *MessageError) {})
			server.OnUnhandled(nil)
			server.OnError(func(context.Context, *messages.ClientMessage, error) {})
			server.SetIdentity(Identity{ClientID: "dev"})
			if err := errors.Join(
				server.HandleFiles(dir, nil, nil),
				server.HandleBinary(nil, func(context.Context, *BinaryMessage) error { return nil }),
			); err != nil {
				t.Error(err)
			}
			_, _ = server.Stats(), metrics.Snapshot()
		}
	})
	wg.Wait()
	handled.Wait()
}
