package lazyctx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	errParent = errors.New("the parent was cancelled")
	errOwner  = errors.New("the owner cancelled it")
	errLate   = errors.New("its time was over")
)

type key struct{}

// step is something that happens to a context, or is done with it.
type step struct {
	name string
	do   func(*subject)
}

// subject is a context under test, of this package or of the standard library.
type subject struct {
	ctx          context.Context
	cancel       func(error)
	cancelParent context.CancelCauseFunc
	seen         []string
}

func (s *subject) see(what string, v any) { s.seen = append(s.seen, fmt.Sprint(what, ": ", v)) }

func ended(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

var steps = []step{
	{"wait", func(*subject) { time.Sleep(3 * time.Second) }},
	{"cancel", func(s *subject) { s.cancel(errOwner) }},
	{"cancel parent", func(s *subject) { s.cancelParent(errParent) }},
	{"Err", func(s *subject) { s.see("Err", s.ctx.Err()) }},
	{"Cause", func(s *subject) { s.see("Cause", context.Cause(s.ctx)) }},
	{"Done", func(s *subject) { s.see("Done", ended(s.ctx)) }},
	{"Value", func(s *subject) { s.see("Value", s.ctx.Value(key{})) }},
	{"child", func(s *subject) {
		child, stop := context.WithCancel(context.WithValue(s.ctx, key{}, "child"))
		defer stop()
		s.see("child", fmt.Sprint(child.Err(), context.Cause(child), ended(child)))
	}},
}

// look is what is asked for in the end, whatever happened.
func (s *subject) look() {
	for _, st := range steps[3:] {
		st.do(s)
	}
	deadline, ok := s.ctx.Deadline()
	s.see("Deadline", fmt.Sprint(time.Until(deadline), ok))
	s.see("without cancel", context.Cause(context.WithoutCancel(s.ctx)))
}

// parents are the contexts that others come from.
var parents = map[string]func(context.Context) (context.Context, func()){
	"plain": func(ctx context.Context) (context.Context, func()) { return ctx, func() {} },
	"earlier": func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		return ctx, cancel
	},
	"later": func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		return ctx, cancel
	},
	"lazy": func(ctx context.Context) (context.Context, func()) {
		c := WithTimeoutCause(ctx, time.Minute, errLate)
		return context.WithValue(c, key{}, "between"), func() { c.Cancel(nil) }
	},
}

// TestLikeStandard: whatever happens to a context in whatever order, it is as
// one of the standard library is.
func TestLikeStandard(t *testing.T) {
	kinds := map[string][2]func(context.Context) (context.Context, func(error)){
		"cancel": {
			func(parent context.Context) (context.Context, func(error)) {
				c := WithCancelCause(parent)
				return c, c.Cancel
			},
			func(parent context.Context) (context.Context, func(error)) {
				ctx, cancel := context.WithCancelCause(parent)
				return ctx, cancel
			},
		},
		"timeout": {
			func(parent context.Context) (context.Context, func(error)) {
				c := WithTimeoutCause(parent, 2*time.Second, errLate)
				return c, c.Cancel
			},
			func(parent context.Context) (context.Context, func(error)) {
				ctx, cancel := context.WithTimeoutCause(parent, 2*time.Second, errLate)
				return ctx, func(error) { cancel() }
			},
		},
	}
	run := func(make func(context.Context) (context.Context, func(error)), parent string, sequence []step) []string {
		var s subject
		var root context.Context
		root, s.cancelParent = context.WithCancelCause(context.WithValue(context.Background(), key{}, "root"))
		defer s.cancelParent(nil)
		between, end := parents[parent](root)
		defer end()
		s.ctx, s.cancel = make(between)
		defer s.cancel(nil)
		for _, st := range sequence {
			st.do(&s)
		}
		s.look()
		return s.seen
	}
	for kind, makers := range kinds {
		for parent := range parents {
			t.Run(kind+"/"+parent, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					for _, a := range steps {
						for _, b := range steps {
							for _, c := range steps {
								sequence := []step{a, b, c}
								if unseen(sequence) {
									continue
								}
								if got, want := run(makers[0], parent, sequence), run(makers[1], parent, sequence); !slices.Equal(got, want) {
									t.Errorf("after %s, %s, %s:\n got %q\nwant %q", a.name, b.name, c.name, got, want)
								}
							}
						}
					}
				})
			})
		}
	}
}

// unseen reports whether the time is over, and the parent ends after that, while
// nobody looks, so that a lazy context cannot know what came first.
func unseen(sequence []step) bool {
	var late bool
	for _, st := range sequence {
		switch st.name {
		case "wait":
			late = true
		case "cancel parent":
			if late {
				return true
			}
		case "Value":
		default:
			late = false
		}
	}
	return false
}

// TestWaited: who waits is woken, by each of the three ends.
func TestWaited(t *testing.T) {
	for _, end := range []error{errParent, errOwner, errLate} {
		synctest.Test(t, func(t *testing.T) {
			parent, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			c := WithCancelCause(parent)
			if end == errLate {
				c = WithTimeoutCause(parent, time.Hour, errLate)
			}
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() { <-c.Done() })
			}
			synctest.Wait()
			switch end {
			case errParent:
				cancel(errParent)
			case errOwner:
				c.Cancel(errOwner)
			}
			wg.Wait()
			if got := context.Cause(c); got != end {
				t.Errorf("the cause is %v, want %v", got, end)
			}
		})
	}
}

