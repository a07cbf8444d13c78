package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// counter is a tool that returns how often it was called.
func counter(name string) Tool {
	n := 0
	return tool(name, func(context.Context, messages.Value) (any, error) { n++; return n, nil })
}

// TestPendingCommands: while a command waits for its answer, only the same one
// goes without an answer of its own; not one with other content, of another
// session, without an id, or after the task was cut off.
func TestPendingCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _, _ := runDevice(t, DeviceOptions{Tools: []Tool{
			tool("wait", func(ctx context.Context, _ messages.Value) (any, error) {
				select {
				case <-time.After(time.Minute):
					return "waited", nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}),
		}})
		elsewhere := command("r", "wait")
		elsewhere["session_id"] = "other"
		for _, m := range []object{
			command("r", "wait"), command("r", "wait"), command("r", ""), elsewhere, command("", "wait"), command("", "wait"),
		} {
			server.send(m)
		}
		synctest.Wait()
		server.send(object{"type": "task_end", "status": "failed", "session_id": "s"})
		synctest.Wait()
		cutOff := "failure error=" + errTaskEnded.Error()
		if got := server.results("r"); got != cutOff {
			t.Error(got)
		}
		if got := server.results("r"); got != "success result=No action taken." {
			t.Error(got)
		}
		// The other session's is running now; queue this one's behind it, cut
		// it off there, and ask again.
		server.send(command("q", "wait"))
		synctest.Wait()
		server.send(object{"type": "task_end", "status": "failed", "session_id": "s"})
		synctest.Wait()
		server.send(command("q", "wait"))
		<-time.After(time.Hour)
		server.expect(object{"type": "command_results", "session_id": "other", "prev_response_id": "r"})
		for range 2 {
			server.expect(object{"type": "command_results", "session_id": "s"})
		}
		if got := server.results("q"); got != cutOff {
			t.Error(got)
		}
		if got := server.results("q"); got != "success result=waited" {
			t.Error(got)
		}
		server.expectNothing(time.Hour)
	})
}

// restartable is a device whose server is the test, connection by connection.
type restartable struct {
	t      *testing.T
	device *Device
	ends   chan transport.Transport
}

func newRestartable(t *testing.T, options DeviceOptions) *restartable {
	t.Helper()
	r := &restartable{t: t, ends: make(chan transport.Transport, 1)}
	options.ID, options.HeartbeatInterval = "d", -1
	if options.Reconnect == nil {
		options.Reconnect = &ReconnectOptions{Off: true}
	}
	options.Dial = func(context.Context, string) (transport.Transport, error) {
		ours, theirs := transport.NewPair(nil)
		r.ends <- theirs
		return ours, nil
	}
	device, err := NewDevice(&options)
	if err != nil {
		t.Fatal(err)
	}
	r.device = device
	return r
}

// run runs the device until its connection ends.
func (r *restartable) run(serve func(*peer)) {
	r.t.Helper()
	result := make(chan error, 1)
	go func() { result <- r.device.Run(context.Background()) }()
	p := &peer{r.t, <-r.ends}
	p.expect(object{"type": "register"})
	p.send(object{"type": "heartbeat", "status": "ok"})
	serve(p)
	_ = p.tr.Close()
	if err := <-result; !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		r.t.Errorf("Run returned %v", err)
	}
}

func cut(p *peer) { p.tr.(transport.Aborter).Abort(errors.New("cut")) }

// TestRepeatedCommand: a command that comes again is not run again. While it
// runs it gets one answer, afterwards the same one again; what is not the same
// command is run.
func TestRepeatedCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		server, _, _ := runDevice(t, DeviceOptions{Tools: []Tool{
			tool("count", func(context.Context, messages.Value) (any, error) {
				<-time.After(time.Second)
				n++
				return n, nil
			}),
			tool("other", func(context.Context, messages.Value) (any, error) { return "other", nil }),
		}})
		for range 3 {
			server.send(command("r", "count", "count"))
		}
		server.send(command("q", "count"))
		for range 3 {
			server.send(command("q", "count"))
		}
		if got := server.results("r"); got != "success result=1; success result=2" {
			t.Error(got)
		}
		if got := server.results("q"); got != "success result=3" {
			t.Error(got)
		}
		server.expectNothing(time.Minute)
		for range 2 {
			server.send(command("r", "count", "count"))
			if got := server.results("r"); got != "success result=1; success result=2" {
				t.Error(got)
			}
		}
		// Other content under the same ids is another command.
		server.send(command("r", "other", "count"))
		if got := server.results("r"); got != "success result=other; success result=2" {
			t.Error(got)
		}
		with := command("r", "count", "count")
		with["actions"].([]any)[0].(object)["parameters"] = object{"a": 1}
		server.send(with)
		if got := server.results("r"); got != "success result=4; success result=2" {
			t.Error(got)
		}
		other := command("r", "count")
		other["session_id"] = "other"
		server.send(other)
		server.expect(object{"session_id": "other", "prev_response_id": "r"})
		if n != 5 {
			t.Errorf("the tool ran %d times", n)
		}
		// Without an id nothing can be known again.
		for range 2 {
			server.send(command("", "count"))
			server.expect(object{"type": "command_results"})
		}
		if n != 7 {
			t.Errorf("the tool ran %d times", n)
		}
	})
}

