package endpoint

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"

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

// TestGoexitInTool: the same for a tool.
func TestGoexitInTool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := func(context.Context, messages.Value) (any, error) {
			runtime.Goexit()
			return nil, nil
		}
		server, _, _ := runDevice(t, DeviceOptions{Tools: []Tool{tool("leave", leave)}})
		server.send(command("1", "leave"))
		results := server.expect(object{"type": "command_results"})["action_results"].([]any)
		if result := results[0].(map[string]any); result["status"] != "failure" || result["error"] != errToolPanic.Error() {
			t.Errorf("the result is %v", result)
		}
	})
}
