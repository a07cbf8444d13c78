package endpoint

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// TestDeafToolAfterAnother: whatever has been called before, and whatever a tool
// has asked its context for, it has exactly its time.
func TestDeafToolAfterAnother(t *testing.T) {
	const timeout = 10 * time.Second
	deaf := func(begin func(context.Context)) func(context.Context, messages.Value) (any, error) {
		return func(ctx context.Context, _ messages.Value) (any, error) {
			begin(ctx)
			<-time.After(time.Hour)
			return nil, nil
		}
	}
	tools := []Tool{
		tool("short", func(context.Context, messages.Value) (any, error) {
			<-time.After(3 * time.Second)
			return nil, nil
		}),
		tool("long", func(context.Context, messages.Value) (any, error) {
			<-time.After(timeout - time.Nanosecond)
			return nil, nil
		}),
		tool("deaf", deaf(func(context.Context) {})),
		tool("half-deaf", deaf(func(ctx context.Context) { ctx.Done() })),
	}
	for _, last := range []string{"deaf", "half-deaf"} {
		for _, before := range [][]string{nil, {"short"}, {"long"}, {"short", "long", "short"}, {"long", "long"}} {
			t.Run(fmt.Sprint(before, last), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server, _, _ := runDevice(t, DeviceOptions{CommandTimeout: timeout, Tools: tools})
					for i := range 5 {
						for j, name := range before {
							id := fmt.Sprint("before ", i, j)
							server.send(command(id, name))
							server.results(id)
						}
						start, id := time.Now(), fmt.Sprint("last ", i)
						server.send(command(id, last))
						if got, want := server.results(id), "failure error="+errToolTimeout.Error(); got != want {
							t.Errorf("the results are %q, want %q", got, want)
						}
						if took := time.Since(start); took != timeout {
							t.Errorf("it took %s, want %s", took, timeout)
						}
					}
				})
			})
		}
	}
}

// TestDeafToolAfterAWait: the time of a tool that had to wait for an earlier run
// is over when that of its command is, also if it does not look.
func TestDeafToolAfterAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		server, _, _ := runDevice(t, DeviceOptions{CommandTimeout: 10 * time.Second, Tools: []Tool{
			tool("deaf", func(ctx context.Context, _ messages.Value) (any, error) {
				if n.Add(1) == 1 {
					<-time.After(7 * time.Second)
					return nil, ctx.Err()
				}
				<-time.After(time.Hour)
				return nil, nil
			}),
		}})
		server.send(command("r", "deaf"))
		synctest.Wait()
		server.send(object{"type": "task_end", "status": "failed", "session_id": "s"})
		server.results("r")
		start := time.Now()
		server.send(command("r", "deaf"))
		if got, want := server.results("r"), "failure error="+errToolTimeout.Error(); got != want {
			t.Errorf("the results are %q, want %q", got, want)
		}
		if took := time.Since(start); took != 10*time.Second || n.Load() != 2 {
			t.Errorf("it took %s, and %d calls", took, n.Load())
		}
	})
}

