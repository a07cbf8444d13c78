package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

// parted is the end of a connection as its client sees it.
type parted struct {
	at   time.Time
	code transport.StatusCode
	hint time.Duration // negative: none
	ends []object      // the task_ends that came before
}

// part answers commands until the connection ends.
func part(t *testing.T, p *peer) parted {
	var seen parted
	for {
		text, err := p.tr.Receive(context.Background())
		if err != nil {
			var end *transport.CloseError
			if !errors.As(err, &end) {
				t.Errorf("Receive returned %v", err)
				return seen
			}
			seen.at, seen.code, seen.hint = time.Now(), end.Code, -1
			if hint, ok := end.RetryAfter(); ok {
				seen.hint = hint
			}
			return seen
		}
		switch m := parse(t, string(text)); m["type"] {
		case "command":
			p.answer(m, "done")
		case "task_end":
			seen.ends = append(seen.ends, m)
		}
	}
}

// TestDrain: a server of 1,000 connections ends. Running tasks come to their
// own end, connections are closed one after the other, with 1001 and a time to
// come back, and nothing is left.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			pairs  = 500
			busy   = 200
			spread = 10 * time.Second // the default for so many
			window = 100 * time.Millisecond
			task   = 30 * time.Second // of the longest
		)
		server := startServer(t, &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
			<-task.Draining()
			n, err := strconv.Atoi(task.Request)
			if err != nil {
				return nil, err
			}
			<-time.After(time.Duration(n) * time.Second)
			_, err = task.Do(ctx, call("save"))
			return "saved", err
		}})
		var (
			all  sync.WaitGroup
			lock sync.Mutex
			seen = map[string]parted{}
		)
		watch := func(name string, p *peer) {
			all.Go(func() {
				end := part(t, p)
				lock.Lock()
				defer lock.Unlock()
				seen[name] = end
			})
		}
		for i := range pairs {
			id := fmt.Sprint("d", i)
			device := server.device(id)
			constellation := server.constellation("c"+id, id)
			if i < busy {
				// Half of them end together, the others one by one.
				seconds := 20
				if i%2 == 0 {
					seconds = i % 31
				}
				constellation.task(id, "s"+id, strconv.Itoa(seconds))
				constellation.accepted("s" + id)
			}
			watch(id, device)
			watch("c"+id, constellation)
		}
		start := time.Now()
		if err := server.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown returned %v", err)
		}
		if took := time.Since(start); took < task || took > task+2*time.Second {
			t.Errorf("Shutdown took %v", took)
		}
		all.Wait()

		var times []time.Duration
		hints := map[time.Duration]bool{}
		early := 0
		for name, end := range seen {
			if end.code != transport.StatusGoingAway || end.hint < time.Second || end.hint > 2*time.Second {
				t.Errorf("%s was closed with %v and the hint %v", name, end.code, end.hint)
			}
			hints[end.hint] = true
			times = append(times, end.at.Sub(start))
			if end.at.Sub(start) <= spread {
				early++
			}
			i, err := strconv.Atoi(name[len(name)-len(trimID(name)):])
			if err != nil {
				t.Fatal(err)
			}
			if i >= busy {
				if len(end.ends) != 0 || end.at.Sub(start) > spread {
					t.Errorf("%s, which was idle, got %v and was closed after %v", name, end.ends, end.at.Sub(start))
				}
				continue
			}
			if len(end.ends) != 1 || end.ends[0]["status"] != "completed" || end.ends[0]["result"] != "saved" {
				t.Errorf("%s saw its task end with %v", name, end.ends)
			}
		}
		if len(times) != 2*pairs || early < 2*(pairs-busy) {
			t.Errorf("%d connections ended, %d of them while the idle ones were closed", len(times), early)
		}
		if len(hints) < pairs/2 {
			t.Errorf("the hints are all of %d kinds", len(hints))
		}
		slices.Sort(times)
		for i := range times {
			most := i
			for most < len(times) && times[most] < times[i]+window {
				most++
			}
			if share := most - i; share > 2*pairs*2/100 {
				t.Errorf("%d connections were closed within %v of %v", share, window, times[i])
			}
		}
		if last := times[len(times)-1]; last < task {
			t.Errorf("the last connection was closed after %v", last)
		}
	})
}

// trimID returns the number at the end of a name.
func trimID(name string) string {
	for i := len(name); i > 0; i-- {
		if name[i-1] < '0' || name[i-1] > '9' {
			return name[i:]
		}
	}
	return name
}

