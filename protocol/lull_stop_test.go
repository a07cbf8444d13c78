package protocol

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// TestRunStoppedAsACallerHasItsReply: Run ends at once, though the caller who
// reads is content.
func TestRunStoppedAsACallerHasItsReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := asker(t, nil)
		running(t, s)
		ctx, stop := context.WithCancel(t.Context())
		calls := 0
		c.Use(Middleware[messages.ClientMessage, messages.ServerMessage]{
			Incoming: func(_ context.Context, m *messages.ServerMessage) (*messages.ServerMessage, error) {
				if calls++; calls == 2*calm {
					stop()
					synctest.Wait()
				}
				return m, nil
			},
		})
		ran := make(chan error, 1)
		go func() { ran <- c.Run(ctx) }()
		for range 2 * calm {
			_, err := RequestDeviceInfo(t.Context(), c, "dev")
			must(t, err)
		}
		began := time.Now()
		if err := <-ran; !errors.Is(err, context.Canceled) || time.Since(began) > 0 {
			t.Errorf("Run: %v after %v", err, time.Since(began))
		}
	})
}

// TestEarlierRunInALull: what was to end a lull of an earlier Run, and comes too
// late, leaves that of the present one alone.
func TestEarlierRunInALull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var earlier runner[messages.ServerMessage]
		var reading bool
		c, s := asker(t, func() {
			if reading {
				earlier.recall()
			}
		})
		running(t, s)
		stop := running(t, c)
		synctest.Wait()
		earlier = c.calls.run
		stop()
		running(t, c)
		l := &lulled{t: t, c: c, s: s}
		l.begin()
		for _, reading = range []bool{true, false} {
			if l.call(); !l.begun() {
				t.Error("the lull has ended")
			}
		}
		earlier.recall()
		if !l.begun() {
			t.Error("the lull has ended")
		}
	})
}
