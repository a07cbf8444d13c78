package protocol

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// lulled are the two sides of a connection: the client calls, and is in a lull.
type lulled struct {
	t      *testing.T
	c      *Client
	s      *Server
	mu     sync.Mutex
	pushed []string      // task ends that the client has handled
	slow   time.Duration // what the server takes to answer
	first  func()        // what the server does before it answers
}

// asker returns both sides of a connection. The server answers the client's
// questions about devices, after what it does before, if anything.
func asker(t *testing.T, before func()) (*Client, *Server) {
	t.Helper()
	c, s := newPair(t, nil, nil)
	as(c, messages.Constellation)
	s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
		if before != nil {
			before()
		}
		return AnswerDeviceInfo(ctx, s, m, value(t, map[string]any{"a": 1}))
	})
	return c, s
}

// inLull runs a test with a client that is in a lull.
func inLull(t *testing.T, test func(*testing.T, *lulled)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &lulled{t: t}
		l.c, l.s = asker(t, func() {
			if l.first != nil {
				l.first()
			}
			time.Sleep(l.slow)
		})
		l.c.Handle(messages.ServerTaskEnd, func(_ context.Context, m *messages.ServerMessage) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.pushed = append(l.pushed, m.TaskName)
			return nil
		})
		running(t, l.s)
		running(t, l.c)
		l.begin()
		test(t, l)
	})
}

// begin calls until there is a lull.
func (l *lulled) begin() {
	l.t.Helper()
	for range calm + 1 {
		l.call()
	}
	if !l.begun() {
		l.t.Fatal("there is no lull")
	}
}

func (l *lulled) call() {
	l.t.Helper()
	if _, err := RequestDeviceInfo(context.Background(), l.c, "dev"); err != nil {
		l.t.Fatalf("call: %v", err)
	}
	synctest.Wait()
}

// handled returns which task ends the client has handled.
func (l *lulled) handled() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.pushed, " ")
}

func (l *lulled) begun() bool {
	l.c.calls.mu.Lock()
	defer l.c.calls.mu.Unlock()
	return l.c.calls.lull.begun
}

// push has the server send something that is no reply.
func (l *lulled) push(i int) {
	l.t.Helper()
	must(l.t, l.s.Send(context.Background(), message(i)))
}

// soon checks that something took no longer than a lull may.
func (l *lulled) soon(what string, began time.Time) {
	l.t.Helper()
	if took := time.Since(began); took > 10*time.Millisecond { // A busy watchdog is slower.
		l.t.Errorf("%s took %v", what, took)
	}
}

// TestLullIsCalm: the callers read, one after the other, and Run waits.
func TestLullIsCalm(t *testing.T) {
	inLull(t, func(t *testing.T, l *lulled) {
		for range 100 {
			l.call()
			if !l.begun() {
				t.Fatal("the lull has ended")
			}
		}
	})
}

// TestLullEnds: without a call Run reads on, and what came is handled.
func TestLullEnds(t *testing.T) {
	inLull(t, func(t *testing.T, l *lulled) {
		began := time.Now()
		l.push(1)
		for l.handled() == "" {
			time.Sleep(100 * time.Microsecond)
			synctest.Wait()
			l.soon("the push", began)
		}
		if l.begun() {
			t.Error("there is a lull")
		}
		l.begin()
	})
}

// TestPushInALull: what is not for the caller who reads is handled, before the
// reply that came after it.
func TestPushInALull(t *testing.T) {
	inLull(t, func(t *testing.T, l *lulled) {
		l.first = func() { l.push(1); l.push(2) }
		l.call()
		l.first = nil
		if got := l.handled(); got != "1 2" {
			t.Errorf("handled: %q", got)
		}
		l.begin()
	})
}

// TestSlowReplyInALull: Run takes over from a caller who reads for too long, and
// handles what comes meanwhile.
func TestSlowReplyInALull(t *testing.T) {
	inLull(t, func(t *testing.T, l *lulled) {
		l.slow = 50 * time.Millisecond
		go func() {
			time.Sleep(20 * time.Millisecond)
			l.push(1)
			synctest.Wait()
			if l.handled() != "1" {
				t.Error("the push is not handled while a call waits")
			}
		}()
		l.call()
		l.slow = 0
		l.begin()
	})
}

// TestCallsOfOthersInALull: a second caller, whoever of them reads.
func TestCallsOfOthersInALull(t *testing.T) {
	for _, second := range []time.Duration{0, time.Microsecond, 2 * time.Millisecond} {
		inLull(t, func(t *testing.T, l *lulled) {
			l.slow = 100 * time.Microsecond
			var all sync.WaitGroup
			for i := range 2 {
				all.Go(func() {
					time.Sleep(time.Duration(i) * second)
					if _, err := RequestDeviceInfo(t.Context(), l.c, "dev"+strconv.Itoa(i)); err != nil {
						t.Errorf("caller %d: %v", i, err)
					}
				})
			}
			all.Wait()
			l.slow = 0
			l.begin()
		})
	}
}