// TestDrainForces: at the end of its context, Shutdown does what Close does,
// and handlers know when that is.
func TestDrainForces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const given = 10 * time.Second
		deadlines := make(chan time.Time, 1)
		server, device, constellation := trio(t, &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
			if end, ok := task.DrainDeadline(); ok {
				t.Errorf("there is a deadline at %v before the end", end)
			}
			<-task.Draining()
			end, _ := task.DrainDeadline()
			deadlines <- end
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}})
		idle := server.device("idle")
		constellation.task("dev", "s", "work")
		constellation.accepted("s")
		synctest.Wait() // until the handler runs
		ctx, cancel := context.WithTimeout(context.Background(), given)
		defer cancel()
		start := time.Now()
		results := make(chan parted, 3)
		for _, p := range []*peer{device, constellation, idle} {
			go func() { results <- part(t, p) }()
		}
		if err := server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown returned %v", err)
		}
		if took := time.Since(start); took != given {
			t.Errorf("Shutdown took %v", took)
		}
		if end := <-deadlines; !end.Equal(start.Add(given)) {
			t.Errorf("the handler knew of %v", end)
		}
		for i := range 3 {
			end := <-results
			if end.code != transport.StatusGoingAway || end.hint < time.Second {
				t.Errorf("closed with %v, %v", end.code, end.hint)
			}
			if i == 0 {
				if after := end.at.Sub(start); after > time.Second || len(end.ends) != 0 {
					t.Errorf("the idle connection was closed after %v, with %v", after, end.ends)
				}
			} else if len(end.ends) != 1 || end.ends[0]["status"] != "failed" {
				t.Errorf("the task ended with %v", end.ends)
			}
		}
	})
}

// TestDrainSpread: the spread is as it is asked for, but never longer than the
// context's time.
func TestDrainSpread(t *testing.T) {
	const n = 40
	tests := map[string]struct {
		spread, given time.Duration
		least, most   time.Duration // of the last closing
	}{
		"default":         {0, 0, 380 * time.Millisecond, 400 * time.Millisecond},
		"as asked":        {time.Minute, 0, 57 * time.Second, time.Minute},
		"at once":         {-1, 0, 0, 0},
		"within the time": {time.Hour, 10 * time.Second, 9 * time.Second, 10*time.Second - 1},
		"with time":       {time.Second, time.Hour, 900 * time.Millisecond, time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := startServer(t, &ServerOptions{Handler: noTasks, DrainSpread: test.spread, RegistrationTimeout: -1})
				start := time.Now()
				ends := make(chan parted, n)
				for i := range n {
					var p *peer
					if i%2 == 0 {
						p = server.device(fmt.Sprint("d", i))
					} else {
						p = server.connect() // and never registers
					}
					go func() { ends <- part(t, p) }()
				}
				synctest.Wait()
				ctx, cancel := context.WithCancel(context.Background())
				if test.given > 0 {
					ctx, cancel = context.WithTimeout(context.Background(), test.given)
				}
				defer cancel()
				if err := server.Shutdown(ctx); err != nil {
					t.Errorf("Shutdown returned %v", err)
				}
				if took := time.Since(start); took < test.least || took > test.most {
					t.Errorf("Shutdown took %v", took)
				}
				for range n {
					if end := <-ends; end.code != transport.StatusGoingAway || end.hint < 0 {
						t.Errorf("closed with %v, %v", end.code, end.hint)
					}
				}
			})
		})
	}
}

// TestShutdownAgain: Shutdown can be called any number of times, also beside
// Close; all of them return when the server has ended, and the first context to
// end counts.
func TestShutdownAgain(t *testing.T) {
	tests := map[string]struct {
		second func(*Server) error
		want   error
		took   time.Duration
	}{
		"the same":  {func(s *Server) error { return s.Shutdown(context.Background()) }, nil, time.Hour},
		"Close":     {(*Server).Close, nil, time.Minute},
		"cancelled": {func(s *Server) error { return s.Shutdown(canceled()) }, context.Canceled, time.Minute},
		"in less time": {func(s *Server) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return s.Shutdown(ctx)
		}, context.DeadlineExceeded, time.Minute + time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, device, constellation := trio(t, &ServerOptions{Handler: func(ctx context.Context, _ *Task) (any, error) {
					select {
					case <-time.After(time.Hour):
						return "done", nil
					case <-ctx.Done():
						return nil, context.Cause(ctx)
					}
				}})
				constellation.task("dev", "s", "work")
				constellation.accepted("s")
				start := time.Now()
				first := make(chan error, 1)
				go func() { first <- server.Shutdown(context.Background()) }()
				<-time.After(time.Minute)
				second := make(chan error, 1)
				go func() { second <- test.second(server.Server) }()
				if err := <-second; !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
					t.Errorf("the second call returned %v", err)
				}
				if err := <-first; err != nil {
					t.Errorf("the first call returned %v", err)
				}
				if took := time.Since(start).Truncate(time.Second); took != test.took {
					t.Errorf("they took %v", took)
				}
				for _, p := range []*peer{device, constellation} {
					if end := part(t, p); end.code != transport.StatusGoingAway || len(end.ends) != 1 {
						t.Errorf("closed with %v after %v", end.code, end.ends)
					}
				}
				if err := server.Shutdown(context.Background()); err != nil {
					t.Errorf("the third call returned %v", err)
				}
			})
		})
	}
}

