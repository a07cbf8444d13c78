package protocol

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// that handler, as everything does.
func TestSlowHandlerIsNoStall(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			_, server, near := filePair(t)
			o, busy := newOutcomes(), false
			must(t, server.HandleFiles(t.TempDir(), &ReceiveFileOptions{StallTimeout: time.Minute}, func(ctx context.Context, file *FileResult, err error) error {
				if busy {
					t.Error("two handlers run at the same time")
				}
				return o.handle(ctx, file, err)
			}))
			server.Handle(messages.ClientHeartbeat, func(context.Context, *messages.ClientMessage) error {
				busy = true
				time.Sleep(10 * time.Minute)
				busy = false
				return nil
			})
			running(t, server)
			want := "[f.txt:7]"
			play(t, near, sequence(startABC, chunkFrames(0, "abc"), heartbeatText)...)
			if late {
				want = "[stalled]"
			} else {
				play(t, near, sequence(chunkFrames(1, "def"), chunkFrames(2, "g"), completeABC)...)
			}
			<-o.got
			if fmt.Sprint(o.all) != want {
				t.Errorf("came out as %v, want %v", o.all, want)
			}
		})
	}
}

// Protects: the bound on each wait of a transfer: it is for that wait alone, and
// what was done in time is done, however late that is noticed.
func TestStallIsForOneWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		s := stall{parent: ctx, limit: time.Minute}
		for range 3 {
			s.begin()
			time.Sleep(59 * time.Second)
			if err := s.end(nil); err != nil {
				t.Errorf("in time: %v", err)
			}
			time.Sleep(time.Hour)
		}
		wait := s.begin()
		<-wait.Done()
		if err := s.end(wait.Err()); !errors.Is(err, ErrStalled) {
			t.Errorf("too late: %v", err)
		}
		wait = s.begin()
		if wait.Err() != nil {
			t.Error("the next wait has ended before it began")
		}
		time.Sleep(2 * time.Minute)
		if err := s.end(nil); err != nil {
			t.Errorf("done all the same: %v", err)
		}
		wait = s.begin()
		cancel()
		if err := s.end(wait.Err()); !errors.Is(err, context.Canceled) || errors.Is(err, ErrStalled) {
			t.Errorf("given up: %v", err)
		}
		s.close()
		s.close()
	})
}
