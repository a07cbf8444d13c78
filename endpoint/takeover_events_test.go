package endpoint

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

// serveAs serves a connection on behalf of "me" and returns its other end.
func (s *testServer) serveAs(wrap func(*transport.Memory) transport.Transport) *peer {
	client, conn := transport.NewPair(nil)
	go func() { _ = s.Serve(WithPrincipal(context.Background(), anyone("me")), wrap(conn)) }()
	s.t.Cleanup(func() { _ = client.Close() })
	return &peer{s.t, client}
}

// TestOneClientAtATime: who follows the events of an id sees one client end before
// the next one is registered, whatever ended it.
func TestOneClientAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var server *testServer
		ends := 0
		server = startServer(t, &ServerOptions{Handler: noTasks, Observer: func(e Event) {
			if e.Kind != EventDisconnected {
				return
			}
			ends++
			if got := server.Clients(); len(got) != 1 {
				t.Errorf("the id is free already: %+v", got)
			}
		}})
		for _, end := range []func(*peer){
			(*peer).close, // on its own
			func(*peer) {},
		} {
			old := server.serveAs(func(m *transport.Memory) transport.Transport { return &slowPinger{Memory: m} })
			old.send(register("dev"))
			old.expect(object{"type": "heartbeat"})
			synctest.Wait()
			end(old)
			synctest.Wait()
		}
		young := server.registered(anyone("me"), register("dev")) // It is a takeover.
		if ends != 2 {
			t.Errorf("%d ends", ends)
		}
		young.close()
	})
}

// lingering fails when the test says so; its ping is over then, but its Close is
// not before the test says so.
type lingering struct {
	*transport.Memory
	pinged, closed chan struct{}
}

func (l *lingering) Ping(context.Context) error { <-l.pinged; return errCut }
func (l *lingering) Close() error               { <-l.closed; return l.Memory.Close() }

// TestLateNewsOfPredecessor: a session whose connection is lost while its client
// is asked for tells of that when its successor is there, about which it says
// nothing.
func TestLateNewsOfPredecessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		server := startServer(t, &ServerOptions{Handler: noTasks, Observer: r.observe, SilenceTimeout: time.Minute})
		slow := &lingering{pinged: make(chan struct{}), closed: make(chan struct{})}
		old := server.serveAs(func(m *transport.Memory) transport.Transport { slow.Memory = m; return slow })
		old.send(offering("dev", "device", "", ""))
		old.joined()
		synctest.Wait()
		young, _ := server.as(anyone("me"))
		young.send(offering("dev", "device", "", ""))
		synctest.Wait() // It waits for the answer of the old one.
		old.tr.(transport.Aborter).Abort(errCut)
		synctest.Wait() // The session knows, and closes its connection.
		close(slow.pinged)
		young.joined()
		synctest.Wait()
		close(slow.closed)
		synctest.Wait()
		if got := r.of(EventDetached); len(got) != 0 {
			t.Errorf("observed %+v", got)
		}
		// It is watched, and its own loss is told.
		<-time.After(2 * time.Minute)
		if got := r.of(EventDetached); len(got) != 1 || !slices.ContainsFunc(server.Clients(), func(c ClientInfo) bool { return c.Detached }) {
			t.Errorf("observed %+v of %+v", got, server.Clients())
		}
	})
}

// TestNoTakeoverAtTheEnd: a server that drains takes nobody in, so nobody has to
// go for a newcomer.
func TestNoTakeoverAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		server := startServer(t, &ServerOptions{Handler: noTasks, Observer: r.observe, DrainSpread: time.Hour})
		deaf := &slowPinger{}
		old := server.serveAs(func(m *transport.Memory) transport.Transport { deaf.Memory = m; return deaf })
		old.send(register("dev"))
		old.expect(object{"type": "heartbeat"})
		young, _ := server.as(anyone("me"))
		synctest.Wait() // It is admitted, and has not registered.
		ctx, stop := context.WithCancel(context.Background())
		shut := make(chan error, 1)
		go func() { shut <- server.Shutdown(ctx) }()
		synctest.Wait()
		young.send(register("dev"))
		young.expectRefusal()
		if n := deaf.count(); n != 0 {
			t.Errorf("pinged %d times", n)
		}
		stop()
		<-shut
		for _, e := range r.of(EventDisconnected) {
			if errors.Is(e.Err, ErrTakenOver) {
				t.Error("a client had to go for one that was not let in")
			}
		}
	})
}

// TestClosedDuringProbe: the end of the server is the end of a probe, and not that
// of who was asked for.
func TestClosedDuringProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		server := startServer(t, &ServerOptions{Handler: noTasks, Observer: r.observe})
		old := server.serveAs(func(m *transport.Memory) transport.Transport { return &slowPinger{Memory: m} })
		old.send(register("dev"))
		old.expect(object{"type": "heartbeat"})
		synctest.Wait()
		young, _ := server.as(anyone("me"))
		young.send(register("dev"))
		synctest.Wait()
		start := time.Now()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if got := r.of(EventDisconnected); len(got) != 1 || errors.Is(got[0].Err, ErrTakenOver) || time.Since(start) >= defaultProbeTimeout {
			t.Errorf("observed %+v after %v", got, time.Since(start))
		}
		if code := old.expectClose(); code != transport.StatusGoingAway {
			t.Errorf("closed with %v", code)
		}
	})
}

// tongueTied sends nothing before the test says so.
type tongueTied struct {
	*slowPinger
	speak chan struct{}
}

func (s *tongueTied) Send(ctx context.Context, data []byte) error {
	select {
	case <-s.speak:
		return s.Memory.Send(ctx, data)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestProbeOfNewcomer: who was not told yet that it is registered is not asked
// either.
func TestProbeOfNewcomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks})
		slow := &tongueTied{&slowPinger{}, make(chan struct{})}
		old := server.serveAs(func(m *transport.Memory) transport.Transport { slow.Memory = m; return slow })
		old.send(register("dev"))
		synctest.Wait()
		young, _ := server.as(anyone("me"))
		young.send(register("dev"))
		young.expectRefusal()
		close(slow.speak)
		old.expect(object{"type": "heartbeat"})
		if n := slow.count(); n != 0 {
			t.Errorf("pinged %d times", n)
		}
	})
}
