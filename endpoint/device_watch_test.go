package endpoint

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
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
