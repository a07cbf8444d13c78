package endpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
)

// reader is a device whose session can be resumed, driven by a test: it reads
// all the time, and answers what the test wants it to.
type reader struct {
	t     *testing.T
	link  *resilience.Link
	proto *protocol.Client
	got   chan *messages.ServerMessage // the commands
}

// reader connects the device "dev".
func (w *world) reader() *reader {
	w.t.Helper()
	link, err := newReconnecting(&ReconnectOptions{Strategy: quick{}}, connector{
		dial: w.dial("dev"),
		registration: func(context.Context) *messages.ClientMessage {
			return messages.NewDeviceRegistration("dev", messages.PlatformLinux, messages.Value{})
		},
		connected: func(resilience.Connection) {},
		lost:      func(error) {},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	r := &reader{t: w.t, link: link, got: make(chan *messages.ServerMessage, 1000)}
	if r.proto, err = protocol.NewClient(link, nil); err != nil {
		w.t.Fatal(err)
	}
	r.proto.SetIdentity(protocol.Identity{ClientID: "dev", ClientType: messages.Device})
	r.proto.Handle(messages.ServerCommand, func(_ context.Context, m *messages.ServerMessage) error {
		r.got <- m
		return nil
	})
	if err := link.Connect(soon(w.t), "test://server"); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.proto.Run(context.Background())
	}()
	w.t.Cleanup(func() {
		_ = link.Close()
		<-ended
	})
	synctest.Wait()
	return r
}

// receive returns the commands that have come.
func (r *reader) receive() []*messages.ServerMessage {
	synctest.Wait()
	var all []*messages.ServerMessage
	for {
		select {
		case m := <-r.got:
			all = append(all, m)
		default:
			return all
		}
	}
}

// expect returns the commands that have come, which have to be of these
// sessions.
func (r *reader) expect(sessions ...string) []*messages.ServerMessage {
	r.t.Helper()
	all := r.receive()
	var got []string
	for _, m := range all {
		got = append(got, m.SessionID)
	}
	if !slices.Equal(got, sessions) {
		r.t.Fatalf("got commands of %q, want those of %q", got, sessions)
	}
	return all
}

// answer answers a command.
func (r *reader) answer(m *messages.ServerMessage) {
	r.t.Helper()
	results := make([]messages.Result, len(m.Actions))
	for i := range results {
		results[i].Status = messages.ResultSuccess
	}
	if err := protocol.NewCommandAnswer(r.proto, m).Send(kept(context.Background()), results); err != nil {
		r.t.Error(err)
	}
	synctest.Wait()
}

// doings are what calls of Do have brought: the session, the error in short, and
// when.
type doings struct {
	mu    sync.Mutex
	start time.Time
	list  []string
}

// do is a handler of one command.
func (d *doings) do(ctx context.Context, task *Task) (any, error) {
	_, err := task.Do(ctx, call("x"))
	d.note(task.SessionID, err)
	return nil, err
}

func (d *doings) note(session string, err error) {
	what := "ok"
	for name, is := range map[string]error{"timeout": ErrCommandTimeout, "device": ErrDeviceLost, "requester": ErrRequesterLost, "deadline": context.DeadlineExceeded} {
		if errors.Is(err, is) {
			what = name
		}
	}
	if err != nil && (what == "ok" || !errors.As(err, new(*CommandError))) {
		what = err.Error()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, fmt.Sprint(session, " ", what, " ", time.Since(d.start)))
}

// check checks what has been noted.
func (d *doings) check(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.list, want) {
		t.Errorf("the commands ended as\n%s\nwant\n%s", strings.Join(d.list, "\n"), strings.Join(want, "\n"))
	}
}

// ask has p ask for tasks, one after the other.
func ask(p *peer, sessions ...string) {
	p.t.Helper()
	for _, session := range sessions {
		p.task("dev", session, "work")
		p.accepted(session)
		synctest.Wait()
	}
}

// numbered returns n ids of sessions.
func numbered(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint("s", i))
	}
	return ids
}

// commandTest is a server with a device that reads and a constellation.
func commandTest(t *testing.T, options *ServerOptions, run func(w *world, d *doings, device *reader, p *peer)) {
	synctest.Test(t, func(t *testing.T) {
		d := &doings{start: time.Now()}
		if options.Handler == nil {
			options.Handler = d.do
		}
		w := newWorld(t, options)
		device := w.reader()
		run(w, d, device, w.server.constellation("con", "dev"))
		checkCommands(t, w.server)
	})
}