// TestWorkers: whatever tools do, and whenever their tasks end, each command is
// answered when it has to be, and there is one worker for the next one.
func TestWorkers(t *testing.T) {
	const timeout = 10 * time.Second
	// What tools do: how long they take, unless they hear that they are to end
	// before, and what they do then.
	type behaviour struct {
		takes time.Duration
		hears bool
		end   func()
	}
	behaviours := map[string]behaviour{
		"quick":          {0, false, func() {}},
		"short":          {3 * time.Second, false, func() {}},
		"patient":        {12 * time.Second, true, func() {}},
		"deaf":           {25 * time.Second, false, func() {}},
		"panic":          {2 * time.Second, false, func() { panic("test") }},
		"late panic":     {25 * time.Second, false, func() { panic("test") }},
		"leave":          {2 * time.Second, false, runtime.Goexit},
		"leave late":     {25 * time.Second, false, runtime.Goexit},
		"leave if ended": {12 * time.Second, true, runtime.Goexit},
	}
	names := slices.Sorted(maps.Keys(behaviours))
	fails := func(name string) bool {
		return behaviours[name].takes > timeout || name == "panic" || name == "leave"
	}
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			var tools []Tool
			for name, b := range behaviours {
				tools = append(tools, tool(name, func(ctx context.Context, _ messages.Value) (any, error) {
					var done <-chan struct{}
					if b.hears {
						done = ctx.Done()
					} else if time.Now().Second()%2 == 0 { // Asked for and not looked at.
						ctx.Done()
					}
					select {
					case <-done:
					case <-time.After(b.takes):
					}
					b.end()
					return nil, ctx.Err()
				}))
			}
			server, _, _ := runDevice(t, DeviceOptions{
				CommandTimeout: timeout, Tools: tools, ResultCache: ResultCacheOptions{MaxResults: random.IntN(2) - 1},
			})
			for i := range 100 {
				var actions []string
				for range 1 + random.IntN(4) {
					actions = append(actions, names[random.IntN(len(names))])
				}
				// Never when a tool ends.
				taskEnd := time.Duration(random.IntN(30))*time.Second + time.Second/2
				var want time.Duration
				for _, name := range actions {
					want = min(want+min(behaviours[name].takes, timeout), taskEnd)
					if fails(name) || want == taskEnd {
						break
					}
				}
				start, id := time.Now(), fmt.Sprint("r", i)
				server.send(command(id, actions...))
				timer := time.AfterFunc(taskEnd, func() {
					server.send(object{"type": "task_end", "status": "failed", "session_id": "s"})
				})
				server.results(id)
				if took := time.Since(start); took != want {
					t.Errorf("seed %d: %q took %s, want %s, its task had %s", seed, actions, took, want, taskEnd)
				}
				timer.Stop()
				<-time.After(time.Duration(random.IntN(5)) * time.Second)
			}
		})
	}
}

// TestCausesInTools: a tool can know why it has to end, whether it has asked for
// Done before or asks for the cause alone.
func TestCausesInTools(t *testing.T) {
	ends := map[error]func(*peer, context.CancelFunc){
		errToolTimeout: func(*peer, context.CancelFunc) {},
		errTaskEnded: func(p *peer, _ context.CancelFunc) {
			p.send(object{"type": "task_end", "status": "failed", "session_id": "s"})
		},
		context.Canceled: func(_ *peer, stop context.CancelFunc) { stop() },
	}
	for want, end := range ends {
		for _, asks := range []bool{true, false} {
			t.Run(fmt.Sprint(want, asks), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ours, theirs := transport.NewPair(nil)
					causes := make(chan error, 1)
					device, err := NewDevice(&DeviceOptions{
						ID: "d", Dial: dialer(ours), Reconnect: &ReconnectOptions{Off: true}, HeartbeatInterval: -1, CommandTimeout: 10 * time.Second,
						Tools: []Tool{tool("x", func(ctx context.Context, _ messages.Value) (any, error) {
							if asks {
								ctx.Done()
							}
							<-time.After(time.Minute)
							causes <- context.Cause(ctx)
							return nil, nil
						})},
					})
					if err != nil {
						t.Fatal(err)
					}
					ctx, stop := context.WithCancel(context.Background())
					defer stop()
					ended := make(chan error, 1)
					go func() { ended <- device.Run(ctx) }()
					server := &peer{t, theirs}
					server.expect(object{"type": "register"})
					server.send(object{"type": "heartbeat", "status": "ok"})
					start := time.Now()
					server.send(command("r", "x"))
					<-time.After(time.Second)
					end(server, stop)
					if err := <-causes; err != want {
						t.Errorf("the cause is %v, want %v", err, want)
					}
					stop()
					if err := <-ended; err != nil || time.Since(start) != time.Minute {
						t.Errorf("Run returned %v after %s", err, time.Since(start))
					}
					_ = theirs.Close()
				})
			})
		}
	}
}
