package endpoint

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// legal are the changes of a device's state that an observer can see.
var legal = map[DeviceState][]DeviceState{
	DeviceDisconnected: {DeviceConnecting, DeviceFailed},
	DeviceConnecting:   {DeviceConnected, DeviceDisconnected, DeviceFailed},
	DeviceConnected:    {DeviceIdle, DeviceBusy, DeviceDisconnected},
	DeviceIdle:         {DeviceBusy, DeviceDisconnected},
	DeviceBusy:         {DeviceIdle, DeviceDisconnected},
	DeviceFailed:       {DeviceConnecting},
}

// checkStates checks that the states of each device follow from one another.
func checkStates(t *testing.T, r *recorder) {
	t.Helper()
	last := map[string]DeviceState{}
	for i, e := range r.of(EventDeviceState) {
		from, known := last[e.DeviceID]
		if !known {
			from = DeviceDisconnected
		}
		if e.From != from || !slices.Contains(legal[e.From], e.To) {
			t.Errorf("event %d is that device %q changed from %s, which was %s, to %s", i, e.DeviceID, e.From, from, e.To)
		}
		last[e.DeviceID] = e.To
	}
}

// twoAttempts allows two attempts.
type twoAttempts struct{}

func (twoAttempts) NextDelay(n int, _ error) (time.Duration, bool) { return time.Second, n < 2 }

// TestDeviceStates: from the first attempt to the end, each state comes when it
// is so, and is observed in order.
func TestDeviceStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		var x *exchange
		var down atomic.Bool
		c, x := newConstellation(t, ConstellationOptions{
			Observer: r.observe, InfoTimeout: time.Minute, HeartbeatInterval: time.Hour,
			Reconnect: &ReconnectOptions{Strategy: quick{}, NoResume: true},
			Dial: func(ctx context.Context, url string) (transport.Transport, error) {
				if down.Load() {
					return nil, errUnreachable
				}
				return x.dial(ctx, url)
			},
		})
		expect := func(state DeviceState, attempts int) DeviceStatus {
			t.Helper()
			synctest.Wait()
			status, known := c.Status("d")
			if !known || status.State != state || status.Attempts != attempts || !status.Since.Equal(time.Now()) {
				t.Errorf("at %v the status is %+v, want %s after %d attempts", time.Now(), status, state, attempts)
			}
			return status
		}
		if _, known := c.Status("d"); known || len(c.Statuses()) != 0 {
			t.Error("a device is known before its time")
		}
		connected := make(chan error, 1)
		go func() { connected <- c.Connect(soon(t), "d", "ws://x/ws") }()
		p := x.registration("d")
		expect(DeviceConnecting, 1)
		p.send(object{"type": "heartbeat", "status": "ok"})
		expect(DeviceConnected, 1)
		if err := <-connected; err != nil {
			t.Fatal(err)
		}
		answerInfo(p, object{"platform": "linux"})
		expect(DeviceIdle, 1)

		<-time.After(time.Second)
		p.send(object{"type": "heartbeat", "status": "ok"})
		synctest.Wait()
		if status, _ := c.Status("d"); !status.LastHeartbeat.Equal(time.Now()) {
			t.Errorf("the last heartbeat was at %v", status.LastHeartbeat)
		}
		run := c.queue("t")
		expect(DeviceBusy, 1)
		p.takes("t")
		<-time.After(time.Second)
		p.ends("t")
		run.succeeds(t)
		expect(DeviceIdle, 1)

		down.Store(true)
		cut(p)
		if status := expect(DeviceDisconnected, 0); status.Err == nil || len(c.Devices()) != 0 {
			t.Errorf("the status is %+v", status)
		}
		<-time.After(50 * time.Millisecond)
		if status := expect(DeviceDisconnected, 1); !errors.Is(status.Err, errUnreachable) {
			t.Errorf("the status is %+v", status)
		}
		down.Store(false)
		p = x.registration("d")
		expect(DeviceConnecting, 2)
		p.send(object{"type": "heartbeat", "status": "ok"})
		answerInfo(p, object{})
		if status := expect(DeviceIdle, 2); status.Err != nil {
			t.Errorf("the status is %+v", status)
		}
		if all := c.Statuses(); len(all) != 1 || all[0].DeviceID != "d" {
			t.Errorf("the statuses are %+v", all)
		}
		if err := c.Disconnect("d"); err != nil {
			t.Error(err)
		}
		if _, known := c.Status("d"); known {
			t.Error("the device is not forgotten")
		}
		want := []DeviceState{
			DeviceConnecting, DeviceConnected, DeviceIdle, DeviceBusy, DeviceIdle, DeviceDisconnected,
			DeviceConnecting, DeviceDisconnected, DeviceConnecting, DeviceConnected, DeviceIdle, DeviceDisconnected,
		}
		if got := r.states(); !slices.Equal(got, want) {
			t.Errorf("the states were %v", got)
		}
		checkStates(t, r)
	})
}