// TestResultsOutliveTheConnection: a server that lost the connection and asks
// again is told what was done, also if that was done when nobody listened, and
// the rest of the command is done then.
func TestResultsOutliveTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waiting := make(chan struct{}, 1)
		tools := map[string]int{}
		count := func(name string, run func(context.Context) error) Tool {
			return tool(name, func(ctx context.Context, _ messages.Value) (any, error) {
				tools[name]++
				return tools[name], run(ctx)
			})
		}
		r := newRestartable(t, DeviceOptions{Tools: []Tool{
			count("quick", func(context.Context) error { return nil }),
			count("fails", func(context.Context) error { return errors.New("no luck") }),
			count("obeys", func(ctx context.Context) error {
				if tools["obeys"] > 1 {
					return nil
				}
				waiting <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}),
			count("finishes", func(ctx context.Context) error {
				if tools["finishes"] == 1 {
					waiting <- struct{}{}
					<-ctx.Done()
				}
				return nil
			}),
		}})
		r.run(func(p *peer) {
			p.send(command("answered", "quick", "fails", "quick"))
			p.results("answered")
			p.send(command("half", "quick", "obeys"))
			p.send(command("queued", "quick"))
			<-waiting
			cut(p)
		})
		r.run(func(p *peer) {
			p.send(command("whole", "finishes", "quick"))
			<-waiting
			cut(p)
		})
		r.run(func(p *peer) {
			p.send(command("answered", "quick", "fails", "quick"))
			if got := p.results("answered"); got != "success result=1; failure error=no luck; skipped error="+skippedText {
				t.Error(got)
			}
			p.send(command("half", "quick", "obeys"))
			if got := p.results("half"); got != "success result=2; success result=2" {
				t.Error(got)
			}
			p.send(command("queued", "quick"))
			if got := p.results("queued"); got != "success result=3" {
				t.Error(got)
			}
			p.send(command("whole", "finishes", "quick"))
			if got := p.results("whole"); got != "success result=1; success result=4" {
				t.Error(got)
			}
		})
		if tools["finishes"] != 1 || tools["fails"] != 1 {
			t.Errorf("the tools ran %v times", tools)
		}
	})
}

// TestTimeoutStays: what was answered is answered again, even if the tool came
// to another end after its time.
func TestTimeoutStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		server, _, _ := runDevice(t, DeviceOptions{CommandTimeout: time.Second, Tools: []Tool{
			tool("slow", func(context.Context, messages.Value) (any, error) { n++; <-time.After(time.Minute); return "late", nil }),
		}})
		for range 3 {
			server.send(command("r", "slow"))
			if got := server.results("r"); got != "failure error="+errToolTimeout.Error() {
				t.Error(got)
			}
			<-time.After(45 * time.Second)
		}
		if n != 1 {
			t.Errorf("the tool ran %d times", n)
		}
	})
}

// TestRepeatJoinsARun: a command whose task was cut off is not run beside its
// first run, which goes on nevertheless; what that brings is its result.
func TestRepeatJoinsARun(t *testing.T) {
	for name, fails := range map[string]bool{"done": false, "cut off": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, running := 0, 0
				server, _, _ := runDevice(t, DeviceOptions{Tools: []Tool{
					tool("deaf", func(ctx context.Context, _ messages.Value) (any, error) {
						n++
						if running++; running > 1 {
							t.Error("it runs twice")
						}
						<-time.After(time.Minute)
						running--
						if fails {
							return nil, ctx.Err()
						}
						return n, nil
					}),
				}})
				server.send(command("r", "deaf"))
				synctest.Wait()
				server.send(object{"type": "task_end", "status": "failed", "session_id": "s"})
				if got := server.results("r"); got != "failure error="+errTaskEnded.Error() {
					t.Error(got)
				}
				server.send(command("r", "deaf"))
				<-time.After(59 * time.Second)
				if server.waiting() != 0 {
					t.Errorf("answered early: %v", server.receive())
				}
				want := "success result=1"
				if fails {
					<-time.After(time.Minute)
					want = "success result=<nil>"
				}
				if got := server.results("r"); got != want {
					t.Error(got)
				}
			})
		})
	}
}

