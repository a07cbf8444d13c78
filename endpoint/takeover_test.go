package endpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// twoTokens are those of the clients in the tests below: "mine" and "again" are
// of one principal, "other" is of another one that may be anything.
func twoTokens(t *testing.T) Authenticator {
	return tokens(t, map[string]Principal{"mine": *anyone("me"), "again": *anyone("me"), "other": *anyone("other")})
}

// TestTakeoverOfStaleID: who comes with the same credentials under the id of a
// client whose connection is half-open has its place in seconds, with and without
// a session; nobody else has, and nobody has the place of one that answers.
func TestTakeoverOfStaleID(t *testing.T) {
	asDevice, asConstellation := register("dev"), constellationOf("dev", "")
	inSession := offering("dev", "device", "", "")
	for name, test := range map[string]struct {
		old, young object
		by         string
		options    ServerOptions
		alive      bool
		want       bool
	}{
		"half-open":                    {old: asDevice, young: asDevice, by: "mine", want: true},
		"half-open, renewed token":     {old: asDevice, young: asDevice, by: "again", want: true},
		"half-open constellation":      {old: asConstellation, young: asConstellation, by: "mine", want: true},
		"half-open session":            {old: inSession, young: asDevice, by: "mine", want: true},
		"half-open, asks for session":  {old: asDevice, young: inSession, by: "mine", want: true},
		"other principal":              {old: asDevice, young: asDevice, by: "other"},
		"other role":                   {old: asDevice, young: asConstellation, by: "mine"},
		"alive":                        {old: asDevice, young: asDevice, by: "mine", alive: true},
		"alive in session":             {old: inSession, young: inSession, by: "mine", alive: true},
		"never":                        {old: asDevice, young: asDevice, by: "mine", options: ServerOptions{ProbeTimeout: -1}},
		"shared token proves nothing":  {old: asDevice, young: asDevice, by: "shared", options: ServerOptions{Token: "shared"}},
		"nothing shown proves nothing": {old: asDevice, young: asDevice},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := test.options
				o.Handler = noTasks
				first := "mine"
				switch {
				case o.Token != "":
					first = o.Token
				case test.by != "":
					o.Authenticate = twoTokens(t)
				}
				p := newPlace(t, o)
				old := p.peer(first)
				old.send(test.old)
				old.expect(object{"type": "heartbeat", "status": "ok"})
				reading := make(chan error, 1)
				go func() { _, err := old.tr.Receive(context.Background()); reading <- err }()
				synctest.Wait() // The server knows that it has confirmed.
				if !test.alive {
					p.lose()
				}
				start := time.Now()
				young := p.peer(test.by)
				young.send(test.young)
				if !test.want {
					if text := young.expectRefusal(); !strings.Contains(text, "already registered") {
						t.Errorf("the refusal is %q", text)
					}
					if n := len(p.of(EventDisconnected)) + len(p.of(EventDetached)); n != 0 || time.Since(start) > time.Second {
						t.Errorf("%d clients were disconnected, after %v", n, time.Since(start))
					}
				} else {
					young.expect(object{"type": "heartbeat", "status": "ok"})
					if took := time.Since(start); took != defaultProbeTimeout {
						t.Errorf("it took %v", took)
					}
					gone := p.of(EventDisconnected)
					if len(gone) != 1 || !errors.Is(gone[0].Err, ErrTakenOver) || gone[0].ClientID != "dev" || gone[0].Principal != "me" {
						t.Errorf("observed %+v", gone)
					}
					if n := len(p.of(EventRegistered)); n != 2 {
						t.Errorf("%d registered", n)
					}
					stillOpen(young)
				}
				_ = old.tr.Close()
				<-reading
			})
		})
	}
}

