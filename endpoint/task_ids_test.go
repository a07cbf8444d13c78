package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

var uuid8 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// sentIDs returns the ids of the commands that a fresh server sends for a task:
// two commands of two actions each, one of which has an id of its own.
func sentIDs(t *testing.T, constellation string, task object) []string {
	var ids []string
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
			own := call("own")
			for i := range 2 {
				own.CallID = fmt.Sprint("own", i)
				actions := []messages.Command{call("one"), own}
				if _, err := task.Do(ctx, actions...); err != nil {
					return nil, err
				}
				if actions[0].CallID != "" {
					t.Error("the caller's actions were changed")
				}
			}
			return nil, nil
		}})
		device := server.device("dev")
		p := server.constellation(constellation, "dev")
		p.send(task)
		p.expect(object{"type": "heartbeat"})
		for i := range 2 {
			command := device.answerCommand("ok")
			calls := callIDs(command)
			if calls[1] != fmt.Sprint("own", i) {
				t.Errorf("the call ids are %v", calls)
			}
			ids = append(ids, command["response_id"].(string), calls[0].(string))
		}
		p.expect(object{"type": "task_end", "status": "completed"})
	})
	return ids
}

// TestCommandIDs: the ids of commands follow from the request, if that has an
// id, and from nothing else.
func TestCommandIDs(t *testing.T) {
	first := sentIDs(t, "con", request("s", "q"))
	if again := sentIDs(t, "con", request("s", "q")); !reflect.DeepEqual(first, again) {
		t.Errorf("the ids are %v, then %v", first, again)
	}
	all := slices.Clone(first)
	for _, id := range first {
		if !uuid8.MatchString(id) {
			t.Errorf("%q is no UUID of version 8", id)
		}
	}
	words := request("s", "q")
	words["request"] = "play"
	all = append(all, sentIDs(t, "con", words)...)
	all = append(all, sentIDs(t, "con", request("s", "r"))...)
	all = append(all, sentIDs(t, "con", request("z", "q"))...)
	all = append(all, sentIDs(t, "other", request("s", "q"))...)
	for range 2 { // these are random
		all = append(all, sentIDs(t, "con", request("s", ""))...)
		all = append(all, sentIDs(t, "con", request("", "q"))...)
	}
	slices.Sort(all)
	if distinct := slices.Compact(slices.Clone(all)); len(distinct) != len(all) {
		t.Errorf("of %d ids only %d are distinct: %v", len(all), len(distinct), all)
	}
}

// TestServerRestartsInMidTask: the requester asks the new server for the same
// task; the device has done half of it and does only the other half.
func TestServerRestartsInMidTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const steps = 4
		done := map[string]int{}
		half := make(chan struct{})
		step := func(name string) Tool {
			return tool(name, func(context.Context, messages.Value) (any, error) {
				done[name]++
				if name == "step1" && done[name] == 1 {
					close(half) // the server goes before it has the results
					<-time.After(time.Second)
				}
				return done[name], nil
			})
		}
		options := &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
			for i := range steps {
				results, err := task.Do(ctx, call(fmt.Sprint("step", i)))
				if err != nil {
					return nil, err
				}
				if results[0].Result.String() != "1" {
					return nil, fmt.Errorf("step %d was done %s times", i, results[0].Result)
				}
			}
			return "done", nil
		}}
		var server *testServer
		var tools []Tool
		for i := range steps {
			tools = append(tools, step(fmt.Sprint("step", i)))
		}
		device, err := NewDevice(&DeviceOptions{ID: "dev", Tools: tools, Reconnect: &ReconnectOptions{Off: true}, Dial: func(context.Context, string) (transport.Transport, error) {
			return server.connect().tr, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		// run runs the task on a new server.
		run := func(during func(*peer)) {
			server = startServer(t, options)
			ended := make(chan error, 1)
			go func() { ended <- device.Run(context.Background()) }()
			synctest.Wait()
			p := server.constellation("con", "dev")
			p.send(request("s", "q"))
			p.accepted("s")
			during(p)
			if err := server.Close(); err != nil {
				t.Error(err)
			}
			if err := <-ended; !errors.Is(err, io.EOF) {
				t.Errorf("Run returned %v", err)
			}
		}
		run(func(*peer) { <-half })
		run(func(p *peer) { p.expect(object{"type": "task_end", "status": "completed", "result": "done"}) })
		for i := range steps {
			if name := fmt.Sprint("step", i); done[name] != 1 {
				t.Errorf("%s was done %d times", name, done[name])
			}
		}
	})
}

// TestUnanswered: an id is free when its answer has come, or is not to be
// waited for any longer, for one at a time, and few are remembered.
func TestUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u unanswered
		took := func(id string) time.Duration {
			start := time.Now()
			if err := u.claim(context.Background(), id); err != nil {
				t.Error(err)
			}
			return time.Since(start)
		}
		u.settle("unknown")
		if took("unknown") != 0 {
			t.Error("waited for what was never sent")
		}
		u.add("a")
		go func() {
			<-time.After(time.Second)
			u.settle("a")
		}()
		if d := took("a"); d != time.Second {
			t.Errorf("waited for %v", d)
		}
		u.add("b")
		if d := took("b"); d != answerTime {
			t.Errorf("waited for %v", d)
		}
		if err := u.claim(canceled(), "b"); !errors.Is(err, context.Canceled) {
			t.Errorf("claim returned %v", err)
		}
		var claimed atomic.Int32
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				took("b")
				claimed.Add(1)
			})
		}
		for want := range int32(3) {
			synctest.Wait()
			if n := claimed.Load(); n != want {
				t.Errorf("%d have the id after %d answers", n, want)
			}
			u.settle("b")
		}
		all.Wait()
		for i := range 3 * maxUnanswered {
			u.add(fmt.Sprint(i))
		}
		if len(u.commands) != maxUnanswered || u.commands[fmt.Sprint(3*maxUnanswered-1)] == nil {
			t.Errorf("%d are remembered", len(u.commands))
		}
	})
}
