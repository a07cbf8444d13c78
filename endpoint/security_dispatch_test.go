package endpoint

import (
	"errors"
	"testing"
	"testing/synctest"
)

// TestDispatchedIDs: a device that is handed a task cannot name a session by what
// is no name, either.
func TestDispatchedIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks})
		device := server.device("dev")
		result := make(chan error, 1)
		go func() {
			_, err := server.Dispatch(soon(t), DispatchRequest{DeviceID: "dev", Request: "work"})
			result <- err
		}()
		m := device.expect(object{"type": "task"})
		device.send(object{
			"type": "task", "status": "continue", "session_id": "s\r\nforged", "request": "work",
			"task_name": m["task_name"], "request_id": "q",
		})
		device.expect(object{"type": "error", "error": invalidID})
		device.expect(object{"type": "task_end", "status": "failed"})
		if err := <-result; !errors.Is(err, ErrTaskRefused) {
			t.Errorf("Dispatch returned %v", err)
		}
		stillOpen(device)
	})
}
