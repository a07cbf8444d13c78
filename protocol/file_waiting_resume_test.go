package protocol

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// TestResumeAnswerBehindChunks: a handler asks where to go on with a file, and
// the answer is behind chunks of a file that the peer sends.
func TestResumeAnswerBehindChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		ctx := context.Background()
		none := func(_ context.Context, _ *FileResult, err error) error {
			if err != nil {
				t.Error(err)
			}
			return nil
		}
		must(t, c.HandleFiles(t.TempDir(), nil, none))
		must(t, s.HandleFiles(t.TempDir(), &ReceiveFileOptions{Resume: true}, none))
		took := make(chan time.Duration, 1)
		c.Handle(messages.ServerTaskEnd, func(ctx context.Context, _ *messages.ServerMessage) error {
			began := time.Now()
			_, err := c.SendFileFrom(ctx, bytes.NewReader([]byte("content")), "small.bin", 7, &SendFileOptions{Resume: true})
			took <- time.Since(began)
			return err
		})
		stop := running(t, c)
		defer stop()
		must(t, s.Send(ctx, message(0)))
		sent := make(chan error, 1)
		go func() {
			const size = 20 * DefaultChunkSize
			_, err := s.SendFileFrom(ctx, &endless{size}, "f.bin", size, nil)
			sent <- err
		}()
		synctest.Wait() // It is full of chunks now.
		end := running(t, s)
		defer end()
		if d := <-took; d > time.Second {
			t.Errorf("the answer took %v", d)
		}
		must(t, <-sent)
		synctest.Wait()
	})
}
