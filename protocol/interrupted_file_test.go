package protocol

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/transport"
)

// TestInterruptedHandleFiles: the file fails, nothing is ignored on its
// account, and the next one is taken.
func TestInterruptedHandleFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r, s := replacingPair(t, nil)
		far, dir := s.Transport().(*transport.Memory), t.TempDir()
		var trace []string
		must(t, c.HandleFiles(dir, &ReceiveFileOptions{Existing: ExistingReplaced}, func(_ context.Context, file *FileResult, err error) error {
			trace = append(trace, outcome(file, err))
			if err != nil && errors.Is(err, ErrInterrupted) && !r.isGap(err) {
				t.Errorf("the file failed with %v", err)
			}
			return nil
		}))
		c.OnInvalid(func(_ context.Context, err *MessageError) { trace = append(trace, "invalid "+string(err.Binary)) })
		c.OnInterrupted(func(context.Context, *transport.InterruptedError) { trace = append(trace, "gap") })
		wait := start(context.Background(), c)
		play(t, far, sequence(startABC, chunkFrames(0, "abc"), gapText, chunkFrames(1, "def"), abc(), completeABC)...)
		// One that failed before the interruption, of which the rest is ignored.
		play(t, far, sequence(startABC, chunkFrames(1, "def"), chunkFrames(2, "g"), gapText, chunkFrames(2, "g"))...)
		synctest.Wait()
		want := []string{"interrupted", "gap", "invalid def", "f.txt:7", "order", "gap", "invalid g"}
		if !slices.Equal(trace, want) {
			t.Errorf("got %q, want %q", trace, want)
		}
		checkDir(t, dir, map[string]string{"f.txt": "abcdefg"})
		must(t, far.Close())
		must(t, wait())
	})
}

func TestInterruptedReceiveFile(t *testing.T) {
	c, r, s := replacingPair(t, nil)
	ctx, dir := fileContext(t), t.TempDir()
	play(t, s.Transport().(*transport.Memory), sequence(gapText, startABC, chunkFrames(0, "abc"), gapText, chunkFrames(1, "def"), abc(), completeABC)...)
	for _, stage := range []TransferStage{StageStart, StageChunk} {
		_, err := c.ReceiveFile(ctx, dir, nil)
		var failed *TransferError
		if !r.isGap(err) || !errors.As(err, &failed) || failed.Stage != stage {
			t.Errorf("got %v, want stage %s", err, stage)
		}
	}
	checkDir(t, dir, nil)
	if m, err := c.ReceiveBinary(ctx, nil); err != nil || string(m.Data) != "def" {
		t.Errorf("the chunk after the interruption: %v, %v", m, err)
	}
	if file, err := c.ReceiveFile(ctx, dir, nil); err != nil || file.Size != 7 {
		t.Errorf("the next file: %v, %v", file, err)
	}
	// The rest of a file that failed is ignored up to the interruption.
	play(t, s.Transport().(*transport.Memory), sequence(startABC, chunkFrames(1, "def"), chunkFrames(2, "g"), gapText, chunkFrames(2, "g"))...)
	if _, err := c.ReceiveFile(ctx, t.TempDir(), nil); !errors.Is(err, ErrOrder) {
		t.Errorf("a bad file: %v", err)
	}
	if _, err := c.Receive(ctx); err != r.gap {
		t.Errorf("after the bad file: %v", err)
	}
	if m, err := c.ReceiveBinary(ctx, nil); err != nil || string(m.Data) != "g" {
		t.Errorf("the chunk after the second interruption: %v, %v", m, err)
	}
}

// sourceFunc is called before each read of a source.
type sourceFunc struct {
	io.ReadSeeker
	before func()
}

func (s sourceFunc) Read(b []byte) (int, error) {
	s.before()
	return s.ReadSeeker.Read(b)
}

// TestInterruptedSendFile: nothing of a file goes to a peer that has not seen
// its beginning, not even that it was given up.
func TestInterruptedSendFile(t *testing.T) {
	for _, test := range []struct {
		name   string
		after  int // reads of the source
		frames []string
		stage  TransferStage
	}{
		{"before a chunk", 2, []string{"file_transfer_start", "chunk_num", "abc"}, StageChunk},
		{"before the end", 4, []string{"file_transfer_start", "chunk_num", "abc", "chunk_num", "def", "chunk_num", "g"}, StageComplete},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, r, s := replacingPair(t, nil)
				ctx, far := context.Background(), s.Transport().(*transport.Memory)
				running(t, c)
				reads := 0
				source := sourceFunc{strings.NewReader("abcdefg"), func() {
					if reads++; reads == test.after {
						raw(t, far, gapText)
						synctest.Wait()
					}
				}}
				_, err := c.SendFileFrom(ctx, source, "f.txt", 7, &SendFileOptions{ChunkSize: 3})
				var failed *TransferError
				if !r.isGap(err) || !errors.As(err, &failed) || failed.Stage != test.stage {
					t.Errorf("got %v, want stage %s", err, test.stage)
				}
				if n := far.Backlog().ReceiveMessages; n != len(test.frames) {
					t.Errorf("%d frames were sent, want %d", n, len(test.frames))
				}
				for i, line := range record(t, far, len(test.frames)) {
					if !strings.Contains(line, test.frames[i]) {
						t.Errorf("frame %d is %s", i, line)
					}
				}
				// The next file belongs to the new connection.
				if _, err := c.SendFileFrom(ctx, strings.NewReader("abcdefg"), "f.txt", 7, nil); err != nil {
					t.Errorf("the next file: %v", err)
				}
			})
		})
	}
}

// TestInterruptedCompletion: it comes while the last frame is being sent.
func TestInterruptedCompletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r, s := replacingPair(t, nil)
		running(t, c)
		sends := 0
		r.sent = func(context.Context) {
			if sends++; sends == 2 {
				raw(t, s.Transport(), gapText)
				synctest.Wait()
			}
		}
		_, err := c.SendFileFrom(context.Background(), strings.NewReader("abc"), "f.txt", 3, nil)
		var failed *TransferError
		if !r.isGap(err) || !errors.As(err, &failed) || failed.Stage != StageComplete {
			t.Errorf("got %v", err)
		}
	})
}

// TestInterruptedResume: the answer will not come, whoever reads; the next
// receive learns of the interruption too.
func TestInterruptedResume(t *testing.T) {
	send := func(c *Client) error {
		_, err := c.SendFileFrom(context.Background(), bytes.NewReader([]byte("abc")), "f.txt", 3, &SendFileOptions{Resume: true})
		var failed *TransferError
		if !errors.As(err, &failed) || failed.Stage != StageResume {
			t.Errorf("got %v", err)
		}
		return err
	}
	t.Run("Run", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, r, s := replacingPair(t, nil)
			running(t, c)
			r.sent = func(context.Context) { raw(t, s.Transport(), gapText) }
			if err := send(c); !r.isGap(err) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("SendFileFrom", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, r, s := replacingPair(t, nil)
			r.sent = func(context.Context) {
				must(t, s.Send(context.Background(), message(0)))
				raw(t, s.Transport(), gapText)
				must(t, s.Send(context.Background(), message(1)))
			}
			if err := send(c); !r.isGap(err) {
				t.Errorf("got %v", err)
			}
			for i, want := range []string{"0", "", "1"} {
				m, err := c.Receive(context.Background())
				if want == "" && err != r.gap || want != "" && (err != nil || m.TaskName != want) {
					t.Errorf("%d: got %v, %v; want %q", i, m, err, want)
				}
			}
		})
	})
}
