package protocol

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/aip-go/aip/internal/lazyctx"
	"github.com/aip-go/aip/messages"
)

// TestContextAmongLateReplies: a caller who reads leaves when its context ends,
// also if what comes all the time is for nobody.
func TestContextAmongLateReplies(t *testing.T) {
	const patient = 50 * time.Millisecond
	contexts := map[string]func(context.Context) context.Context{
		"timeout": func(ctx context.Context) context.Context {
			return lazyctx.WithTimeoutCause(ctx, patient, nil)
		},
		"owner": func(ctx context.Context) context.Context {
			c := lazyctx.WithCancelCause(ctx)
			time.AfterFunc(patient, func() { c.Cancel(nil) })
			return c
		},
		"below": func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancel(lazyctx.WithCancelCause(ctx))
			time.AfterFunc(patient, cancel)
			return ctx
		},
	}
	for name, bounded := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := newPair(t, nil, nil)
				as(c, messages.Constellation)
				var answered *messages.ClientMessage
				asked := 0
				s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
					if asked++; asked <= calm+1 {
						answered = m
						return AnswerDeviceInfo(ctx, s, m, value(t, map[string]any{"a": 1}))
					}
					var err error
					for began := time.Now(); err == nil && time.Since(began) < 4*patient; time.Sleep(lullPatience / 4) {
						err = AnswerDeviceInfo(ctx, s, answered, value(t, map[string]any{"a": 1}))
					}
					return err
				})
				running(t, s)
				running(t, c)
				l := &lulled{t: t, c: c, s: s}
				l.begin()
				began := time.Now()
				_, err := RequestDeviceInfo(bounded(t.Context()), c, "dev")
				if ctxErr := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded); !ctxErr {
					t.Errorf("call: %v", err)
				}
				l.soon("to leave", began.Add(patient))
			})
		})
	}
}

// foreign is a context of a type that nobody knows, with an end of its own.
type foreign struct {
	context.Context
	done  <-chan struct{}
	kept  int    // how many functions wait for the end
	after func() // what is told of each use; nil for nothing
}

func (f *foreign) used() {
	if f.after != nil {
		f.after()
	}
}

func (f *foreign) Done() <-chan struct{} {
	f.used()
	if f.done != nil {
		return f.done
	}
	return f.Context.Done()
}

func (f *foreign) Err() error {
	f.used()
	return f.Context.Err()
}

func (f *foreign) Value(key any) any {
	f.used()
	return f.Context.Value(key)
}

// AfterFunc is what package context looks for.
func (f *foreign) AfterFunc(do func()) (stop func() bool) {
	f.kept++
	inner := context.AfterFunc(f.Context, do)
	return func() bool {
		f.kept--
		return inner()
	}
}

// TestForeignContextInALull: a context of a foreign type, such as one that is
// used for one request after the other, is left alone when the call is over.
func TestForeignContextInALull(t *testing.T) {
	for name, own := range map[string]bool{"with the end of another": false, "with its own end": true} {
		t.Run(name, func(t *testing.T) {
			inLull(t, func(t *testing.T, l *lulled) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				f := &foreign{Context: ctx}
				if own {
					f.done = make(chan struct{})
				}
				_, err := RequestDeviceInfo(f, l.c, "dev")
				must(t, err)
				synctest.Wait()
				if f.kept > 0 {
					t.Errorf("%d functions wait for the end of its context", f.kept)
				}
				f.after = func() { t.Error("the context was used after the call") }
				if !l.begun() {
					t.Fatal("the lull has ended")
				}
				_, err = RequestDeviceInfo(t.Context(), l.c, "dev")
				must(t, err)
				cancel()
				synctest.Wait()
			})
		})
	}
}

// TestContextsInALull: a caller who reads leaves at once when its context ends,
// whatever context that is, and whatever contexts the callers before it had.
func TestContextsInALull(t *testing.T) {
	type made struct {
		ctx context.Context
		end func()
	}
	kinds := map[string]func(context.Context) made{
		"cancel": func(ctx context.Context) made {
			ctx, cancel := context.WithCancel(ctx)
			return made{ctx, cancel}
		},
		"value": func(ctx context.Context) made {
			ctx, cancel := context.WithCancel(ctx)
			return made{context.WithValue(ctx, handlerKey{}, 1), cancel}
		},
		"above a lazy one": func(ctx context.Context) made {
			ctx, cancel := context.WithCancel(ctx)
			lazy := lazyctx.WithTimeoutCause(context.WithValue(ctx, handlerKey{}, 1), time.Hour, nil)
			return made{context.WithValue(lazy, handlerKey{}, 1), cancel}
		},
		"foreign": func(ctx context.Context) made {
			ctx, cancel := context.WithCancel(ctx)
			f := &foreign{Context: ctx}
			return made{f, cancel}
		},
		"foreign, own end": func(ctx context.Context) made {
			ctx, cancel := context.WithCancel(ctx)
			done := make(chan struct{})
			context.AfterFunc(ctx, func() { close(done) })
			return made{&foreign{Context: ctx, done: done}, cancel}
		},
	}
	for first, before := range kinds {
		for second, kind := range kinds {
			t.Run(first+"/"+second, func(t *testing.T) {
				inLull(t, func(t *testing.T, l *lulled) {
					call := func(ctx context.Context) error {
						_, err := RequestDeviceInfo(ctx, l.c, "dev")
						synctest.Wait()
						return err
					}
					a, b := before(context.Background()), kind(context.Background())
					defer a.end()
					for _, ctx := range []context.Context{a.ctx, b.ctx, b.ctx, a.ctx, context.Background(), b.ctx} {
						must(t, call(ctx))
					}
					a.end()
					synctest.Wait()
					l.begin()
					must(t, call(b.ctx))
					if !l.begun() {
						t.Fatal("the lull has ended")
					}
					l.slow = time.Hour
					time.AfterFunc(300*time.Microsecond, b.end)
					began := time.Now()
					if err := call(b.ctx); !errors.Is(err, context.Canceled) || time.Since(began) != 300*time.Microsecond {
						t.Errorf("after %v: %v", time.Since(began), err)
					}
				})
			})
		}
	}
}

// TestLongContextInALull: a context that outlives Run keeps nothing of that, and
// its end is none of the next Run's business.
func TestLongContextInALull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		c, s := asker(t, nil)
		running(t, s)
		l := &lulled{t: t, c: c, s: s}
		first := func() weak.Pointer[run[messages.ClientMessage, messages.ServerMessage]] {
			stop := running(t, c)
			defer stop()
			l.begin()
			_, err := RequestDeviceInfo(ctx, c, "dev")
			must(t, err)
			return weak.Make(c.calls.run.(*run[messages.ClientMessage, messages.ServerMessage]))
		}()
		running(t, c)
		l.begin()
		runtime.GC()
		if first.Value() != nil {
			t.Error("the first run is kept")
		}
		cancel()
		synctest.Wait()
		if l.call(); !l.begun() {
			t.Error("the lull has ended")
		}
	})
}
