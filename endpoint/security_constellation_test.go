package endpoint

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
)

// TestForeignEnd: the end of a task, and the acceptance before it, count only if
// they come over the connection of the device that runs it (spec 5.14): the
// server of another device cannot forge them.
func TestForeignEnd(t *testing.T) {
	for _, accepted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, x := newConstellation(t, ConstellationOptions{})
			servers := map[string]*peer{}
			for _, device := range []string{"d", "evil"} {
				result := make(chan error, 1)
				go func() { result <- c.Connect(soon(t), device, "ws://x/ws") }()
				servers[device] = x.registration(device)
				servers[device].confirm()
				if err := <-result; err != nil {
					t.Fatal(err)
				}
			}
			run := c.start(context.Background(), TaskRequest{ID: "t", Request: "work"})
			task := servers["d"].expect(object{"type": "task"})
			ack := object{"type": "heartbeat", "status": "ok", "session_id": task["session_id"]}
			end := func(result string) object {
				return object{"type": "task_end", "status": "completed", "session_id": task["session_id"], "result": result}
			}
			if accepted {
				servers["d"].send(ack)
				synctest.Wait()
			}
			servers["evil"].send(ack)
			servers["evil"].send(end("forged"))
			servers["evil"].send(object{"type": "error", "status": "error", "session_id": task["session_id"], "error": "forged"})
			synctest.Wait()
			select {
			case <-run.done:
				t.Fatalf("the task ended with %+v, %v", run.result, run.err)
			default:
			}
			if !accepted {
				servers["d"].send(ack)
			}
			servers["d"].send(end("genuine"))
			result, err := run.wait()
			if err != nil || !strings.Contains(result.Result.String(), "genuine") {
				t.Errorf("Run returned %+v, %v", result, err)
			}
		})
	}
}