// TestExpectInALull: who waits for something without reading is served at once.
func TestExpectInALull(t *testing.T) {
	inLull(t, func(t *testing.T, l *lulled) {
		reply, err := l.c.Expect(t.Context(), MatchTaskEnd("s"))
		must(t, err)
		began := time.Now()
		must(t, l.s.Send(t.Context(), &messages.ServerMessage{Type: messages.ServerTaskEnd, SessionID: "s", Status: messages.StatusCompleted, TaskName: "x"}))
		if _, err := reply.Wait(t.Context()); err != nil || time.Since(began) > 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// TestContextInALull: a caller who reads leaves when its context ends.
func TestContextInALull(t *testing.T) {
	inLull(t, func(t *testing.T, l *lulled) {
		l.slow = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Microsecond)
		defer cancel()
		began := time.Now()
		_, err := RequestDeviceInfo(ctx, l.c, "dev")
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 300*time.Microsecond {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// TestEndOfTheConnectionInALull: the caller who reads, and Run, are told.
func TestEndOfTheConnectionInALull(t *testing.T) {
	inLull(t, func(t *testing.T, l *lulled) {
		l.first = func() { _ = l.s.Close() }
		_, err := RequestDeviceInfo(t.Context(), l.c, "dev")
		var failed *CallError
		if !errors.As(err, &failed) || errors.Is(err, context.Canceled) {
			t.Errorf("call: %v", err)
		}
		synctest.Wait()
		if err := l.c.Run(t.Context()); errors.Is(err, ErrReading) {
			t.Errorf("Run has not ended: %v", err)
		}
	})
}

// TestRunStoppedInALull: Run ends at once, also while a caller reads.
func TestRunStoppedInALull(t *testing.T) {
	for _, reading := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var slow time.Duration
			c, s := asker(t, func() { time.Sleep(slow) })
			running(t, s)
			ctx, stop := context.WithCancel(t.Context())
			ran := make(chan error, 1)
			go func() { ran <- c.Run(ctx) }()
			for range 2 * calm {
				_, err := RequestDeviceInfo(t.Context(), c, "dev")
				must(t, err)
			}
			called := make(chan error, 1)
			if slow = time.Hour; reading {
				go func() {
					_, err := RequestDeviceInfo(t.Context(), c, "dev")
					called <- err
				}()
			}
			synctest.Wait()
			began := time.Now()
			stop()
			if err := <-ran; !errors.Is(err, context.Canceled) || time.Since(began) > 0 {
				t.Errorf("Run: %v after %v", err, time.Since(began))
			}
			if reading {
				if err := <-called; !errors.Is(err, ErrNotRunning) {
					t.Errorf("call: %v", err)
				}
			}
			must(t, c.Close())
		})
	}
}

// TestMiddlewareInALull: a middleware that panics, or ends the goroutine of the
// caller who reads, leaves a client that works.
func TestMiddlewareInALull(t *testing.T) {
	for name, fault := range map[string]func(){"panic": func() { panic("x") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			inLull(t, func(t *testing.T, l *lulled) {
				var faulty atomic.Bool
				faulty.Store(true)
				l.c.Use(Middleware[messages.ClientMessage, messages.ServerMessage]{
					Incoming: func(_ context.Context, m *messages.ServerMessage) (*messages.ServerMessage, error) {
						if faulty.Swap(false) {
							fault()
						}
						return m, nil
					},
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, _ = RequestDeviceInfo(ctx, l.c, "dev") // Its reply is lost.
				}()
				<-done
				l.begin()
			})
		})
	}
}

// TestLullsUnderStress: callers, pushes, slow replies and impatient callers, all
// at once: every call ends, and everything is handled once, in order.
func TestLullsUnderStress(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			c, s := asker(t, func() {
				if rand.IntN(60) == 0 {
					time.Sleep(time.Duration(rand.IntN(4000)) * time.Microsecond)
				}
			})
			next := 0
			c.Handle(messages.ServerTaskEnd, func(_ context.Context, m *messages.ServerMessage) error {
				if m.TaskName != strconv.Itoa(next) {
					t.Errorf("got %s, want %d", m.TaskName, next)
				}
				next++
				return nil
			})
			running(t, s)
			running(t, c)
			rnd := rand.New(rand.NewPCG(seed, 0))
			pushes := 0
			for range 500 {
				switch rnd.IntN(50) {
				case 0:
					must(t, s.Send(t.Context(), message(pushes)))
					pushes++
				case 1:
					time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
				case 2:
					var all sync.WaitGroup
					for i := range 3 {
						all.Go(func() {
							if _, err := RequestDeviceInfo(t.Context(), c, "dev"+strconv.Itoa(i)); err != nil {
								t.Errorf("call: %v", err)
							}
						})
					}
					all.Wait()
				case 3:
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(500))*time.Microsecond)
					if _, err := RequestDeviceInfo(ctx, c, "dev"); err != nil && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("call: %v", err)
					}
					cancel()
				default:
					if _, err := RequestDeviceInfo(t.Context(), c, "dev"); err != nil {
						t.Errorf("call: %v", err)
					}
				}
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if next != pushes {
				t.Errorf("%d of %d pushes handled", next, pushes)
			}
		})
	}
}

// TestFileInALull: the answer to the announcement of a file is read at once.
func TestFileInALull(t *testing.T) {
	inLull(t, func(t *testing.T, l *lulled) {
		dir := t.TempDir()
		must(t, l.s.HandleFiles(dir, nil, func(context.Context, *FileResult, error) error { return nil }))
		path := filepath.Join(t.TempDir(), "f")
		must(t, os.WriteFile(path, []byte("data"), 0o600))
		began := time.Now()
		_, err := l.c.SendFile(t.Context(), path, &SendFileOptions{Resume: true})
		must(t, err)
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
	})
}
