package protocol

import (
	"context"
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