// checkCommands checks that no more is left of commands than may be.
func checkCommands(t *testing.T, s *testServer) {
	t.Helper()
	synctest.Wait()
	device := s.client("dev")
	if device == nil {
		return
	}
	q := &device.commands
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) != 0 || q.awaited != 0 || q.sending || len(q.sent) > maxUnderway {
		t.Errorf("left are %d waiting, %d sent and %d awaited commands, sending: %t", len(q.waiting), len(q.sent), q.awaited, q.sending)
	}
}

// TestCommandsAhead: a device that reads on has a few commands at a time, in the
// order of the calls of Do, and one more with each answer.
func TestCommandsAhead(t *testing.T) {
	commandTest(t, &ServerOptions{}, func(_ *world, d *doings, device *reader, p *peer) {
		sessions := numbered(3 * maxUnderway)
		ask(p, sessions...)
		underway := device.expect(sessions[:maxUnderway]...)
		var want []string
		for i, session := range sessions {
			device.answer(underway[0])
			want = append(want, session+" ok 0s")
			d.check(t, want...)
			underway = underway[1:]
			if next := i + maxUnderway; next < len(sessions) {
				underway = append(underway, device.expect(sessions[next])...)
			}
		}
		device.expect()
	})
}

// TestClockOfCommands: the time that a device has for a command begins when
// those before it have ended, so that each has all of it; and that it does not
// answer one takes nothing from the others.
func TestClockOfCommands(t *testing.T) {
	options := func() *ServerOptions { return &ServerOptions{CommandTimeout: 10 * time.Second} }
	tests := map[string]struct {
		answers []int // which are answered, each after 9 s
		want    []string
	}{
		"slow":         {[]int{0, 1, 2}, []string{"s0 ok 9s", "s1 ok 18s", "s2 ok 27s"}},
		"first":        {[]int{1, 2}, []string{"s1 ok 9s", "s0 timeout 10s", "s2 ok 18s"}},
		"second":       {[]int{0, 2}, []string{"s0 ok 9s", "s2 ok 18s", "s1 timeout 19s"}},
		"out of order": {[]int{2, 1, 0}, []string{"s2 ok 9s", "s0 timeout 10s", "s1 ok 18s"}},
		"none":         {nil, []string{"s0 timeout 10s", "s1 timeout 20s", "s2 timeout 30s"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			commandTest(t, options(), func(_ *world, d *doings, device *reader, p *peer) {
				ask(p, numbered(3)...)
				commands := device.expect(numbered(3)...)
				for _, i := range test.answers {
					<-time.After(9 * time.Second)
					device.answer(commands[i])
				}
				<-time.After(time.Minute)
				d.check(t, test.want...)
			})
		})
	}
}

// TestClockOfWaitingCommands: what has not been sent has no clock either, and
// has its own time in the end.
func TestClockOfWaitingCommands(t *testing.T) {
	commandTest(t, &ServerOptions{CommandTimeout: 10 * time.Second}, func(_ *world, d *doings, device *reader, p *peer) {
		n := maxUnderway + 2
		ask(p, numbered(n)...)
		var want []string
		for i := range n {
			want = append(want, fmt.Sprintf("s%d timeout %v", i, time.Duration(i+1)*10*time.Second))
		}
		<-time.After(time.Hour)
		d.check(t, want...)
		device.expect(numbered(n)...)
	})
}

// TestGivenUpCommands: what nobody waits for any more is at the device
// nevertheless: it gets no others in their place until it is done with them, but
// always one that somebody waits for.
func TestGivenUpCommands(t *testing.T) {
	d := &doings{start: time.Now()}
	options := &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
		if strings.HasPrefix(task.SessionID, "short") {
			limited, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			ctx = limited
		}
		return d.do(ctx, task)
	}}
	commandTest(t, options, func(w *world, _ *doings, device *reader, p *peer) {
		d.start = time.Now()
		ask(p, "s0", "short1", "short2", "s3", "s4", "s5")
		commands := device.expect("s0", "short1", "short2")
		<-time.After(time.Second)
		synctest.Wait()
		slices.Sort(d.list)
		d.check(t, "short1 deadline 1s", "short2 deadline 1s")
		device.expect()
		device.answer(commands[0])
		commands = append(commands, device.expect("s3")...)
		device.answer(commands[1]) // late
		commands = append(commands, device.expect("s4")...)
		device.answer(commands[3]) // and not the third, which it is done with
		commands = append(commands, device.expect("s5")...)
		device.answer(commands[4])
		device.answer(commands[5])
		d.check(t, "short1 deadline 1s", "short2 deadline 1s", "s0 ok 1s", "s3 ok 1s", "s4 ok 1s", "s5 ok 1s")
		if got := w.events.of(EventResultsDropped); len(got) != 1 || got[0].SessionID != "short1" {
			t.Errorf("dropped are %v", got)
		}

		var short []string
		for i := range 2 * maxUnderway {
			short = append(short, fmt.Sprint("short", i))
		}
		ask(w.server.constellation("second", "dev"), short...)
		device.expect(short[:maxUnderway]...)
		<-time.After(time.Second)
		device.receive() // Those that were sent before the rest was given up, too.
		ask(w.server.constellation("third", "dev"), "s6", "s7")
		last := device.expect("s6")
		<-time.After(time.Minute)
		device.answer(last[0])
		last = device.expect("s7")
		device.answer(last[0])
	})
}

