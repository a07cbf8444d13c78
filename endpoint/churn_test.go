package endpoint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// TestChurn: devices and constellations come and go, in order and by cuts,
// while tasks run. Every Run ends with a result or a TaskError, every accepted
// task ends once, and nothing is left behind.
func TestChurn(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("one connection/", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { churn(t, seed, false) })
		})
		t.Run(fmt.Sprint("resumed/", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { churn(t, seed, true) })
		})
	}
}

func churn(t *testing.T, seed uint64, resume bool) {
	const (
		devices, constellations, tasks = 4, 3, 60
		meanTime                       = 300 * time.Millisecond
	)
	r := &recorder{}
	server := startServer(t, &ServerOptions{Handler: recordedHandler, Observer: r.observe, CommandTimeout: 2 * time.Second})
	hub := transport.NewMemoryHub()
	listener, err := hub.Listen("server", nil)
	if err != nil {
		t.Fatal(err)
	}
	var (
		all  sync.WaitGroup
		lock sync.Mutex
		// The latest links of the devices and of the constellations, by what
		// they belong to: an older one of the same is over.
		links = map[string]transport.Transport{}
	)
	all.Go(func() {
		for {
			end, err := listener.Accept(context.Background())
			if err != nil {
				return
			}
			all.Go(func() { _ = server.Serve(context.Background(), end) })
		}
	})
	dial := func(name string) func(context.Context, string) (transport.Transport, error) {
		return func(ctx context.Context, url string) (transport.Transport, error) {
			link := hub.NewTransport(nil)
			if err := link.Connect(ctx, url); err != nil {
				return nil, err
			}
			lock.Lock()
			defer lock.Unlock()
			links[name] = link
			return link, nil
		}
	}
	random := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) }
	ctx, stop := context.WithCancel(context.Background())
	reconnect := &ReconnectOptions{Off: !resume, Strategy: quick{}}

	for i := range devices {
		random := random(uint64(i))
		device, err := NewDevice(&DeviceOptions{ID: fmt.Sprint("d", i), URL: "mem://server", Dial: dial(fmt.Sprint("d", i)), Reconnect: reconnect, Tools: []Tool{
			tool("execute_command", func(ctx context.Context, _ messages.Value) (any, error) {
				select {
				case <-time.After(meanTime / 2):
					return "done", nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}),
		}})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for ctx.Err() == nil {
				living, leave := context.WithTimeout(ctx, time.Duration(random.Int64N(int64(8*meanTime))))
				_ = device.Run(living) // however it ends, it is run again
				leave()
				<-time.After(time.Millisecond)
			}
		})
	}
	// Now and then a cable is pulled, of each in turn.
	all.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			<-time.After(meanTime)
			name := fmt.Sprint("d", n/2%devices)
			if n%2 == 1 {
				name = fmt.Sprint("c", n/2%constellations)
			}
			lock.Lock()
			if link := links[name]; link != nil {
				delete(links, name)
				abort(link, errors.New("cut"))
			}
			lock.Unlock()
		}
	})
	var users sync.WaitGroup
	outcomes := make(chan error, constellations*tasks)
	for i := range constellations {
		random := random(uint64(100 + i))
		c, err := NewConstellation(&ConstellationOptions{Name: fmt.Sprint("c", i), Dial: dial(fmt.Sprint("c", i)), AckTimeout: time.Second, Reconnect: reconnect})
		if err != nil {
			t.Fatal(err)
		}
		users.Go(func() {
			defer c.Close()
			var runs sync.WaitGroup
			for range tasks {
				device := fmt.Sprint("d", random.IntN(devices))
				given := time.Duration(random.Int64N(int64(6 * meanTime)))
				runs.Go(func() {
					if err := c.Connect(ctx, device, "mem://server"); err != nil {
						outcomes <- nil // the device is not there now
						return
					}
					_, err := c.Run(ctx, device, TaskRequest{Request: "work", Timeout: given + 1})
					outcomes <- err
				})
				<-time.After(time.Duration(random.Int64N(int64(meanTime))))
			}
			runs.Wait()
		})
	}
	users.Wait()
	stop()
	if err := errors.Join(listener.Close(), server.Close()); err != nil {
		t.Error(err)
	}
	all.Wait()
	close(outcomes)

	kinds := map[error]int{}
	for err := range outcomes {
		var failed *TaskError
		if err != nil && !errors.As(err, &failed) {
			t.Errorf("Run returned %v", err)
		} else if err != nil {
			kinds[failed.Kind]++
		} else {
			kinds[nil]++
		}
	}
	expected := []error{nil, ErrTaskFailed, ErrTaskTimeout}
	if !resume {
		expected = append(expected, ErrTaskLost)
	}
	for _, kind := range expected {
		if kinds[kind] == 0 {
			t.Errorf("no task ended with %v, so that is not tested: %v", kind, kinds)
		}
	}
	ends := map[string]int{}
	for _, e := range r.of(EventTaskEnded) {
		ends[e.SessionID]++
	}
	for _, e := range r.of(EventTaskAccepted) {
		if ends[e.SessionID] != 1 {
			t.Errorf("task %s ended %d times", e.SessionID, ends[e.SessionID])
		}
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if len(server.online)+len(server.sessions)+len(server.connections)+server.unended != 0 {
		t.Errorf("left are %d clients, %d sessions, %d connections, %d ends", len(server.online), len(server.sessions), len(server.connections), server.unended)
	}
	resumed := 0
	for _, e := range r.of(EventRegistered) {
		if e.Resumed {
			resumed++
		}
	}
	if (resumed > 0) != resume || resumed > len(r.of(EventDetached)) {
		t.Errorf("%d sessions were resumed, %d detached", resumed, len(r.of(EventDetached)))
	}
	if in, out := len(r.of(EventRegistered))-resumed, len(r.of(EventDisconnected)); in != out || in < devices {
		t.Errorf("%d registered, %d disconnected", in, out)
	}
}

// quick tries again after a moment.
type quick struct{}

func (quick) NextDelay(int, error) (time.Duration, bool) { return 50 * time.Millisecond, true }