// TestConcurrently: everything at once is a matter for the race detector, and
// the end is one.
func TestConcurrently(t *testing.T) {
	for range 200 {
		parent, cancel := context.WithCancel(context.Background())
		c := WithTimeoutCause(parent, time.Hour, errLate)
		inner := WithCancelCause(c)
		var wg sync.WaitGroup
		for _, do := range []func(){
			cancel, func() { c.Cancel(nil) }, func() { inner.Cancel(errOwner) },
			func() { <-inner.Done() }, func() { <-c.Done() },
			func() { _ = context.Cause(inner) }, func() { _ = inner.Err() },
		} {
			wg.Go(do)
		}
		wg.Wait()
		if err := inner.Err(); err != context.Canceled {
			t.Fatalf("ended with %v", err)
		}
	}
}

// TestString: it is named as the standard ones are, whatever happens to it
// meanwhile.
func TestString(t *testing.T) {
	parents := map[string]context.Context{
		"standard": context.WithValue(context.Background(), key{}, 1),
		"foreign":  over{context.Background()},
	}
	for name, parent := range parents {
		ctx, cancel := context.WithCancel(parent)
		cancel()
		c := WithCancelCause(parent)
		var wg sync.WaitGroup
		wg.Go(func() { c.Cancel(nil) })
		wg.Go(func() { <-c.Done() })
		if got := fmt.Sprint(c); got != fmt.Sprint(ctx) {
			t.Errorf("%s: %s, want %v", name, got, ctx)
		}
		wg.Wait()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(parent, time.Hour)
			defer cancel()
			if got := fmt.Sprint(WithTimeoutCause(parent, time.Hour, errLate)); got != fmt.Sprint(ctx) {
				t.Errorf("%s: %s, want %v", name, got, ctx)
			}
		})
	}
}

// TestLittle: what is not waited for is one allocation, and is not known to its
// parent.
func TestLittle(t *testing.T) {
	parent, cancel := context.WithCancel(context.Background())
	defer cancel()
	var c *Context
	if n := testing.AllocsPerRun(100, func() {
		c = WithTimeoutCause(parent, time.Hour, errLate)
		if c.Err() != nil || !Ends(c) || c.Value(key{}) != nil {
			t.Error("it has ended, or cannot")
		}
		c.Cancel(nil)
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
	if c.own != nil {
		t.Error("it was made for nobody")
	}
}

// TestEnds: only what can end does.
func TestEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for want, those := range map[bool][]context.Context{
		true:  {ctx, context.WithValue(WithCancelCause(context.Background()), key{}, 1)},
		false: {context.Background(), context.WithValue(context.Background(), key{}, 1)},
	} {
		for _, ctx := range those {
			if Ends(ctx) != want {
				t.Errorf("%v ends: %t", ctx, !want)
			}
		}
	}
}

// TestBase: the contexts of this package are seen through.
func TestBase(t *testing.T) {
	base, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, ctx := range []context.Context{
		base, WithCancelCause(base), WithTimeoutCause(context.WithValue(WithCancelCause(base), key{}, 1), time.Hour, nil),
	} {
		if Base(ctx) != base {
			t.Errorf("the base of %v is %v", ctx, Base(ctx))
		}
	}
}

// over is a context that knows of its end, but not of its cause.
type over struct{ context.Context }

func (over) Err() error { return context.Canceled }

// TestCauseFromBelow: a context that comes from one that nobody has looked at
// learns the cause, and no other question makes a context.
func TestCauseFromBelow(t *testing.T) {
	c := WithCancelCause(context.Background())
	c.Cancel(errOwner)
	if c.Value(nil) != nil || c.Value([]int{}) != nil || c.own != nil {
		t.Error("it has a value, or was made for one")
	}
	if got := context.Cause(over{c}); got != errOwner {
		t.Errorf("the cause is %v, want %v", got, errOwner)
	}
}

// otherEnd is a context with an end of its own.
type otherEnd struct{ context.Context }

func (otherEnd) Done() <-chan struct{} { return make(chan struct{}) }

// TestStandard: a context of the standard library is found where it is what ends
// a context.
func TestStandard(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, like := range []context.Context{ctx, context.WithValue(ctx, key{}, 1), over{ctx}} {
		if got, ok := Standard(like); !ok || got == like && like != ctx || got.Done() != ctx.Done() {
			t.Errorf("that of %v is %v", like, got)
		}
	}
	for _, other := range []context.Context{otherEnd{ctx}, context.Background(), context.WithoutCancel(ctx)} {
		if got, ok := Standard(other); ok {
			t.Errorf("that of %v is %v", other, got)
		}
	}
}

// TestChannels: who need not wait does not ask for Done, and who waits is served
// or told of the end.
func TestChannels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ch := WithTimeoutCause(t.Context(), time.Minute, errLate), make(chan int, 1)
		if err := errors.Join(Send(c, ch, 1), Receive(c, ch)); err != nil || c.own != nil {
			t.Errorf("%v; a context was made: %t", err, c.own != nil)
		}
		go func() { ch <- 2 }()
		if err := Receive(c, ch); err != nil {
			t.Error(err)
		}
		ch <- 3
		go func() { <-ch }()
		if err := Send(c, ch, 4); err != nil {
			t.Error(err)
		}
		if err := Send(c, ch, 5); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send returned %v", err)
		}
		<-ch
		if err := Receive(c, ch); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Receive returned %v", err)
		}
	})
}
