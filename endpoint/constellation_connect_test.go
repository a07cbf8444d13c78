package endpoint

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

func TestConstellationDeviceInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := connected(t, ConstellationOptions{})
		ask := func(reply func(request object)) (messages.Value, error) {
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				reply(p.expect(object{"type": "device_info_request", "client_type": "constellation", "target_id": "d"}))
			}()
			value, err := c.DeviceInfo(context.Background(), "d")
			<-answered
			return value, err
		}
		if value, err := ask(func(m object) {
			p.send(object{"type": "device_info_response", "status": "ok", "response_id": m["request_id"], "result": object{"a": 1}})
		}); err != nil || value.String() != `{"a":1}` {
			t.Errorf("DeviceInfo returned %v, %v", value, err)
		}
		var missing *protocol.DeviceInfoError
		if _, err := ask(func(m object) {
			p.send(object{"type": "device_info_response", "status": "ok", "response_id": m["request_id"], "result": object{"error": "unknown"}})
		}); !errors.As(err, &missing) {
			t.Errorf("DeviceInfo returned %v", err)
		}
		var refused *protocol.RemoteError
		if _, err := ask(func(object) { p.send(object{"type": "error", "status": "error", "error": "no"}) }); !errors.As(err, &refused) {
			t.Errorf("DeviceInfo returned %v", err)
		}
		start := time.Now()
		if _, err := ask(func(object) {}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("DeviceInfo returned %v after %v", err, time.Since(start))
		}
		if _, err := c.DeviceInfo(context.Background(), "other"); !errors.Is(err, ErrNotConnected) {
			t.Errorf("DeviceInfo returned %v", err)
		}
	})
}

// TestConnectIsIdempotent: however often and from however many goroutines,
// there is one connection per device (spec 8, D19).
func TestConnectIsIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, x := newConstellation(t, ConstellationOptions{})
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				if err := c.Connect(soon(t), "d", "ws://x/ws"); err != nil {
					t.Error(err)
				}
			})
		}
		p := x.registration("d")
		synctest.Wait()
		p.confirm()
		callers.Wait()
		if err := c.Connect(soon(t), "d", "ws://x/ws"); err != nil {
			t.Error(err)
		}
		if err := c.Connect(soon(t), "d", "ws://y/ws"); !errors.Is(err, ErrInvalidOptions) {
			t.Errorf("Connect returned %v", err)
		}
		if err := c.Connect(soon(t), "", "ws://y/ws"); !errors.Is(err, ErrInvalidOptions) {
			t.Errorf("Connect returned %v", err)
		}
		callers.Go(func() { x.registration("e").confirm() })
		if err := c.Connect(soon(t), "e", "ws://y/ws"); err != nil {
			t.Error(err)
		}
		callers.Wait()
		if got := c.Devices(); !slices.Equal(got, []string{"d", "e"}) {
			t.Errorf("connected are %v", got)
		}
		if len(x.peers) != 0 {
			t.Error("there are more connections")
		}
	})
}

// TestConnectFails: and can be tried again.
func TestConnectFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, x := newConstellation(t, ConstellationOptions{})
		result := make(chan error, 1)
		connect := func(ctx context.Context) { result <- c.Connect(ctx, "d", "ws://x/ws") }

		go connect(soon(t))
		p := x.registration("d")
		p.send(object{"type": "error", "status": "error", "error": "Target device 'd' is not connected"})
		var failed *protocol.RegistrationError
		if err := <-result; !errors.As(err, &failed) || failed.Failure != protocol.RegistrationRefused || !transport.Retryable(err) {
			t.Errorf("Connect returned %v", err)
		}
		p.expectClose()

		// A caller that gives up does not take the others with it.
		ctx, cancel := context.WithCancel(context.Background())
		first := make(chan error, 1)
		go func() { first <- c.Connect(ctx, "d", "ws://x/ws") }()
		p = x.registration("d")
		go connect(soon(t))
		synctest.Wait()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("Connect returned %v", err)
		}
		p.expectClose()
		p = x.registration("d")
		p.confirm()
		if err := <-result; err != nil {
			t.Errorf("Connect returned %v", err)
		}

		// After a loss it is connected again by hand.
		done := c.Done("d")
		p.close()
		<-done
		go connect(soon(t))
		x.registration("d").confirm()
		if err := <-result; err != nil {
			t.Errorf("Connect returned %v", err)
		}
	})
}