// TestRepeatWaitsInTime: the wait for an earlier run is part of the command's
// time.
func TestRepeatWaitsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		server, _, _ := runDevice(t, DeviceOptions{CommandTimeout: 20 * time.Second, Tools: []Tool{
			tool("deaf", func(context.Context, messages.Value) (any, error) { n++; <-time.After(time.Minute); return n, nil }),
		}})
		server.send(command("r", "deaf"))
		synctest.Wait()
		server.send(object{"type": "task_end", "status": "failed", "session_id": "s"})
		server.results("r")
		start := time.Now()
		server.send(command("r", "deaf"))
		server.send(command("r", "deaf")) // joins the wait
		<-time.After(20 * time.Second)
		if got := server.results("r"); got != "failure error="+errToolTimeout.Error() || time.Since(start) != 20*time.Second {
			t.Errorf("%s after %v", got, time.Since(start))
		}
		<-time.After(40 * time.Second)
		server.send(command("r", "deaf"))
		if got := server.results("r"); got != "success result=1" {
			t.Error(got)
		}
		server.expectNothing(time.Hour)
	})
}

// TestResultCacheBounds: the oldest results go when there are too many, or too
// large ones, or they are too old; one that is too large is not done again.
func TestResultCacheBounds(t *testing.T) {
	large := strings.Repeat("x", 6000)
	tests := map[string]struct {
		options ResultCacheOptions
		tool    string
		others  int // commands in between
		wait    time.Duration
		want    string
	}{
		"kept":        {ResultCacheOptions{}, "count", 255, 10*time.Minute - 1, "success result=1"},
		"one too far": {ResultCacheOptions{}, "count", 256, 0, "success result=2"},
		"too old":     {ResultCacheOptions{}, "count", 0, 10 * time.Minute, "success result=2"},
		"own number":  {ResultCacheOptions{MaxResults: 1}, "count", 1, 0, "success result=2"},
		"own age":     {ResultCacheOptions{MaxAge: time.Second}, "count", 0, time.Second, "success result=2"},
		"no age":      {ResultCacheOptions{MaxAge: -1}, "count", 0, 24 * 365 * time.Hour, "success result=1"},
		"bytes":       {ResultCacheOptions{MaxBytes: 5000}, "count", 10, 0, "success result=2"},
		"no bytes":    {ResultCacheOptions{MaxBytes: -1}, "count", 10, 0, "success result=1"},
		"too large":   {ResultCacheOptions{MaxBytes: 5000}, "large", 0, 0, "failure error=" + errResultNotKept.Error()},
		"off":         {ResultCacheOptions{MaxResults: -1}, "count", 0, 0, "success result=2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				larges := 0
				server, _, _ := runDevice(t, DeviceOptions{ResultCache: test.options, Tools: []Tool{
					counter("count"),
					tool("other", func(context.Context, messages.Value) (any, error) { return strings.Repeat("x", 1000), nil }),
					tool("large", func(context.Context, messages.Value) (any, error) { larges++; return large, nil }),
				}})
				server.send(command("r", test.tool))
				if got := server.results("r"); got != "success result=1" && got != "success result="+large {
					t.Error(got)
				}
				for i := range test.others {
					id := fmt.Sprint("o", i)
					server.send(command(id, "other"))
					server.results(id)
				}
				<-time.After(test.wait)
				server.send(command("r", test.tool))
				if got := server.results("r"); got != test.want {
					t.Errorf("got %s", got)
				}
				if larges > 1 {
					t.Errorf("the tool ran %d times", larges)
				}
			})
		})
	}
}

// TestResultCacheAccounts: what the cache believes to hold is what it holds.
func TestResultCacheAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := newResultCache(ResultCacheOptions{MaxResults: 10, MaxBytes: 10 * (entrySize + 100)})
		for i := range 1000 {
			m := messages.NewCommand(messages.CommandRequest{Actions: []messages.Command{{ToolName: fmt.Sprint(i % 7)}}})
			m.ResponseID, m.Actions[0].CallID = fmt.Sprint(i%31), ""
			call := cache.call(m, 0, hashAction(&m.Actions[0]))
			if _, ok, err := call.claim(context.Background()); err != nil {
				t.Fatal(err)
			} else if !ok {
				call.keep(messages.Result{Status: messages.ResultFailure, Error: strings.Repeat("x", i%300)})
				call.release()
			}
			sum := int64(0)
			for at := cache.order.Front(); at != nil; at = at.Next() {
				sum += entry(at).size
			}
			if sum != cache.size || sum > cache.options.MaxBytes || cache.order.Len() > 10 || cache.order.Len() != len(cache.entries) || len(cache.running) != 0 {
				t.Fatalf("after %d calls: %d entries, %d in order, %d of %d bytes, %d running",
					i+1, len(cache.entries), cache.order.Len(), sum, cache.size, len(cache.running))
			}
			<-time.After(time.Second)
		}
	})
}

func TestHashParts(t *testing.T) {
	seen := map[contentHash][]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"", "ab"}, {"ab", ""}, {"b", "a"}} {
		h := hashParts(parts...)
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %q have the same hash", parts, other)
		}
		seen[h] = parts
	}
}
