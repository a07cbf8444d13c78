package endpoint

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

// TestThousandCuts: connections of a session that come and go, in every way,
// leave nothing behind, neither in the server's counts nor in goroutines.
func TestThousandCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: commanding(1), MaxConnections: 3, SilenceTimeout: time.Hour})
		work := &worker{}
		device := w.device(DeviceOptions{Tools: []Tool{work.tool()}})
		c, _ := w.constellation(ConstellationOptions{})
		if _, err := c.Run(soon(t), "dev", TaskRequest{Request: "work"}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		before := runtime.NumGoroutine()
		for i := range 1000 {
			switch i % 3 {
			case 0:
				w.cable("dev").cut()
			case 1:
				w.cable("dev").cutClient()
			default:
				w.cable("con@dev").cut()
			}
			<-time.After(100 * time.Millisecond)
			synctest.Wait()
		}
		<-time.After(time.Minute)
		if _, err := c.Run(soon(t), "dev", TaskRequest{Request: "work"}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if got := w.resumed("dev") + w.resumed("con@dev"); got != 1000 {
			t.Errorf("resumed %d times", got)
		}
		w.server.mu.Lock()
		connections, online := len(w.server.connections), len(w.server.online)
		w.server.mu.Unlock()
		if connections != 2 || online != 2 {
			t.Errorf("there are %d connections and %d clients", connections, online)
		}
		// One goroutine more for each lent connection.
		if after := runtime.NumGoroutine(); after > before+6 {
			t.Errorf("there were %d goroutines, and now %d", before, after)
		}
		device.stop()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		checkEmpty(t, w.server)
	})
}

// TestFullServer: a server that has as many connections as it may takes back
// those of its clients that have lost theirs, and not more.
func TestFullServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: commanding(1), MaxConnections: 2})
		work := &worker{takes: 10 * time.Second}
		w.device(DeviceOptions{Tools: []Tool{work.tool()}})
		c, _ := w.constellation(ConstellationOptions{})
		task := run(c, TaskRequest{Request: "work"})
		if end := part(t, w.peer("stranger")); end.code != transport.StatusTryAgainLater {
			t.Errorf("a stranger was turned away with %v", end.code)
		}
		server := w.down()
		w.cable("dev").cut()
		w.cable("con@dev").cut()
		synctest.Wait()
		w.up(server)
		stranger := w.peer("stranger")
		stranger.send(register("stranger"))
		if end := part(t, stranger); end.code != transport.StatusTryAgainLater {
			t.Errorf("a stranger was turned away with %v", end.code)
		}
		if _, err := task.wait(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if w.resumed("dev") != 1 || w.resumed("con@dev") != 1 {
			t.Error("the clients did not get back in")
		}
		if end := part(t, w.peer("stranger")); end.code != transport.StatusTryAgainLater {
			t.Errorf("a stranger was turned away with %v", end.code)
		}
	})
}

// TestDeviceStopsWhileReconnecting: the end of Run's context ends attempts and
// waits at once.
func TestDeviceStopsWhileReconnecting(t *testing.T) {
	for _, first := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, &ServerOptions{Handler: noTasks})
			server := w.server
			if first {
				w.down()
			}
			device := w.device(DeviceOptions{Reconnect: &ReconnectOptions{}})
			if !first {
				w.down()
				w.cable("dev").cut()
			}
			<-time.After(time.Minute)
			start := time.Now()
			device.stop()
			err := <-device.ended
			if time.Since(start) != 0 {
				t.Errorf("Run took %v", time.Since(start))
			}
			if first != errors.Is(err, context.Canceled) || !first && err != nil {
				t.Errorf("Run returned %v", err)
			}
			if !first {
				if got := server.Clients(); len(got) != 1 || !got[0].Detached {
					t.Errorf("the server has %v", got)
				}
				<-time.After(2 * time.Minute)
			}
			checkEmpty(t, server)
		})
	}
}

// TestDeviceStopsInAnAttempt: so does the end of the context while the dialer or
// the server takes its time.
func TestDeviceStopsInAnAttempt(t *testing.T) {
	for _, dialing := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, &ServerOptions{Handler: noTasks})
			n := 0
			device := w.device(DeviceOptions{Dial: func(ctx context.Context, url string) (transport.Transport, error) {
				if n++; n == 1 {
					return w.plug("dev")
				}
				if dialing {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				ours, theirs := transport.NewPair(nil)
				t.Cleanup(func() { _ = theirs.Close() })
				return ours, nil // and nobody answers
			}})
			w.cable("dev").cut()
			<-time.After(time.Second)
			start := time.Now()
			device.stop()
			if err := <-device.ended; err != nil || time.Since(start) != 0 {
				t.Errorf("Run returned %v after %v", err, time.Since(start))
			}
			if n != 2 {
				t.Errorf("there were %d attempts", n)
			}
		})
	}
}

// TestConstellationStopsWhileReconnecting: Close and Disconnect end a link that
// has no connection at once, with its tasks.
func TestConstellationStopsWhileReconnecting(t *testing.T) {
	stops := map[string]struct {
		stop func(*Constellation) error
		want error
	}{
		"Close":      {(*Constellation).Close, ErrClosed},
		"Disconnect": {func(c *Constellation) error { return c.Disconnect("dev") }, ErrNotConnected},
	}
	for name, test := range stops {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, &ServerOptions{Handler: commanding(1)})
				work := &worker{takes: time.Hour}
				w.device(DeviceOptions{Tools: []Tool{work.tool()}})
				c, events := w.constellation(ConstellationOptions{Reconnect: &ReconnectOptions{}})
				task := run(c, TaskRequest{Request: "work"})
				done := c.Done("dev")
				w.down()
				w.cable("con@dev").cut()
				<-time.After(time.Minute)
				start := time.Now()
				if err := test.stop(c); err != nil {
					t.Error(err)
				}
				<-done
				if _, err := task.wait(); !errors.Is(err, ErrTaskLost) {
					t.Errorf("Run returned %v", err)
				}
				if time.Since(start) != 0 {
					t.Errorf("it took %v", time.Since(start))
				}
				if _, err := c.Run(soon(t), "dev", TaskRequest{Request: "work"}); !errors.Is(err, test.want) {
					t.Errorf("Run returned %v", err)
				}
				if got := events.of(EventDisconnected); len(got) != 1 {
					t.Errorf("observed %v", got)
				}
			})
		})
	}
}

// TestConnectWhileReconnecting: Connect for a device whose link is reconnecting
// makes no second link, and returns when that is connected.
func TestConnectWhileReconnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: commanding(1)})
		work := &worker{}
		w.device(DeviceOptions{Tools: []Tool{work.tool()}})
		c, _ := w.constellation(ConstellationOptions{})
		server := w.down()
		w.cable("con@dev").cut()
		synctest.Wait()
		connected := make(chan error, 3)
		for range 3 {
			go func() { connected <- c.Connect(soonIn(t, time.Minute), "dev", "test://server") }()
		}
		<-time.After(10 * time.Second)
		if n := len(connected); n != 0 {
			t.Fatalf("%d Connects returned without a connection", n)
		}
		short, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := c.Connect(short, "dev", "test://server"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Connect returned %v", err)
		}
		w.up(server)
		for range 3 {
			if err := <-connected; err != nil {
				t.Errorf("Connect returned %v", err)
			}
		}
		if _, err := c.Run(soon(t), "dev", TaskRequest{Request: "work"}); err != nil {
			t.Errorf("Run returned %v", err)
		}
		synctest.Wait()
		if got := len(w.of(EventRegistered, "con@dev")); got != 2 {
			t.Errorf("registered %d times", got)
		}
	})
}