// TestCloseWhileConnecting: Close ends everything, also what has just begun.
func TestCloseWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		dialling := func(ctx context.Context, url string) (transport.Transport, error) {
			close(stuck)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		c, _ := newConstellation(t, ConstellationOptions{Dial: dialling})
		results := make(chan error, 2)
		go func() { results <- c.Connect(context.Background(), "d", "ws://x/ws") }()
		<-stuck
		go func() { results <- c.Connect(context.Background(), "d", "ws://x/ws") }()
		synctest.Wait()
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		for range 2 {
			if err := <-results; !errors.Is(err, ErrClosed) {
				t.Errorf("Connect returned %v", err)
			}
		}
		if err := c.Connect(context.Background(), "d", "ws://x/ws"); !errors.Is(err, ErrClosed) {
			t.Errorf("Connect returned %v", err)
		}
	})
}

func TestConstellationHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		c, p := connected(t, ConstellationOptions{HeartbeatInterval: 10 * time.Second, Observer: r.observe})
		start := time.Now()
		for i := range 3 {
			p.send(object{"type": "heartbeat", "status": "ok"})
			m := p.expect(object{"type": "heartbeat", "status": "ok", "client_type": "constellation", "client_id": "c@d"})
			if device := m["metadata"].(map[string]any)["device_id"]; device != "d" {
				t.Errorf("the heartbeat is %v", m)
			}
			if took := time.Since(start); took != time.Duration(i+1)*10*time.Second {
				t.Errorf("heartbeat %d came after %v", i, took)
			}
		}
		p.close()
		<-c.Done("d")
		if beats := r.of(EventHeartbeat); len(beats) != 3 {
			t.Errorf("observed %d answers", len(beats))
		}
		if ends := r.of(EventDisconnected); len(ends) != 1 || ends[0].DeviceID != "d" || ends[0].Err != nil {
			t.Errorf("observed %+v", ends)
		}
	})
}

// TestErrorsThatConcernNothing: they are taken note of, and never answered.
func TestErrorsThatConcernNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		_, p := connected(t, ConstellationOptions{Observer: r.observe})
		p.send(object{"type": "error", "status": "error", "error": "boom", "session_id": "other"})
		p.sendText("{not json")
		p.send(object{"type": "command", "status": "continue", "response_id": "r", "actions": []any{}})
		p.expectNothing(time.Hour)
		if refused := r.of(EventRefused); len(refused) != 1 || refused[0].SessionID != "other" {
			t.Errorf("observed %+v", refused)
		}
	})
}

func TestDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := connected(t, ConstellationOptions{})
		if err := c.Disconnect("d"); err != nil {
			t.Error(err)
		}
		if code := p.expectClose(); code != transport.StatusNormal {
			t.Errorf("closed with %v", code)
		}
		if err := c.Disconnect("d"); !errors.Is(err, ErrNotConnected) {
			t.Errorf("Disconnect returned %v", err)
		}
		if devices := c.Devices(); len(devices) != 0 {
			t.Errorf("connected are %v", devices)
		}
	})
}

func TestNewConstellationOptions(t *testing.T) {
	for name, o := range map[string]*ConstellationOptions{"nil": nil, "no name": {}} {
		if _, err := NewConstellation(o); !errors.Is(err, ErrInvalidOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTaskErrorText: the error says what happened, where.
func TestTaskErrorText(t *testing.T) {
	err := error(&TaskError{DeviceID: "d", SessionID: "s", Kind: ErrTaskLost, Message: "m", Err: io.ErrUnexpectedEOF})
	want := `endpoint: connection lost before the end of the task (device "d", session "s"): m: unexpected EOF`
	if err.Error() != want || !errors.Is(err, ErrTaskLost) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}