// TestTakeoverEndsTasks: what a device that is replaced was doing fails at once,
// as of a device that is lost.
func TestTakeoverEndsTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan error, 1)
		p := newPlace(t, ServerOptions{Authenticate: twoTokens(t), Handler: func(ctx context.Context, task *Task) (any, error) {
			_, err := task.Do(ctx, messages.Command{ToolName: "x", ToolType: messages.ToolAction})
			failed <- err
			return nil, err
		}})
		old := p.peer("mine")
		old.send(register("dev"))
		old.expect(object{"type": "heartbeat"})
		requester := p.as1("other", constellationOf("con", ""))
		requester.task("dev", "s", "work")
		requester.expect(object{"type": "heartbeat", "session_id": "s"})
		old.expect(object{"type": "command"})
		links := p.network.Links()
		for _, l := range links[:1] {
			l.BlackHole(0)
			l.BlackHole(1)
		}
		p.as1("mine", register("dev"))
		if err := <-failed; !errors.Is(err, ErrDeviceLost) {
			t.Errorf("the command failed with %v", err)
		}
		requester.expect(object{"type": "task_end", "status": "failed"})
	})
}

// as1 connects with a token and registers.
func (p *place) as1(token string, registration object) *peer {
	p.t.Helper()
	c := p.peer(token)
	c.send(registration)
	c.expect(object{"type": "heartbeat", "status": "ok"})
	return c
}

// eachSecond tries again after a second.
type eachSecond struct{}

func (eachSecond) NextDelay(int, error) (time.Duration, bool) { return time.Second, true }

// TestTwoLiveClientsFight: two programs with the same id and the same credentials
// want to be there for two minutes: the first one stays, is never disconnected,
// and the other one never gets in.
func TestTwoLiveClientsFight(t *testing.T) {
	for _, resume := range []bool{false, true} {
		t.Run(fmt.Sprint("resume ", resume), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t, ServerOptions{Handler: noTasks, Authenticate: twoTokens(t)})
				ctx, stop := context.WithCancel(context.Background())
				registered := [2]*recorder{{}, {}}
				var all sync.WaitGroup
				for i := range registered {
					device, err := NewDevice(&DeviceOptions{
						ID: "dev", Dial: p.dial("mine"), Observer: registered[i].observe, Platform: messages.PlatformLinux,
						Reconnect: &ReconnectOptions{Strategy: eachSecond{}, NoResume: !resume},
					})
					if err != nil {
						t.Fatal(err)
					}
					all.Go(func() { _ = device.Run(ctx) })
					synctest.Wait()
				}
				<-time.After(2 * time.Minute)
				a, b := len(registered[0].of(EventRegistered)), len(registered[1].of(EventRegistered))
				if a != 1 || b != 0 {
					t.Errorf("the first one registered %d times, the second one %d times", a, b)
				}
				if n := len(p.of(EventDisconnected)) + len(p.of(EventDetached)); n != 0 {
					t.Errorf("%d were disconnected", n)
				}
				if n := len(p.of(EventRejected)); n < 10 {
					t.Errorf("only %d attempts were refused", n)
				}
				stop()
				all.Wait()
			})
		})
	}
}

// TestEvictedClientStaysOut: a client that was replaced, and is alive after all,
// comes back and does not replace its successor.
func TestEvictedClientStaysOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, ServerOptions{Handler: noTasks, Authenticate: twoTokens(t)})
		ctx, stop := context.WithCancel(context.Background())
		var all sync.WaitGroup
		run := func() *recorder {
			r := &recorder{}
			device, err := NewDevice(&DeviceOptions{
				ID: "dev", Dial: p.dial("mine"), Observer: r.observe, Platform: messages.PlatformLinux,
				Reconnect: &ReconnectOptions{Strategy: eachSecond{}, NoResume: true},
			})
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() { _ = device.Run(ctx) })
			synctest.Wait()
			return r
		}
		first := run()
		p.lose() // Its network is gone for a while, unnoticed.
		second := run()
		<-time.After(2 * time.Minute)
		if a, b := len(first.of(EventRegistered)), len(second.of(EventRegistered)); a != 1 || b != 1 {
			t.Errorf("registered %d and %d times", a, b)
		}
		if lost := second.of(EventDisconnected); len(lost) != 0 {
			t.Errorf("the successor was disconnected: %+v", lost)
		}
		if lost := first.of(EventDisconnected); len(lost) != 1 {
			t.Errorf("the first one was disconnected %d times", len(lost))
		}
		stop()
		all.Wait()
	})
}