// TestShutdownsWithDeadlines: whichever comes first bounds the closing of idle
// connections, for which nobody has to be cut off.
func TestShutdownsWithDeadlines(t *testing.T) {
	for _, given := range [][2]time.Duration{{0, 10 * time.Second}, {10 * time.Second, 0}, {10 * time.Second, time.Hour}, {time.Hour, 10 * time.Second}} {
		t.Run(fmt.Sprint(given), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := startServer(t, &ServerOptions{Handler: noTasks, DrainSpread: 100 * time.Hour})
				for i := range 20 {
					p := server.device(fmt.Sprint(i))
					go part(t, p)
				}
				start := time.Now()
				results := make(chan error, 2)
				for _, d := range given {
					ctx, cancel := context.WithCancel(context.Background())
					if d > 0 {
						ctx, cancel = context.WithTimeout(context.Background(), d)
					}
					defer cancel()
					go func() { results <- server.Shutdown(ctx) }()
					synctest.Wait()
				}
				for range 2 {
					if err := <-results; err != nil {
						t.Errorf("Shutdown returned %v", err)
					}
				}
				if took := time.Since(start); took < 5*time.Second || took >= 10*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestDrainWithDepartures: clients that leave by themselves do not hold
// Shutdown up for the time that was meant for them.
func TestDrainWithDepartures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks, DrainSpread: 10 * time.Hour})
		peers := []*peer{server.device("a"), server.device("b"), server.device("c")}
		start := time.Now()
		down := make(chan error, 1)
		go func() { down <- server.Shutdown(context.Background()) }()
		synctest.Wait()
		for _, p := range peers {
			p.close()
		}
		if err := <-down; err != nil {
			t.Errorf("Shutdown returned %v", err)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("Shutdown took %v", took)
		}
	})
}

// TestRetryHint: who comes to a server that ends is told when to come back, and
// nobody if that is not wanted; a server that lives on has no such wish.
func TestRetryHint(t *testing.T) {
	tests := map[string]struct {
		hint        time.Duration
		least, most time.Duration
		headers     []string
	}{
		"default":  {0, time.Second, 2 * time.Second, []string{"2"}},
		"own":      {10 * time.Second, 10 * time.Second, 20 * time.Second, []string{"11", "12", "13", "14", "15", "16", "17", "18", "19", "20"}},
		"too long": {1000 * time.Hour, time.Hour, time.Hour, []string{"3600"}},
		"none":     {-1, -1, -1, []string{""}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := startServer(t, &ServerOptions{Handler: noTasks, RetryHint: test.hint, MaxConnections: 1})
				p := server.device("d")
				if end := part(t, server.connect()); end.code != transport.StatusTryAgainLater || end.hint != -1 {
					t.Errorf("a full server closed with %v, %v", end.code, end.hint)
				}
				if header := refusal(t, server); header != "" {
					t.Errorf("a full server said %q", header)
				}
				go func() { _ = server.Shutdown(context.Background()) }()
				check := func(end parted) {
					if end.code != transport.StatusGoingAway || end.hint < test.least || end.hint > test.most {
						t.Errorf("closed with %v, %v", end.code, end.hint)
					}
				}
				check(part(t, p))
				for range 20 {
					check(part(t, server.connect()))
					if header := refusal(t, server); !slices.Contains(test.headers, header) {
						t.Errorf("the header is %q", header)
					}
				}
			})
		})
	}
}

// refusal returns the header Retry-After with which a request is refused.
func refusal(t *testing.T, server *testServer) string {
	answer := httptest.NewRecorder()
	server.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/ws", nil))
	if answer.Code != http.StatusServiceUnavailable {
		t.Errorf("the status is %d", answer.Code)
	}
	return answer.Header().Get("Retry-After")
}