// TestDeviceLostWithCommands: whoever waits for it is told, sent or not.
func TestDeviceLostWithCommands(t *testing.T) {
	commandTest(t, &ServerOptions{}, func(_ *world, d *doings, device *reader, p *peer) {
		sessions := numbered(2 * maxUnderway)
		ask(p, sessions...)
		device.expect(sessions[:maxUnderway]...)
		if err := device.link.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		slices.Sort(d.list)
		var want []string
		for _, session := range sessions {
			want = append(want, session+" device 0s")
		}
		d.check(t, want...)
	})
}

// TestCommandsThroughCuts: what a device has when its connection is lost is
// answered on the next one, and what follows is sent then: each once.
func TestCommandsThroughCuts(t *testing.T) {
	commandTest(t, &ServerOptions{}, func(w *world, d *doings, device *reader, p *peer) {
		sessions := numbered(3 * maxUnderway)
		ask(p, sessions...)
		underway := device.expect(sessions[:maxUnderway]...)
		var want []string
		for i, session := range sessions {
			server := w.down()
			w.cable("dev").cut()
			synctest.Wait()
			device.answer(underway[0])
			d.check(t, want...)
			w.up(server)
			<-time.After(time.Second)
			want = append(want, fmt.Sprint(session, " ok ", time.Duration(i)*time.Second+50*time.Millisecond))
			d.check(t, want...)
			underway = append(underway[1:], device.receive()...)
		}
		if n := w.resumed("dev"); n != len(sessions) {
			t.Errorf("resumed %d times", n)
		}
	})
}

// TestQueuedCommandIsNotRun: a command that waits at a Device is not run when
// its task ends before its turn.
func TestQueuedCommandIsNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &doings{start: time.Now()}
		w := newWorld(t, &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
			_, err := task.Do(ctx, messages.Command{
				ToolName: "work", ToolType: messages.ToolAction, Parameters: messages.Object{{Key: "of", Value: stringValue(task.SessionID)}}.Value(),
			})
			d.note(task.SessionID, err)
			return nil, err
		}})
		var ran []string
		device := w.device(DeviceOptions{Tools: []Tool{tool("work", func(_ context.Context, v messages.Value) (any, error) {
			<-time.After(time.Minute)
			ran = append(ran, v.String())
			return nil, nil
		})}})
		p := w.server.constellation("con", "dev")
		ask(p, "s0")
		leaving := w.server.constellation("leaving", "dev")
		ask(leaving, "s1")
		ask(p, "s2")
		leaving.close()
		d.check(t, "s1 requester 0s")
		<-time.After(time.Hour)
		d.check(t, "s1 requester 0s", "s0 ok 1m0s", "s2 ok 2m0s")
		if want := []string{`{"of":"s0"}`, `{"of":"s2"}`}; !slices.Equal(ran, want) {
			t.Errorf("the tool ran with %v", ran)
		}
		if got := device.events.of(EventResults); len(got) != 3 {
			t.Errorf("the device answered %v", got)
		}
		checkCommands(t, w.server)
	})
}

// TestRepeatedCommandAhead: a command that repeats one that is at the device
// waits for the answer to that, and keeps nobody waiting.
func TestRepeatedCommandAhead(t *testing.T) {
	commandTest(t, &ServerOptions{}, func(w *world, d *doings, device *reader, p *peer) {
		leaving := w.server.constellation("back", "dev")
		ask(p, "s0")
		leaving.send(request("s", "q"))
		leaving.accepted("s")
		first := device.expect("s0", "s")
		leaving.close()
		d.check(t, "s requester 0s")
		again := w.server.constellation("back", "dev")
		again.send(request("s", "q"))
		again.accepted("s")
		device.expect()
		ask(p, "s1")
		other := device.expect("s1")
		device.answer(first[0])
		device.expect()
		<-time.After(time.Second)
		device.answer(first[1])
		second := device.expect("s")
		if second[0].ResponseID != first[1].ResponseID {
			t.Errorf("the ids are %s and %s", first[1].ResponseID, second[0].ResponseID)
		}
		device.answer(other[0])
		device.answer(second[0])
		d.check(t, "s requester 0s", "s0 ok 0s", "s1 ok 1s", "s ok 1s")
	})
}

