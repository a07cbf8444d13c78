package protocol

import (
	"bytes"
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// TestReaderComesAndGoes: there is a goroutine that reads as long as handlers
// take long, and no longer.
func TestReaderComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		as(c, messages.Constellation)
		s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
			return AnswerDeviceInfo(ctx, s, m, value(t, nil))
		})
		running(t, s)
		var handled []string
		release := make(chan struct{})
		c.Handle(messages.ServerTaskEnd, func(ctx context.Context, m *messages.ServerMessage) (err error) {
			handled = append(handled, m.TaskName)
			switch m.TaskName {
			case "slow":
				<-release
			case "calls":
				_, err = RequestDeviceInfo(ctx, c, "dev")
			}
			return err
		})
		running(t, c)
		synctest.Wait()
		reading := func(after string, more int) {
			t.Helper()
			synctest.Wait()
			if n := readers(); n != more {
				t.Errorf("%d readers after %s, want %d", n, after, more)
			}
		}
		send := func(name string) {
			t.Helper()
			m := message(0)
			m.TaskName = name
			must(t, s.Send(context.Background(), m))
		}
		for range 10 {
			send("quick")
			reading("a quick one", 0)
		}
		began := time.Now()
		send("calls")
		reading("a call", 1)
		if took := time.Since(began); took != 0 {
			t.Errorf("the call of a handler took %v", took)
		}
		time.Sleep(quiet / 2)
		send("quick")
		time.Sleep(quiet * 3 / 4)
		reading("too little time", 1)
		time.Sleep(quiet)
		reading("a quiet time", 0)
		send("quick")
		reading("a quick one again", 0)

		send("slow")
		reading("the beginning of a slow one", 0)
		readOn()
		reading("a while", 1)
		send("behind it")
		synctest.Wait()
		if n, _ := c.Pending(); n != 1 {
			t.Errorf("%d messages wait", n)
		}
		close(release)
		time.Sleep(2 * quiet)
		reading("the end of the slow one", 0)
		want := slices.Concat(slices.Repeat([]string{"quick"}, 10), []string{"calls", "quick", "quick", "slow", "behind it"})
		if !slices.Equal(handled, want) {
			t.Errorf("handled %v, want %v", handled, want)
		}
	})
}

// TestNothingIsLostWhenTheReaderGoes: messages come at the moment at which it is
// sent away.
func TestNothingIsLostWhenTheReaderGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		var handled []string
		c.Handle(messages.ServerTaskEnd, func(_ context.Context, m *messages.ServerMessage) error {
			handled = append(handled, m.TaskName)
			time.Sleep(2 * patience)
			return nil
		})
		running(t, c)
		const n = 50
		for i := range n {
			must(t, s.Send(context.Background(), message(i)))
			// The timer and the next message are due at the same time.
			time.Sleep(2*patience + quiet)
		}
		synctest.Wait()
		if !slices.Equal(handled, count(n)) {
			t.Errorf("handled %v", handled)
		}
	})
}

// TestContextEndsWhileAlone: what was read when the context ended, and not
// handled, is received next.
func TestContextEndsWhileAlone(t *testing.T) {
	c, s := newPair(t, nil, nil)
	ctx, cancel := context.WithCancel(context.Background())
	c.Use(clientMiddleware{Incoming: func(_ context.Context, m *messages.ServerMessage) (*messages.ServerMessage, error) {
		cancel() // between the reading and the handling
		return m, nil
	}})
	c.Handle(messages.ServerTaskEnd, func(context.Context, *messages.ServerMessage) error {
		t.Error("it was handled after the end")
		return nil
	})
	must(t, s.Send(context.Background(), message(0)))
	if err := c.Run(ctx); err != context.Canceled {
		t.Errorf("Run: %v", err)
	}
	if m, err := c.Receive(context.Background()); err != nil || m.TaskName != "0" {
		t.Errorf("Receive: %v, %v", m, err)
	}
}

// readers returns how many goroutines there are that read for a Run.
func readers() int {
	stacks := make([]byte, 1<<20)
	return bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("]).read("))
}
