package endpoint

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestCausesOfDo: Do says why it has ended, whatever its context is, and whether
// its command is underway, waits for others or is one of several of its task.
func TestCausesOfDo(t *testing.T) {
	errOwn := errors.New("the handler's own")
	type value struct{}
	contexts := map[string]func(session context.Context) (context.Context, context.CancelCauseFunc){
		"the handler's": func(ctx context.Context) (context.Context, context.CancelCauseFunc) { return ctx, nil },
		"with a value": func(ctx context.Context) (context.Context, context.CancelCauseFunc) {
			return context.WithValue(ctx, value{}, 1), nil
		},
		"derived": context.WithCancelCause,
		"foreign": func(context.Context) (context.Context, context.CancelCauseFunc) {
			return context.WithCancelCause(context.Background())
		},
		"without end": func(context.Context) (context.Context, context.CancelCauseFunc) { return context.Background(), nil },
		"with a deadline": func(context.Context) (context.Context, context.CancelCauseFunc) {
			ctx, cancel := context.WithCancelCause(context.Background())
			ctx, stop := context.WithTimeout(ctx, time.Hour)
			return ctx, func(cause error) { cancel(cause); stop() }
		},
	}
	type place struct {
		ahead int // commands of other tasks that the device does not answer
		calls int // of Do
	}
	places := map[string]place{"underway": {0, 1}, "waiting": {maxUnderway, 1}, "one of several": {0, 3}}
	for name, derive := range contexts {
		for where, place := range places {
			for _, want := range []error{ErrDeviceLost, ErrRequesterLost, ErrServerClosed, ErrCommandTimeout, errOwn} {
				t.Run(fmt.Sprint(name, "/", where, "/", want), func(t *testing.T) {
					var (
						ended chan error
						own   chan context.CancelCauseFunc
					)
					handler := func(ctx context.Context, task *Task) (any, error) {
						if task.SessionID != "s" {
							_, err := task.Do(ctx, call("x"))
							return nil, err
						}
						ctx, cancel := derive(ctx)
						if cancel != nil {
							defer cancel(nil)
						}
						own <- cancel
						var all sync.WaitGroup
						for range place.calls {
							all.Go(func() {
								_, err := task.Do(ctx, call("x"))
								ended <- err
							})
						}
						all.Wait()
						return nil, nil
					}
					commandTest(t, &ServerOptions{Handler: handler, CommandTimeout: 10 * time.Second}, func(w *world, _ *doings, device *reader, p *peer) {
						ended, own = make(chan error, place.calls), make(chan context.CancelCauseFunc, 1)
						other := w.server.constellation("other", "dev")
						ask(other, numbered(place.ahead)...)
						ask(p, "s")
						synctest.Wait()
						start := time.Now()
						cancel := <-own
						switch want {
						case ErrDeviceLost:
							if err := device.link.Close(); err != nil {
								t.Error(err)
							}
						case ErrRequesterLost:
							p.close()
						case ErrServerClosed:
							if err := w.server.Close(); err != nil {
								t.Error(err)
							}
							_ = device.link.Close() // It is not to come back.
						case errOwn:
							if cancel == nil { // There is no such end: its time ends it.
								want = ErrCommandTimeout
							} else {
								cancel(errOwn)
							}
						}
						for range place.calls {
							err := <-ended
							if !errors.Is(err, want) || !errors.As(err, new(*CommandError)) {
								t.Errorf("Do returned %v, want %v", err, want)
							}
						}
						if took := time.Since(start); want != ErrCommandTimeout && want != ErrServerClosed && took != 0 {
							t.Errorf("it took %s", took)
						}
						<-time.After(time.Minute) // The others have ended too.
					})
				})
			}
		}
	}
}