// TestCommandsOfOneTask: a task has one command underway, however many calls of
// Do there are; it takes turns with others, and its results are in order.
func TestCommandsOfOneTask(t *testing.T) {
	const calls = 20
	options := &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
		if task.SessionID != "many" {
			_, err := task.Do(ctx, call("x"))
			return nil, err
		}
		var all sync.WaitGroup
		for i := range calls {
			all.Go(func() {
				if _, err := task.Do(ctx, call(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
			<-time.After(time.Millisecond)
		}
		all.Wait()
		return nil, nil
	}}
	commandTest(t, options, func(_ *world, _ *doings, device *reader, p *peer) {
		p.task("dev", "many", "work")
		p.accepted("many")
		<-time.After(time.Second)
		ask(p, "other")
		commands := device.expect("many", "other")
		device.answer(commands[1])
		commands = commands[:1]
		for i := range calls {
			if got := commands[0].Actions[0].ToolName; got != fmt.Sprint(i) {
				t.Errorf("command %d is %s", i, got)
			}
			device.answer(commands[0])
			if i+1 < calls {
				commands = device.expect("many")
			}
		}
		p.expect(object{"type": "task_end", "session_id": "other"})
		end := p.expect(object{"type": "task_end", "session_id": "many"})
		if rounds := end["result"].([]any); len(rounds) != calls {
			t.Errorf("there are %d results", len(rounds))
		}
	})
}

// TestCommandsAtOnce: many tasks whose contexts end at any time, and a Device
// that is slow at times: every call of Do ends, and nothing is left.
func TestCommandsAtOnce(t *testing.T) {
	const tasks, calls = 40, 20
	var failed, ok sync.Map
	handler := func(ctx context.Context, task *Task) (any, error) {
		var all sync.WaitGroup
		for i := range calls {
			all.Go(func() {
				limited, cancel := context.WithTimeout(ctx, time.Duration(i%7)*time.Millisecond)
				defer cancel()
				if i%3 == 0 {
					limited = ctx
				}
				if _, err := task.Do(limited, call("work")); err != nil {
					failed.Store(fmt.Sprint(task.SessionID, "/", i), err)
				} else {
					ok.Store(fmt.Sprint(task.SessionID, "/", i), true)
				}
			})
		}
		all.Wait()
		return "done", nil
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: handler, Limits: &Limits{MessageRate: -1}})
		work := &worker{takes: time.Millisecond}
		w.device(DeviceOptions{Tools: []Tool{work.tool()}})
		p := w.server.constellation("con", "dev")
		for _, session := range numbered(tasks) {
			p.task("dev", session, "work")
		}
		for ends := 0; ends < tasks; {
			if p.receive()["type"] == "task_end" {
				ends++
			}
		}
		count := func(m *sync.Map) (n int) {
			m.Range(func(any, any) bool { n++; return true })
			return n
		}
		failed.Range(func(key, err any) bool {
			if !errors.Is(err.(error), context.DeadlineExceeded) {
				t.Errorf("%v failed: %v", key, err)
			}
			return true
		})
		if n := count(&ok); n < tasks*7 || n+count(&failed) != tasks*calls {
			t.Errorf("%d calls brought results, %d did not", n, count(&failed))
		}
		checkCommands(t, w.server)
	})
}

// TestCommandsAreSentInOrder: it is nobody's turn while one is being sent.
func TestCommandsAreSentInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q commandQueue
		q.widen(maxUnderway)
		turns := make(chan string, 2)
		for _, id := range []string{"a", "b"} {
			go func() {
				c := &queuedCommand{id: id, timeout: time.Hour, expire: func() {}, turn: make(chan struct{})}
				if err := q.enter(context.Background(), c); err != nil {
					t.Error(err)
				}
				turns <- id
				<-time.After(time.Second) // It is being sent.
				q.departed()
				q.end(c, answered)
			}()
			synctest.Wait()
		}
		if first := <-turns; first != "a" || len(turns) != 0 {
			t.Errorf("the turn is that of %s, and of %d more", first, len(turns))
		}
		<-time.After(time.Second)
		synctest.Wait()
		if len(turns) != 1 {
			t.Error("it was nobody's turn")
		}
		<-time.After(time.Hour)
	})
}
