package resilience_test

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

	"github.com/aip-go/aip/resilience"
)

// device is an endpoint for one device, which notes what it is asked to do.
type device struct {
	reconnects     int
	start          time.Time
	cancel, notify error
	failures       int // of the attempts to reconnect
	hangs          bool
	mu             sync.Mutex
	calls          []string
}

func newDevice() *device { return &device{start: time.Now()} }

func (d *device) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, fmt.Sprintf("%s: %s", time.Since(d.start), fmt.Sprintf(format, args...)))
}

func (d *device) CancelDeviceTasks(ctx context.Context, deviceID, reason string) error {
	d.note("cancel the tasks of %s, %s", deviceID, reason)
	if d.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return errors.Join(d.cancel, ctx.Err())
}

func (d *device) DeviceDisconnected(ctx context.Context, deviceID string, cause error) error {
	d.note("%s was lost, %v", deviceID, cause)
	return errors.Join(d.notify, ctx.Err())
}

func (d *device) ReconnectDevice(ctx context.Context, deviceID string) error {
	d.note("reconnect %s", deviceID)
	d.mu.Lock()
	d.reconnects++
	failed := d.reconnects <= d.failures
	d.mu.Unlock()
	if d.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	if failed {
		return errLost
	}
	return ctx.Err()
}

func (d *device) expect(t *testing.T, want ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.calls, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(d.calls, "\n"), strings.Join(want, "\n"))
	}
}

func TestHandleDisconnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice()
		d.failures = 1
		var events []string
		r := resilience.NewReconnector(exact(t), &resilience.ReconnectorOptions{
			Attempts: resilience.AttemptsOptions{Observe: func(e resilience.AttemptEvent) { events = append(events, e.Kind.String()) }},
			Observe:  func(id string, e resilience.AttemptEvent) { events = append(events, id+" "+e.Kind.String()) },
			OnReconnect: func(ctx context.Context, id string) error {
				d.note("%s is back", id)
				return ctx.Err()
			},
		})
		reconnected, err := r.HandleDisconnection(t.Context(), d, "d1", nil)
		if err != nil || !reconnected {
			t.Fatal(reconnected, err)
		}
		d.expect(t,
			"0s: cancel the tasks of d1, device_disconnected",
			"0s: d1 was lost, resilience: disconnected",
			"1s: reconnect d1",
			"3s: reconnect d1",
			"3s: d1 is back",
		)
		want := []string{
			"waiting", "d1 waiting", "started", "d1 started", "failed", "d1 failed",
			"waiting", "d1 waiting", "started", "d1 started", "succeeded", "d1 succeeded",
		}
		if !slices.Equal(events, want) {
			t.Errorf("got %v, want %v", events, want)
		}
	})
}

// steps returns the steps that failed, and checks what each says.
func steps(t *testing.T, err error) []resilience.Step {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T is not a joined error", err)
	}
	var failed []resilience.Step
	for _, err := range joined.Unwrap() {
		step, ok := err.(*resilience.StepError)
		if !ok {
			t.Fatalf("%T is no StepError", err)
		}
		if want := fmt.Sprintf("resilience: disconnection of device %q: %s: %v", "d1", step.Step, step.Err); step.Error() != want {
			t.Errorf("got %q, want %q", step, want)
		}
		failed = append(failed, step.Step)
	}
	return failed
}

func TestEachStepsFailureIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice()
		d.cancel, d.notify = errors.New("no cancel"), errors.New("no notify")
		callback := errors.New("no callback")
		r := resilience.NewReconnector(exact(t), &resilience.ReconnectorOptions{
			OnReconnect: func(context.Context, string) error { return callback },
		})
		reconnected, err := r.HandleDisconnection(t.Context(), d, "d1", errLost)
		if !reconnected {
			t.Error("a failure of another step kept the device from reconnecting")
		}
		for _, want := range []error{d.cancel, d.notify, callback} {
			if !errors.Is(err, want) {
				t.Errorf("%v is not in %v", want, err)
			}
		}
		if got := steps(t, err); !slices.Equal(got, []resilience.Step{resilience.StepCancelTasks, resilience.StepNotify, resilience.StepCallback}) {
			t.Errorf("%v", got)
		}
	})
}

func TestReconnectorGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			strategy resilience.Strategy
			attempts int
		}{
			{newBackoff(t, resilience.BackoffDeviceClient), 3},
			{newBackoff(t, resilience.BackoffOptions{Policy: resilience.None}), 0},
			{nil, resilience.DefaultRetries},
		} {
			d := newDevice()
			d.failures = 100
			r := resilience.NewReconnector(test.strategy, &resilience.ReconnectorOptions{
				OnReconnect: func(context.Context, string) error { return errors.New("called back without a connection") },
			})
			reconnected, err := r.HandleDisconnection(t.Context(), d, "d1", errLost)
			var retry *resilience.RetryError
			if reconnected || !errors.As(err, &retry) || retry.Attempts != test.attempts || !errors.Is(err, resilience.ErrGaveUp) {
				t.Errorf("%t, %v", reconnected, err)
			}
			if got := steps(t, err); !slices.Equal(got, []resilience.Step{resilience.StepReconnect}) {
				t.Errorf("%v", got)
			}
			if d.reconnects != test.attempts {
				t.Errorf("%d attempts, want %d", d.reconnects, test.attempts)
			}
		}
	})
}

func TestCleanUpIsDoneWhenTheContextHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		reconnected, err := resilience.NewReconnector(nil, nil).HandleDisconnection(ctx, d, "d1", errLost)
		if reconnected || !errors.Is(err, context.Canceled) {
			t.Errorf("%t, %v", reconnected, err)
		}
		if got := steps(t, err); !slices.Equal(got, []resilience.Step{resilience.StepReconnect}) {
			t.Errorf("%v", got)
		}
		d.expect(t, "0s: cancel the tasks of d1, device_disconnected", "0s: d1 was lost, lost")
	})
}

func TestEachStepIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice()
		d.hangs = true
		reconnected, err := resilience.NewReconnector(exact(t), nil).HandleDisconnection(t.Context(), d, "d1", errLost)
		var timeout *resilience.TimeoutError
		if reconnected || !errors.As(err, &timeout) || timeout.Operation != resilience.OpDisconnect {
			t.Errorf("%t, %v", reconnected, err)
		}
		// 15 s for the tasks, and 30 s for each attempt.
		d.expect(t,
			"0s: cancel the tasks of d1, device_disconnected",
			"15s: d1 was lost, lost",
			"16s: reconnect d1",
			"48s: reconnect d1",
			"1m22s: reconnect d1",
			"2m0s: reconnect d1",
			"2m46s: reconnect d1",
		)
		if took := time.Since(d.start); took != 3*time.Minute+16*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestReconnectorForgetsDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resilience.NewReconnector(exact(t), nil)
		lose := func(ctx context.Context, id string, failures int) {
			d := newDevice()
			d.failures = failures
			ok, err := r.HandleDisconnection(ctx, d, id, errLost)
			if ok != (err == nil) || ok != (failures == 0 && ctx.Err() == nil) {
				t.Error(ok, err)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		lose(t.Context(), "gives up", 100)
		lose(ended, "is stopped", 0)
		if n := r.Remembered(); n != 0 {
			t.Errorf("%d devices remembered that begin anew anyway", n)
		}
		most := 0
		for i := range 10000 { // one each second, each of them stable
			lose(t.Context(), fmt.Sprint(i), 0)
			most = max(most, r.Remembered())
		}
		if most > 100 {
			t.Errorf("up to %d devices remembered, where 30 were lost within the stable period", most)
		}
	})
}

// The reference counts the attempts of all devices together.
func TestDevicesAreCountedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resilience.NewReconnector(exact(t), nil)
		var wait sync.WaitGroup
		for i := range 20 {
			wait.Go(func() {
				d := newDevice()
				d.failures = 4
				if ok, err := r.HandleDisconnection(t.Context(), d, fmt.Sprint(i), errLost); !ok || err != nil {
					t.Error(ok, err)
				}
				if took := time.Since(d.start); took != 31*time.Second {
					t.Errorf("device %d took %s, want 31s", i, took)
				}
			})
		}
		wait.Wait()
	})
}

func TestFlappingDeviceIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := resilience.NewReconnector(exact(t), nil)
		lose := func(id string) time.Duration {
			d := newDevice()
			if ok, err := r.HandleDisconnection(t.Context(), d, id, errLost); !ok || err != nil {
				t.Fatal(ok, err)
			}
			return time.Since(d.start)
		}
		// Other devices come and go: this one counts on, until it is stable.
		for i, want := range seconds(1, 2, 4, 8) {
			if got := lose("flaps"); got != want {
				t.Errorf("loss %d: back after %s, want %s", i, got, want)
			}
			var wait sync.WaitGroup
			for j := range 100 {
				wait.Go(func() {
					if ok, err := r.HandleDisconnection(t.Context(), newDevice(), fmt.Sprint(i, j), errLost); !ok || err != nil {
						t.Error(ok, err)
					}
				})
			}
			wait.Wait()
		}
		time.Sleep(resilience.DefaultStableAfter)
		if got := lose("flaps"); got != time.Second {
			t.Errorf("after a stable period: back after %s", got)
		}
	})
}

func TestOneDeviceIsHandledOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice()
		r := resilience.NewReconnector(sequence{time.Hour}, nil)
		first := make(chan error)
		go func() {
			_, err := r.HandleDisconnection(t.Context(), d, "d1", errLost)
			first <- err
		}()
		synctest.Wait()
		if reconnected, err := r.HandleDisconnection(t.Context(), d, "d1", errLost); reconnected || err != resilience.ErrBusy {
			t.Errorf("%t, %v", reconnected, err)
		}
		r.ReconnectNow()
		if err := <-first; err != nil {
			t.Error(err)
		}
		d.expect(t, "0s: cancel the tasks of d1, device_disconnected", "0s: d1 was lost, lost", "0s: reconnect d1")
	})
}
