package protocol

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aip-go/aip/messages"
)

// TestNilFunctions: nil takes a function away again.
func TestNilFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		c, s := newPair(t, nil, &Options{Logger: zap.New(core)})
		running(t, s)
		s.OnError(func(context.Context, *messages.ClientMessage, error) {})
		s.OnError(nil)
		s.OnInvalid(nil)
		s.OnUnhandled(nil)
		s.OnLate(nil)
		s.Handle(messages.ClientTask, func(context.Context, *messages.ClientMessage) error { return errors.New("no") })
		ctx := context.Background()
		must(t, c.Send(ctx, messages.NewDeviceHeartbeat("dev")))
		must(t, c.Send(ctx, messages.NewDeviceTask("dev", "task", "request", messages.PlatformLinux)))
		raw(t, c.Transport(), "nonsense")
		synctest.Wait()
		var lines []string
		for _, entry := range logs.All() {
			lines = append(lines, entry.Message)
		}
		if fmt.Sprint(lines) != "[no handler for message handler failed received something invalid]" {
			t.Errorf("logged %v", logs.All())
		}
		for _, entry := range logs.All() {
			if err, ok := entry.ContextMap()["error"].(string); ok && err != "no" && entry.Message == "handler failed" {
				t.Errorf("the error is %q", err)
			}
		}
	})
}

// binary messages are, are invalid, so that the peer can be told.
func TestUnitsNobodyTakes(t *testing.T) {
	binary, file := `{"type":"binary_data","size":1}`, `{"type":"file_transfer_unheard_of"}`
	for _, takes := range []string{"nothing", "binary", "files"} {
		synctest.Test(t, func(t *testing.T) {
			_, s, near := filePair(t)
			var codes []string
			s.OnInvalid(func(_ context.Context, e *MessageError) { codes = append(codes, e.Code()+" "+string(e.Binary)) })
			s.OnError(func(_ context.Context, _ *messages.ClientMessage, err error) { t.Errorf("%s: %v", takes, err) })
			want := "[unsupported  unsupported x]"
			switch takes {
			case "binary":
				must(t, s.HandleBinary(nil, func(context.Context, *BinaryMessage) error { return nil }))
				want = "[unsupported ]"
			case "files":
				must(t, s.HandleFiles(t.TempDir(), nil, nil))
			}
			running(t, s)
			play(t, near, sequence(file, binary, binaryOf("x"))...)
			synctest.Wait()
			if fmt.Sprint(codes) != want {
				t.Errorf("%s: %v, want %v", takes, codes, want)
			}
			unhandled := uint64(2)
			if takes == "binary" {
				unhandled = 1
			}
			if n := s.Stats().Unhandled; n != unhandled {
				t.Errorf("%s: %d unhandled", takes, n)
			}
		})
	}
}
