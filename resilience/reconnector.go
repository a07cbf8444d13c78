package resilience

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// TasksCancelledReason is the reason for which a [DeviceEndpoint] cancels the
// tasks of a device that was lost, as in the reference.
const TasksCancelledReason = "device_disconnected"

// DeviceEndpoint is what a [Reconnector] needs of an endpoint.
type DeviceEndpoint interface {
	// CancelDeviceTasks ends the pending tasks of the device. reason is
	// [TasksCancelledReason].
	CancelDeviceTasks(ctx context.Context, deviceID, reason string) error
	// DeviceDisconnected tells the endpoint's users that the device was lost.
	DeviceDisconnected(ctx context.Context, deviceID string, cause error) error
	// ReconnectDevice makes one attempt to connect and register again.
	ReconnectDevice(ctx context.Context, deviceID string) error
}

// Step is a step of [Reconnector.HandleDisconnection].
type Step string

// The steps, in their order.
const (
	StepCancelTasks Step = "cancel tasks"
	StepNotify      Step = "notify"
	StepReconnect   Step = "reconnect"
	StepCallback    Step = "callback"
)

// StepError is a step that failed.
type StepError struct {
	Step     Step
	DeviceID string
	// Err is what the endpoint or the callback returned, or a [*RetryError].
	Err error
}

// Error returns the step, the device and the cause.
func (e *StepError) Error() string {
	return fmt.Sprintf("resilience: disconnection of device %q: %s: %v", e.DeviceID, e.Step, e.Err)
}

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

// ReconnectorOptions configures a [Reconnector]. Nil and zero values mean the
// defaults.
type ReconnectorOptions struct {
	// Attempts is for the attempts of every device; each is counted apart.
	Attempts AttemptsOptions
	// Timeouts bounds the steps: [OpRegistration] each attempt, [OpDisconnect]
	// the steps before, and [OpReconnected] the callback.
	Timeouts *Timeouts
	// OnReconnect is called after a successful attempt. Nil for nothing.
	OnReconnect func(ctx context.Context, deviceID string) error
	// Observe is told of the attempts of every device, those of one device in
	// order. Attempts.Observe is told first. Nil for nobody.
	Observe func(deviceID string, e AttemptEvent)
}

// OpReconnected is the operation of [ReconnectorOptions.OnReconnect].
const OpReconnected Operation = "reconnected callback"

// Reconnector is the reference's handling of lost devices. It may be used for
// any number of devices and by any number of goroutines at once.
type Reconnector struct {
	strategy Strategy
	o        ReconnectorOptions

	mu      sync.Mutex
	devices map[string]*lostDevice
	sweep   int // at this size, forget devices that need not be remembered
}

const minSweep = 64

// NewReconnector returns a reconnector. A nil strategy means a [Backoff] with
// its defaults.
func NewReconnector(strategy Strategy, opts *ReconnectorOptions) *Reconnector {
	var o ReconnectorOptions
	if opts != nil {
		o = *opts
	}
	if o.Timeouts == nil {
		o.Timeouts = &Timeouts{}
	}
	return &Reconnector{strategy: strategy, o: o, devices: map[string]*lostDevice{}, sweep: minSweep}
}

// HandleDisconnection does what is due when the connection of a device is lost:
//
//  1. cancels its pending tasks,
//  2. notifies the endpoint's users,
//  3. attempts to reconnect, as the strategy allows,
//  4. after a success calls OnReconnect.
//
// The first two are done even when ctx has ended, and a failure of one step
// keeps none of the others from being done, but for the callback, which needs a
// connection. cause is what ended the connection; nil means [ErrDisconnected].
//
// It reports whether the device is connected again, and the failures of all
// steps: a joined error of [*StepError]. While the same device is being handled
// already, it does nothing and returns [ErrBusy]. Call it from a goroutine that
// the end of the connection does not stop.
func (r *Reconnector) HandleDisconnection(ctx context.Context, endpoint DeviceEndpoint, deviceID string, cause error) (reconnected bool, err error) {
	if cause == nil {
		cause = ErrDisconnected
	}
	attempts, ok := r.claim(deviceID)
	if !ok {
		return false, ErrBusy
	}
	defer r.release(deviceID)

	var failures []error
	step := func(step Step, err error) bool {
		if err != nil {
			failures = append(failures, &StepError{Step: step, DeviceID: deviceID, Err: err})
		}
		return err == nil
	}
	always := context.WithoutCancel(ctx)
	step(StepCancelTasks, r.o.Timeouts.Do(always, OpDisconnect, func(ctx context.Context) error {
		return endpoint.CancelDeviceTasks(ctx, deviceID, TasksCancelledReason)
	}))
	step(StepNotify, r.o.Timeouts.Do(always, OpDisconnect, func(ctx context.Context) error {
		return endpoint.DeviceDisconnected(ctx, deviceID, cause)
	}))
	reconnected = step(StepReconnect, attempts.Do(ctx, cause, func(ctx context.Context) error {
		return r.o.Timeouts.Do(ctx, OpRegistration, func(ctx context.Context) error {
			return endpoint.ReconnectDevice(ctx, deviceID)
		})
	}))
	if reconnected && r.o.OnReconnect != nil {
		step(StepCallback, r.o.Timeouts.Do(ctx, OpReconnected, func(ctx context.Context) error {
			return r.o.OnReconnect(ctx, deviceID)
		}))
	}
	return reconnected, errors.Join(failures...)
}

// ReconnectNow ends the waits of all devices that are being reconnected, as
// [Attempts.ReconnectNow] does for one.
func (r *Reconnector) ReconnectNow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.devices {
		d.attempts.ReconnectNow()
	}
}

// lostDevice is a device that is being handled, or was lately and counts on.
type lostDevice struct {
	attempts *Attempts
	busy     bool
}

// claim returns the attempts of the device for the one who handles it, or false
// while somebody else does.
func (r *Reconnector) claim(deviceID string) (*Attempts, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	d := r.devices[deviceID]
	if d == nil {
		o := r.o.Attempts
		if r.o.Observe != nil {
			first := o.Observe
			o.Observe = func(e AttemptEvent) {
				if first != nil {
					first(e)
				}
				r.o.Observe(deviceID, e)
			}
		}
		d = &lostDevice{attempts: NewAttempts(r.strategy, &o)}
		r.devices[deviceID] = d
	}
	if d.busy {
		return nil, false
	}
	d.busy = true
	return d.attempts, true
}

// release ends a claim.
func (r *Reconnector) release(deviceID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.devices[deviceID]
	d.busy = false
	if d.attempts.settled() {
		delete(r.devices, deviceID)
	}
}

// forget drops the devices whose connections have been stable, each time their
// number has doubled: what is left was lost within StableAfter.
func (r *Reconnector) forget() {
	if len(r.devices) < r.sweep {
		return
	}
	for id, d := range r.devices {
		if !d.busy && d.attempts.settled() {
			delete(r.devices, id)
		}
	}
	r.sweep = max(minSweep, 2*len(r.devices))
}
