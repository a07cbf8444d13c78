package endpoint

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// TestGoexitInHandler: a handler that ends its goroutine instead of returning,
// as [testing.T.FailNow] does, has failed; nobody waits for it.
func TestGoexitInHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: func(context.Context, *Task) (any, error) {
			runtime.Goexit()
			return nil, nil
		}})
		dev := server.device("dev")
		dev.send(object{"type": "task", "status": "continue", "session_id": "s", "request": "r"})
		dev.expect(object{"type": "heartbeat", "session_id": "s"})
		dev.expect(object{"type": "task_end", "status": "failed", "session_id": "s", "error": errHandlerPanic.Error()})
	})
}

// TestGoexitInTool: the same for a tool. Other commands go on, though it has
// ended the worker's goroutine, in its time or after it.
func TestGoexitInTool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		server, _, _ := runDevice(t, DeviceOptions{CommandTimeout: time.Second, Tools: []Tool{
			tool("leave", func(context.Context, messages.Value) (any, error) {
				runtime.Goexit()
				return nil, nil
			}),
			tool("leave late", func(context.Context, messages.Value) (any, error) {
				<-free
				runtime.Goexit()
				return nil, nil
			}),
			tool("one", func(context.Context, messages.Value) (any, error) { return 1, nil }),
		}})
		skipped := "; skipped error=" + skippedText
		server.send(command("1", "leave", "one"))
		if got, want := server.results("1"), "failure error="+errToolPanic.Error()+skipped; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		server.send(command("2", "leave late", "one"))
		if got, want := server.results("2"), "failure error="+errToolTimeout.Error()+skipped; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		server.send(command("3", "one"))
		if got := server.results("3"); got != "success result=1" {
			t.Errorf("got %q", got)
		}
		close(free)
		synctest.Wait()
		server.send(command("4", "one"))
		if got := server.results("4"); got != "success result=1" {
			t.Errorf("got %q", got)
		}
		server.expectNothing(time.Second)
	})
}

// unwritable panics when it is encoded.
type unwritable struct{}

func (unwritable) MarshalJSON() ([]byte, error) { panic("no") }

// TestPanicInResult: a result that panics when it is encoded is a failure.
func TestPanicInResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _, _ := runDevice(t, DeviceOptions{Tools: []Tool{
			tool("odd", func(context.Context, messages.Value) (any, error) { return unwritable{}, nil }),
		}})
		server.send(command("1", "odd"))
		if got := server.results("1"); got != "failure error="+errToolPanic.Error() {
			t.Errorf("got %q", got)
		}
	})
}