// TestDeviceFails: the first attempt, and one too many later; what waited fails,
// and Connect begins anew.
func TestDeviceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		var x *exchange
		down := true
		c, x := newConstellation(t, ConstellationOptions{
			Observer: r.observe, Reconnect: &ReconnectOptions{Strategy: twoAttempts{}, NoResume: true},
			Dial: func(ctx context.Context, url string) (transport.Transport, error) {
				if down {
					return nil, errUnreachable
				}
				return x.dial(ctx, url)
			},
		})
		connect := func() error { return c.Connect(soon(t), "d", "ws://me:secret@x/ws?token=secret") }
		if err := connect(); !errors.Is(err, errUnreachable) {
			t.Errorf("Connect returned %v", err)
		}
		status, _ := c.Status("d")
		if status.State != DeviceFailed || !errors.Is(status.Err, errUnreachable) || status.URL != "ws://x/ws?redacted" || strings.Contains(status.Err.Error(), "secret") {
			t.Errorf("the status is %+v", status)
		}
		if len(c.Find()) != 0 {
			t.Error("a device without a connection is found")
		}
		down = false
		connected := make(chan error, 1)
		go func() { connected <- connect() }()
		p := x.registration("d")
		p.confirm()
		if err := <-connected; err != nil {
			t.Fatal(err)
		}
		down = true
		done := c.Done("d")
		run := c.queue("0")
		p.takes("0")
		waiting := c.queue("1")
		cut(p)
		<-done
		if _, err := run.wait(); !errors.Is(err, ErrTaskLost) {
			t.Errorf("Run returned %v", err)
		}
		var gaveUp *resilience.RetryError
		if _, err := waiting.wait(); !errors.Is(err, ErrNotConnected) || !errors.As(err, &gaveUp) {
			t.Errorf("Run returned %v", err)
		}
		if status, _ = c.Status("d"); status.State != DeviceFailed || status.Attempts != 2 || status.Queued != 0 || !errors.As(status.Err, &gaveUp) {
			t.Errorf("the status is %+v", status)
		}
		if err := c.Disconnect("d"); err != nil {
			t.Errorf("forgetting a device that failed: %v", err)
		}
		if err := c.Disconnect("d"); !errors.Is(err, ErrNotConnected) {
			t.Errorf("Disconnect returned %v", err)
		}
		checkStates(t, r)
	})
}

// TestConnectIsGivenUp: that is no failure of the device.
func TestConnectIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, x := newConstellation(t, ConstellationOptions{})
		ctx, cancel := context.WithCancel(context.Background())
		connected := make(chan error, 1)
		go func() { connected <- c.Connect(ctx, "d", "ws://x/ws") }()
		p := x.registration("d")
		if err := c.Disconnect("d"); !errors.Is(err, ErrNotConnected) {
			t.Errorf("Disconnect during Connect returned %v", err)
		}
		cancel()
		if err := <-connected; !errors.Is(err, context.Canceled) {
			t.Errorf("Connect returned %v", err)
		}
		p.expectClose()
		if status, known := c.Status("d"); !known || status.State != DeviceDisconnected {
			t.Errorf("the status is %+v", status)
		}
	})
}

// TestStatusFromObserver: an observer may ask how things are, and is never told
// of two events at once.
func TestStatusFromObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *Constellation
		var inside atomic.Int32
		asked := 0
		c, p := connectedBy(t, ConstellationOptions{Observer: func(Event) {
			if inside.Add(1) != 1 {
				t.Error("two events at once")
			}
			defer inside.Add(-1)
			if _, known := c.Status("d"); known {
				asked++
			}
			_, _, _ = c.Statuses(), c.Find(), c.Devices()
		}}, &c)
		run := c.queue("t")
		p.takes("t")
		p.ends("t")
		run.succeeds(t)
		if asked == 0 {
			t.Error("nothing was observed")
		}
	})
}

// connectedBy does what connected does, and tells of the constellation before
// it is connected.
func connectedBy(t *testing.T, options ConstellationOptions, out **Constellation) (*Constellation, *peer) {
	t.Helper()
	c, x := newConstellation(t, options)
	*out = c
	result := make(chan error, 1)
	go func() { result <- c.Connect(soon(t), "d", "ws://x/ws") }()
	p := x.registration("d")
	p.confirm()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	return c, p
}
