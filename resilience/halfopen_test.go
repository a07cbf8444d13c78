package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
)

// pings are the settings under which a silent peer has to be found.
var pings = []struct{ interval, timeout time.Duration }{
	{20 * time.Second, 20 * time.Second},
	{30 * time.Second, 10 * time.Second},
	{5 * time.Second, 2 * time.Second},
	{time.Second, 500 * time.Millisecond},
	{time.Second, 10 * time.Second},
}

func blackHole(l *transporttest.Link) {
	for _, d := range transporttest.Directions {
		l.BlackHole(d)
	}
}

// Protects: a client whose server vanishes without a word finds out by its
// pings, at the latest after interval and timeout, and is back after the
// strategy's delay, with nothing lost.
func TestLinkFindsSilentServer(t *testing.T) {
	for _, p := range pings {
		t.Run(fmt.Sprintf("%v+%v", p.interval, p.timeout), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				s.interval, s.timeout = p.interval, p.timeout
				s.listen("server:80")
				l := s.link(s.options("device"))
				session := s.session()
				time.Sleep(p.interval * 7 / 2) // Not at the moment of a ping.
				start := time.Now()
				blackHole(s.latest())
				for n := 1; n <= 3; n++ {
					if err := l.Send(t.Context(), numbered(n)); err != nil {
						t.Error(err)
					}
				}
				if state, err := l.WaitState(t.Context(), transport.Connected); state == transport.Connected || err != nil {
					t.Errorf("%s, %v", state, err)
				}
				if d := time.Since(start); d > p.interval+p.timeout || d < p.timeout/2 {
					t.Errorf("lost after %v", d)
				}
				expectNumbered(t, session, 1, 3)
				if d := time.Since(start); d > p.interval+p.timeout+100*time.Millisecond {
					t.Errorf("back after %v", d)
				}
				closeAll(t, l, session)
			})
		})
	}
}

// Protects: a server whose client vanishes finds out as soon, and keeps what it
// sends for it.
func TestSessionFindsSilentClient(t *testing.T) {
	for _, p := range pings {
		t.Run(fmt.Sprintf("%v+%v", p.interval, p.timeout), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				s.interval, s.timeout = p.interval, p.timeout
				s.listen("server:80")
				l := s.link(s.options("device"))
				session := s.session().(*resilience.Session)
				time.Sleep(p.interval * 7 / 2)
				s.network.RefuseDials(true)
				start := time.Now()
				blackHole(s.latest())
				state, err := session.WaitState(t.Context(), transport.Connected)
				if state != transport.Connecting || err != nil {
					t.Errorf("%s, %v", state, err)
				}
				if d := time.Since(start); d > p.interval+p.timeout || d < p.timeout/2 {
					t.Errorf("detached after %v", d)
				}
				if err := session.Send(t.Context(), numbered(1)); !errors.Is(err, transport.ErrNotConnected) {
					t.Errorf("Send: %v", err)
				}
				if err := session.Send(transport.WithDelivery(t.Context(), transport.Buffered), numbered(1)); err != nil {
					t.Error(err)
				}
				s.network.RefuseDials(false)
				expectNumbered(t, l, 1, 1)
				closeAll(t, l, session)
			})
		})
	}
}

// Protects: heartbeats find a silent server where there are no pings, and
// [resilience.Link.Drop] replaces its connection.
func TestHeartbeatsReplaceConnection(t *testing.T) {
	for _, p := range pings {
		t.Run(fmt.Sprintf("%v+%v", p.interval, p.timeout), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				s.interval, s.timeout = -1, -1 // No pings.
				s.listen("server:80")
				lost := make(chan error, 1)
				o := s.options("device")
				o.Lost = func(cause error) { lost <- cause }
				l := s.link(o)
				session := s.session()
				echoed := make(chan struct{})
				go func() {
					defer close(echoed)
					for {
						data, err := session.Receive(context.Background())
						if err != nil {
							return
						}
						_ = session.Send(context.Background(), data) // Its loss is what is tested.
					}
				}()
				manager, err := resilience.NewHeartbeats(nil)
				if err != nil {
					t.Fatal(err)
				}
				peer, err := manager.Start("server", &resilience.PeerOptions{
					Interval: p.interval, Jitter: -1, ReplyTimeout: p.timeout, Misses: 1,
					Send: func(ctx context.Context) error {
						return l.Send(transport.WithDelivery(ctx, transport.Volatile), heartbeat)
					},
					Abort: l.Drop,
				})
				if err != nil {
					t.Fatal(err)
				}
				heard := 0
				listening, stop := context.WithCancel(t.Context())
				listened := make(chan struct{})
				go func() {
					defer close(listened)
					for {
						if _, err := l.Receive(listening); err != nil {
							return
						}
						heard++
						peer.Alive()
					}
				}()
				time.Sleep(p.interval * 7 / 2)
				start := time.Now()
				blackHole(s.latest())
				var expired *resilience.ExpiredError
				if cause := <-lost; !errors.As(cause, &expired) {
					t.Errorf("lost because of %v", cause)
				}
				if d := time.Since(start); d > p.interval+p.timeout {
					t.Errorf("lost after %v", d)
				}
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				if !l.IsConnected() {
					t.Errorf("the link is %s", l.State())
				}
				stop()
				<-listened
				if heard != 3 {
					t.Errorf("heard %d heartbeats", heard)
				}
				if err := manager.Close(); err != nil {
					t.Error(err)
				}
				closeAll(t, l, session)
				<-echoed
			})
		})
	}
}

// Protects: the end of an old connection, whenever it arrives, does not touch
// the new one.
func TestOldConnectionEndsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.listen("server:80")
		l := s.link(s.options("device"))
		session := s.session()
		old := s.latest()
		for _, d := range transporttest.Directions {
			old.Stall(d)
		}
		if err := l.Send(t.Context(), numbered(1)); err != nil { // Held up, and sent again.
			t.Fatal(err)
		}
		l.Drop(errCut)
		time.Sleep(time.Second)
		if !l.IsConnected() || !session.IsConnected() {
			t.Fatalf("link: %s, session: %s", l.State(), session.State())
		}
		for _, d := range transporttest.Directions {
			old.Resume(d) // What was written, and the end.
		}
		time.Sleep(5 * time.Minute)
		if n := len(s.registered); n != 2 || !l.IsConnected() || !session.IsConnected() {
			t.Errorf("%d registrations, link: %s, session: %s", n, l.State(), session.State())
		}
		expectNumbered(t, session, 1, 1)
		if err := session.Send(t.Context(), numbered(2)); err != nil {
			t.Fatal(err)
		}
		expectNumbered(t, l, 2, 2)
		closeAll(t, l, session)
	})
}
