package resilience_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// Protects: which end of a link ends its session too: a close with 1000 does; one
// with another code, and an abort, leave it to the next link with the same store.
func TestEndOfLinkAndSession(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*resilience.Link) error
		goes bool
	}{
		"close":            {(*resilience.Link).Close, false},
		"close with 1001":  {func(l *resilience.Link) error { return l.CloseWith(transport.StatusGoingAway, "") }, true},
		"abort":            {func(l *resilience.Link) error { l.Abort(errCut); return nil }, true},
		"close while away": {func(l *resilience.Link) error { l.Drop(errCut); return l.CloseWith(transport.StatusGoingAway, "") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, l, session, o := memoryStage(t, func(o *resilience.LinkOptions) {
					o.Resume.Store = resilience.NewMemoryStore()
					o.RetryFirst = true // The server may not have missed the old connection.
				})
				sendNumbered(t, session, 1, 2)
				expectNumbered(t, l, 1, 1)
				_ = test.end(l) // The connection may be lost already.
				synctest.Wait()
				later, err := resilience.NewLink(o)
				if err != nil {
					t.Fatal(err)
				}
				if err := later.Connect(t.Context(), "mem://server"); err != nil {
					t.Fatal(err)
				}
				if test.goes {
					expectNumbered(t, later, 2, 2)
					sendNumbered(t, later, 3, 3)
					expectNumbered(t, session, 3, 3)
				} else {
					if _, err := later.Receive(t.Context()); !errors.Is(err, resilience.ErrSessionLost) {
						t.Errorf("Receive: %v", err)
					}
					if _, err := session.Receive(t.Context()); !errors.Is(err, io.EOF) {
						t.Errorf("the session ended with %v", err)
					}
				}
				closeAll(t, l, later, session)
			})
		})
	}
}

// Protects: an attempt that fails at the client after the server has resumed the
// session: the next one resumes it again.
func TestAttemptFailsAfterResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := 3
		n, l, session, _ := memoryStage(t, func(o *resilience.LinkOptions) {
			o.Connected = func(_ context.Context, c resilience.Connection) error {
				if c.Resumed && failures > 0 {
					failures--
					return io.ErrNoProgress
				}
				return nil
			}
		})
		sendNumbered(t, l, 1, 1)
		n.latest().cut(0)
		time.Sleep(time.Minute)
		synctest.Wait()
		if failures != 0 || !l.IsConnected() || !session.IsConnected() {
			t.Errorf("link: %s, session: %s", l.State(), session.State())
		}
		expectNumbered(t, session, 1, 1)
		sendNumbered(t, session, 1, 1)
		expectNumbered(t, l, 1, 1)
		closeAll(t, l, session)
	})
}
