package protocol

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
)

// panicking panics wherever a user's code is called by the reading goroutine.
type panicking struct {
	onError
	codec.JSON
}

func (panicking) Decode([]byte, any) error    { panic("codec") }
func (panicking) MessageReceived(MessageInfo) { panic("extension") }

// the program.
func TestPanicsWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, &Options{Codec: panicking{}})
		var invalid []error
		s.OnInvalid(func(_ context.Context, e *MessageError) { invalid = append(invalid, e) })
		running(t, s)
		must(t, c.Send(context.Background(), messages.NewDeviceHeartbeat("dev")))
		synctest.Wait()
		var panicked *PanicError
		if len(invalid) != 1 || !errors.As(invalid[0], &panicked) || panicked.Value != "codec" {
			t.Errorf("got %v", invalid)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		got := 0
		s.Handle(messages.ClientHeartbeat, func(context.Context, *messages.ClientMessage) error { got++; return nil })
		s.Extend(panicking{})
		running(t, s)
		must(t, c.Send(context.Background(), messages.NewDeviceHeartbeat("dev")))
		synctest.Wait()
		if got != 1 {
			t.Errorf("%d messages handled", got)
		}
	})
}

// TestReceiveFilePanic: a panic of the user's function leaves nothing behind.
func TestReceiveFilePanic(t *testing.T) {
	_, server, near := filePair(t)
	dir := t.TempDir()
	play(t, near, sequence(abc(), completeABC, heartbeatText)...)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_, _ = server.ReceiveFile(fileContext(t), dir, &ReceiveFileOptions{Progress: func(p FileProgress) {
			if p.Chunks == 1 {
				panic("progress")
			}
		}})
	}()
	checkDir(t, dir, nil)
	if m, err := server.Receive(fileContext(t)); err != nil || m.Type != messages.ClientHeartbeat {
		t.Errorf("afterwards: %v, %v", m, err)
	}
}
