package protocol

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/messages"
)

// TestFewChunksWait: chunks that their handler has no time for wait with their
// sender, unless a reply may be behind them.
func TestFewChunksWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := filePair(t)
		ctx := context.Background()
		slow, goOn := make(chan struct{}), make(chan struct{})
		done := make(chan error, 2)
		err := server.HandleFiles(t.TempDir(), &ReceiveFileOptions{Progress: func(p FileProgress) {
			if p.Chunks == 1 {
				close(slow)
				<-goOn
			}
		}}, func(_ context.Context, file *FileResult, err error) error {
			if err == nil && file.Chunks != 100 {
				t.Errorf("received %+v", file)
			}
			done <- err
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		wait := runServer(t, ctx, server)
		go func() {
			const size = 100 * DefaultChunkSize
			_, err := client.SendFileFrom(ctx, &endless{size}, "f.bin", size, nil)
			done <- err
		}()
		<-slow
		readOn()
		if n, size := server.Pending(); n != 1 || size > maxChunksWaiting {
			t.Errorf("%d chunks wait, of %d bytes", n, size)
		}
		reply, err := server.Expect(ctx, MatchTask(&messages.ServerMessage{TaskName: "it"}))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n, _ := server.Pending(); n < 50 {
			t.Errorf("%d chunks wait though a reply may be behind them", n)
		}
		reply.Release()
		close(goOn)
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		must(t, client.Close())
		must(t, wait())
	})
}
