package stack_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aip-go/aip/internal/bench/stack"
)

// serve starts a service, which ends with the test.
func serve(t *testing.T, name string) (addr string) {
	t.Helper()
	s, ok := stack.Named(name)
	if !ok {
		t.Fatalf("no service is called %q", name)
	}
	listener, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	})
	return listener.Addr()
}

type open func(ctx context.Context, addr string) (stack.Call, func() error, error)

// TestCalls makes calls of each kind from several callers, and ends the
// connection under them.
func TestCalls(t *testing.T) {
	bytes := func(texts func() (message, answer []byte, err error), callers int) open {
		return func(ctx context.Context, addr string) (stack.Call, func() error, error) {
			message, answer, err := texts()
			if err != nil {
				return nil, nil, err
			}
			return stack.OpenBytes(ctx, addr, message, answer, callers)
		}
	}
	for name, test := range map[string]struct {
		service string
		callers int
		open    open
	}{
		"heartbeats":         {stack.TypedService, 1, stack.OpenHeartbeats},
		"heartbeats' bytes":  {stack.TypedService, 1, bytes(stack.HeartbeatBytes, 1)},
		"commands":           {stack.TypedService, 4, stack.OpenCommands},
		"commands' bytes":    {stack.TypedService, 1, bytes(stack.CommandBytes, 1)},
		"commands' bytes, 4": {stack.TypedService, 4, bytes(stack.CommandBytes, 4)},
		"tasks": {stack.EndpointService, 4, func(ctx context.Context, addr string) (stack.Call, func() error, error) {
			return stack.OpenTasks(ctx, addr, 4)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			call, end, err := test.open(t.Context(), serve(t, test.service))
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			f, err := stack.Drive(test.callers, now, now, func(int) error { return call() })
			if err != nil || f.Rate <= 0 || f.Median <= 0 {
				t.Errorf("the figures are %+v, %v", f, err)
			}
			if err := end(); err != nil {
				t.Error(err)
			}
			if call() == nil {
				t.Error("a call was answered without a connection")
			}
		})
	}
}

func TestDriveReportsFailures(t *testing.T) {
	broken := errors.New("broken")
	_, err := stack.Drive(2, time.Now(), time.Now().Add(time.Hour), func(int) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("got the error %v", err)
	}
}

// TestForms sends content in every form, in both directions.
func TestForms(t *testing.T) {
	addr := serve(t, stack.StreamService)
	for i, form := range stack.Forms() {
		for _, down := range []bool{false, true} {
			s, err := stack.OpenStream(t.Context(), addr, i, 2<<20+1, down)
			if err != nil {
				t.Fatalf("%s, down %t: %v", form.Name, down, err)
			}
			if err := s.Transfer(t.Context()); err != nil {
				t.Errorf("%s, down %t: %v", form.Name, down, err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("%s, down %t: %v", form.Name, down, err)
			}
		}
	}
}

func TestTools(t *testing.T) {
	for name, take := range map[string]func(ctx context.Context, addr string) (stack.Figures, error){
		stack.EndpointService: func(ctx context.Context, addr string) (stack.Figures, error) {
			return stack.Tools(ctx, addr, 3, 0, time.Nanosecond)
		},
		stack.MCPService: func(ctx context.Context, addr string) (f stack.Figures, err error) {
			for _, plainJSON := range []bool{false, true} {
				if f, err = stack.MCPTools(ctx, addr, 3, plainJSON, 0, time.Nanosecond); err != nil {
					return f, err
				}
			}
			return f, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := take(t.Context(), serve(t, name))
			if err != nil || f.Rate <= 0 || f.Median <= 0 {
				t.Errorf("the figures are %+v, %v", f, err)
			}
		})
	}
}

func TestHeartbeats(t *testing.T) {
	addr := serve(t, stack.EndpointService)
	for _, inFlight := range []int{1, 8} {
		rate, err := stack.Heartbeats(t.Context(), addr, inFlight, 0, time.Nanosecond)
		if err != nil || rate <= 0 {
			t.Errorf("with %d in flight the rate is %v, %v", inFlight, rate, err)
		}
	}
}

// TestDevices registers devices with and without a session, and has the server
// answer their heartbeats.
func TestDevices(t *testing.T) {
	addr := serve(t, stack.DefaultsService)
	for _, noSession := range []bool{false, true} {
		ids, end, err := stack.OpenDevices(t.Context(), addr, 2, stack.DeviceOptions{Heartbeats: time.Millisecond, NoSession: noSession})
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) != 2 {
			t.Errorf("the devices are %q", ids)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	}
}

func TestNamed(t *testing.T) {
	if _, ok := stack.Named("nobody"); ok {
		t.Error("a service that does not exist is found")
	}
}
