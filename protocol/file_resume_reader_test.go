package protocol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// resuming starts to send "abcdef" and returns once it waits for the answer,
// with the id of the announcement and what gives the result.
func resuming(t *testing.T, client *Client, far transport.Transport) (id string, result func() (*FileResult, error)) {
	t.Helper()
	var (
		wg   sync.WaitGroup
		sent *FileResult
		fail error
	)
	wg.Go(func() {
		sent, fail = client.SendFileFrom(context.Background(), strings.NewReader("abcdef"), "f.bin", 6,
			&SendFileOptions{ChunkSize: 2, Resume: true, ResumeWait: time.Minute})
	})
	start, err := far.Receive(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return extensionOf(metadataOf(t, string(start))).ID, func() (*FileResult, error) {
		wg.Wait()
		return sent, fail
	}
}

func answerOf(id string) string {
	return `{"type":"file_transfer_resume","filename":"f.bin","io.aip.file":{"v":1,"id":"` + id + `","offset":2,"sha256":"` + sum256([]byte("ab")) + `"}}`
}

// A sender that reads the answer itself gives way to any other reader, and
// gets its answer nevertheless.
func TestResumeGivesWay(t *testing.T) {
	for _, kind := range []string{"run", "receive", "receive binary", "receive file", "nobody"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server, near := filePair(t)
				far := server.Transport()
				ctx, cancel := context.WithCancel(context.Background())
				id, result := resuming(t, client, far)
				var wg sync.WaitGroup
				wg.Go(func() {
					var err error
					switch kind {
					case "run":
						err = client.Run(ctx)
					case "receive":
						_, err = client.Receive(ctx)
					case "receive binary":
						_, err = client.ReceiveBinary(ctx, nil)
					case "receive file":
						_, err = client.ReceiveFile(ctx, t.TempDir(), nil)
					case "nobody":
						<-ctx.Done()
						err = ctx.Err()
					}
					if !errors.Is(err, context.Canceled) {
						t.Errorf("%s: %v", kind, err)
					}
				})
				synctest.Wait()
				if err := far.Send(context.Background(), []byte(answerOf(id))); err != nil {
					t.Fatal(err)
				}
				if file, err := result(); err != nil || file.Resumed != 2 {
					t.Errorf("%+v, %v", file, err)
				}
				cancel()
				wg.Wait()
				if backlog := near.Backlog(); backlog.ReceiveMessages != 0 {
					t.Errorf("%d messages are left", backlog.ReceiveMessages)
				}
			})
		})
	}
}

func TestResumeWaitEnds(t *testing.T) {
	t.Run("connection lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server, near := filePair(t)
			_, result := resuming(t, client, server.Transport())
			near.Abort(errCut)
			if _, err := result(); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Error(err)
			}
		})
	})
	t.Run("context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server, _ := filePair(t)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, err := client.SendFileFrom(ctx, strings.NewReader("abcdef"), "f.bin", 6, &SendFileOptions{Resume: true})
			var transfer *TransferError
			if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &transfer) || transfer.Stage != StageResume {
				t.Error(err)
			}
			if _, err := server.ReceiveFile(context.Background(), t.TempDir(), nil); !errors.Is(err, ErrAborted) {
				t.Errorf("receiver: %v", err)
			}
		})
	})
	t.Run("too many messages", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server, _ := filePair(t)
			far, ctx := server.Transport(), context.Background()
			id, result := resuming(t, client, far)
			for i := range maxAside + 1 {
				if err := far.Send(ctx, fmt.Appendf(nil, `{"type":"heartbeat","status":"ok","response_id":"%d"}`, i)); err != nil {
					t.Fatal(err)
				}
			}
			if err := far.Send(ctx, []byte(answerOf(id))); err != nil {
				t.Fatal(err)
			}
			// The answer is behind what nobody reads: the file is sent whole.
			if file, err := result(); err != nil || file.Resumed != 0 {
				t.Errorf("%+v, %v", file, err)
			}
			for i := range maxAside + 1 {
				if m, err := client.Receive(ctx); err != nil || m.ResponseID != fmt.Sprint(i) {
					t.Fatalf("message %d: %v, %v", i, m, err)
				}
			}
		})
	})
}

// A handler can send a file with a resume: the answer does not wait behind it.
func TestResumeInsideHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, near := filePair(t)
		dir, content := t.TempDir(), patterned(1000)
		var (
			wg   sync.WaitGroup
			sent *FileResult
		)
		server.OnError(func(_ context.Context, _ *messages.ClientMessage, err error) { t.Error(err) })
		server.Handle(messages.ClientHeartbeat, func(ctx context.Context, _ *messages.ClientMessage) error {
			var err error
			sent, err = server.SendFileFrom(ctx, bytes.NewReader(content), "f.bin", 1000, &SendFileOptions{ChunkSize: 100, Resume: true})
			return err
		})
		wg.Go(func() {
			if err := server.Run(context.Background()); err != nil {
				t.Error(err)
			}
		})
		began := time.Now()
		play(t, near, textOf(heartbeatText))
		if _, err := client.ReceiveFile(context.Background(), dir, &ReceiveFileOptions{Resume: true}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("waited for %v", took)
		}
		if err := near.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if sent == nil || sent.Chunks != 10 {
			t.Errorf("sent %+v", sent)
		}
	})
}

// The rest of a file whose Run was stopped is nobody's binary message.
func TestHandleFilesRunTwice(t *testing.T) {
	_, server, near := filePair(t)
	dir, o := t.TempDir(), newOutcomes()
	if err := server.HandleFiles(dir, nil, o.handle); err != nil {
		t.Fatal(err)
	}
	err := server.HandleBinary(nil, func(_ context.Context, m *BinaryMessage) error {
		o.add("binary " + string(m.Data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(fileContext(t))
	wait := runServer(t, ctx, server)
	play(t, near, sequence(resumingStart(shaABC, 7, 3))...)
	if _, err := near.Receive(fileContext(t)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	wait = runServer(t, fileContext(t), server)
	play(t, near, sequence(abc()[1:], completeABC, abc(), completeABC)...)
	if err := near.Close(); err != nil {
		t.Error(err)
	}
	if err := wait(); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(o.all); got != "[interrupted f.txt:7]" {
		t.Errorf("came out as %v", got)
	}
}