// slowPinger counts the pings of a transport, and answers them when told to.
type slowPinger struct {
	*transport.Memory
	mu     sync.Mutex
	pings  int
	answer chan struct{}
}

func (p *slowPinger) Ping(ctx context.Context) error {
	p.mu.Lock()
	p.pings++
	p.mu.Unlock()
	select {
	case <-p.answer:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *slowPinger) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pings
}

// TestProbesAreBounded: however many clients want an id, and however fast, its
// owner is asked once at a time, and once in a while; the others are refused at
// once, and counted as registrations.
func TestProbesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		server := startServer(t, &ServerOptions{Handler: noTasks, Observer: r.observe, Limits: &Limits{RegistrationsPerMinute: 200}})
		client, end := transport.NewPair(nil)
		slow := &slowPinger{Memory: end, answer: make(chan struct{})}
		go func() { _ = server.Serve(WithPrincipal(context.Background(), anyone("me")), slow) }()
		old := &peer{t, client}
		t.Cleanup(func() { _ = client.Close() })
		old.send(register("dev"))
		old.expect(object{"type": "heartbeat"})
		synctest.Wait()

		waiting, _ := server.as(anyone("me"))
		waiting.send(register("dev"))
		synctest.Wait()
		refuse := func(n int) {
			t.Helper()
			start := time.Now()
			for range n {
				c, _ := server.as(anyone("me"))
				c.send(register("dev"))
				c.expectRefusal()
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("the refusals took %v", took)
			}
		}
		refuse(50) // while the first one waits
		slow.answer <- struct{}{}
		waiting.expectRefusal()
		refuse(50) // just after
		if n := slow.count(); n != 1 {
			t.Errorf("pinged %d times", n)
		}
		<-time.After(defaultProbeTimeout)
		waiting, _ = server.as(anyone("me"))
		waiting.send(register("dev"))
		<-time.After(time.Second)
		old.send(object{"type": "heartbeat", "status": "ok"}) // A sign of life as good as any.
		waiting.expectRefusal()
		if n := slow.count(); n != 2 {
			t.Errorf("pinged %d times", n)
		}
		refuse(97) // 200 registrations are all that there are, and a few for the time
		for i := range 40 {
			c, result := server.as(anyone("me"))
			c.send(register("dev"))
			if _, err := c.next(); err == nil && i < 39 {
				c.expectClose()
				continue
			}
			if err := <-result; !errors.Is(err, ErrTooManyRegistrations) {
				t.Errorf("Serve returned %v", err)
			}
			break
		}
		if n := len(r.of(EventDisconnected)); n != 0 {
			t.Errorf("%d were disconnected", n)
		}
	})
}

// TestResumedDuringProbe: a client that comes back to its session while it is
// asked for keeps its place.
func TestResumedDuringProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, ServerOptions{Handler: noTasks, Authenticate: twoTokens(t)})
		old := p.peer("mine")
		old.send(offering("dev", "device", "", ""))
		token, _ := old.joined()
		synctest.Wait()
		p.lose()
		young := p.peer("mine")
		young.send(register("dev"))
		<-time.After(time.Second)
		back := p.peer("mine")
		back.send(offering("dev", "device", "", token))
		if _, resumed := back.joined(); !resumed {
			t.Error("the session was not resumed")
		}
		young.expectRefusal()
		stillOpen(back)
		if n := len(p.of(EventDisconnected)); n != 0 {
			t.Errorf("%d were disconnected", n)
		}
	})
}
