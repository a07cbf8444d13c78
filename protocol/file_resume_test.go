package protocol

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// resumingStart is the announcement of f.txt by a sender that asks for a
// resume.
func resumingStart(sum string, size, chunkSize int64) string {
	return fmt.Sprintf(`{"type":"file_transfer_start","filename":"f.txt","size":%d,"chunk_size":%d,"total_chunks":%d,"io.aip.file":{"v":1,"id":"an id","sha256":"%s","resume":true}}`,
		size, chunkSize, chunksOf(size, chunkSize), sum)
}

func sum256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// errCut is how connections end here.
var errCut = errors.New("cable cut")

// cutTransfer sends content over a connection of its own, which is cut after
// so many chunks, and returns the errors of both sides.
func cutTransfer(t *testing.T, dir string, content []byte, chunkSize, after int64, receive *ReceiveFileOptions) (sent, received error) {
	t.Helper()
	client, server, near := filePair(t)
	ctx := fileContext(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, sent = client.SendFileFrom(ctx, bytes.NewReader(content), "f.bin", int64(len(content)), &SendFileOptions{
			ChunkSize: chunkSize, Resume: true,
			Progress: func(p FileProgress) {
				if p.Chunks == after {
					near.Abort(errCut)
				}
			},
		})
	})
	_, received = server.ReceiveFile(ctx, dir, receive)
	wg.Wait()
	return sent, received
}

// wholeTransfer sends content over a connection of its own.
func wholeTransfer(t *testing.T, dir string, content []byte, send *SendFileOptions, receive *ReceiveFileOptions) (sent, received *FileResult) {
	t.Helper()
	client, server, _ := filePair(t)
	ctx := fileContext(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		if sent, err = client.SendFileFrom(ctx, bytes.NewReader(content), "f.bin", int64(len(content)), send); err != nil {
			t.Error(err)
		}
	})
	received, err := server.ReceiveFile(ctx, dir, receive)
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	return sent, received
}

func TestResume(t *testing.T) {
	const size, chunk = 10_050, 1000
	content := patterned(size)
	resume := &ReceiveFileOptions{Resume: true}
	send := &SendFileOptions{ChunkSize: chunk, Resume: true}
	for _, test := range []struct {
		name    string
		spoil   func(t *testing.T, partial string) // what happens between the two
		again   []byte
		send    *SendFileOptions
		receive *ReceiveFileOptions
		want    int64 // bytes that are not sent again
	}{
		{"goes on", nil, content, send, resume, 5000},
		{"in larger chunks", nil, content, &SendFileOptions{ChunkSize: 2100, Resume: true}, resume, 4200},
		{"in one chunk", nil, content, &SendFileOptions{ChunkSize: size, Resume: true}, resume, 0},
		{"the file has changed", nil, patterned(size + 1)[1:], send, resume, 0},
		{"the file has grown", nil, patterned(size + 1000), send, resume, 0},
		{"the sender does not ask", nil, content, &SendFileOptions{ChunkSize: chunk}, resume, 0},
		{"the receiver does not know", nil, content, send, nil, 0},
		{"what was kept is damaged", func(t *testing.T, partial string) {
			file, err := os.OpenFile(partial, os.O_WRONLY, 0)
			if err == nil {
				_, err = file.WriteAt([]byte{'!'}, 10)
				err = errors.Join(err, file.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		}, content, send, resume, 0},
		{"what was kept lost its end", func(t *testing.T, partial string) {
			if err := os.Truncate(partial, 2345); err != nil {
				t.Fatal(err)
			}
		}, content, send, resume, 2000},
		{"what was kept is too long", func(t *testing.T, partial string) {
			if err := os.Truncate(partial, 2*size); err != nil {
				t.Fatal(err)
			}
		}, content, send, resume, 0},
		{"what was kept is too old", func(t *testing.T, partial string) {
			old := time.Now().Add(-DefaultPartialAge - time.Minute)
			if err := os.Chtimes(partial, old, old); err != nil {
				t.Fatal(err)
			}
		}, content, send, resume, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			sent, received := cutTransfer(t, dir, content, chunk, 5, resume)
			if !errors.Is(sent, errCut) {
				t.Errorf("the sender was cut with %v", sent)
			}
			if !errors.Is(received, io.ErrUnexpectedEOF) {
				t.Errorf("the receiver was cut with %v", received)
			}
			if _, err := os.Stat(filepath.Join(dir, "f.bin")); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("half a file is under the final name: %v", err)
			}
			if got := partials(t, dir); len(got) != 1 || got[0] != 5000 {
				t.Fatalf("kept %v", got)
			}
			if test.spoil != nil {
				entries, err := os.ReadDir(filepath.Join(dir, partialDir))
				if err != nil {
					t.Fatal(err)
				}
				test.spoil(t, filepath.Join(dir, partialDir, entries[0].Name()))
			}
			ours, theirs := wholeTransfer(t, dir, test.again, test.send, test.receive)
			if ours.Resumed != test.want || theirs.Resumed != test.want {
				t.Errorf("resumed %d and %d, want %d", ours.Resumed, theirs.Resumed, test.want)
			}
			if theirs.SHA256 != sum256(test.again) || !theirs.Verified {
				t.Errorf("SHA-256 %s, verified: %v", theirs.SHA256, theirs.Verified)
			}
			got, err := os.ReadFile(filepath.Join(dir, "f.bin"))
			if err != nil || !bytes.Equal(got, test.again) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}

// Cut again and again, everywhere, the file arrives all the same.
func TestResumeOftenCut(t *testing.T) {
	dir := t.TempDir()
	content := patterned(1000)
	resume := &ReceiveFileOptions{Resume: true}
	for after := range int64(10) {
		sent, received := cutTransfer(t, dir, content, 100, after, resume)
		if sent == nil || received == nil {
			t.Fatalf("cut after %d: %v, %v", after, sent, received)
		}
		want := []int64{after * 100}
		if after == 0 {
			want = nil
		}
		if got := partials(t, dir); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("kept %v after %d chunks", got, after)
		}
	}
	// All that is missing is the end.
	sent, received := cutTransfer(t, dir, content, 100, 10, resume)
	if sent == nil || received == nil {
		t.Fatalf("%v, %v", sent, received)
	}
	ours, theirs := wholeTransfer(t, dir, content, &SendFileOptions{ChunkSize: 100, Resume: true}, resume)
	if ours.Resumed != 1000 || theirs.Resumed != 1000 {
		t.Errorf("resumed %d and %d", ours.Resumed, theirs.Resumed)
	}
	checkDir(t, dir, map[string]string{"f.bin": string(content)})
}

// Nothing is kept unless both sides want it, nor after a failure that is not
// the connection's.
func TestNothingKept(t *testing.T) {
	content := patterned(1000)
	dir := t.TempDir()
	if sent, received := cutTransfer(t, dir, content, 100, 5, nil); sent == nil || received == nil {
		t.Fatal(sent, received)
	}
	checkDir(t, dir, nil)

	sum := sum256([]byte("abcdefg"))
	for name, parts := range map[string][]any{
		"wrong checksum": {resumingStart(sum, 7, 3), abc()[1:], completeOf(`,"checksum":"` + md5Empty + `"`)},
		"out of order":   {resumingStart(sum, 7, 3), chunkFrames(0, "abc"), chunkFrames(2, "g")},
		"wrong size":     {resumingStart(sum, 7, 3), chunkFrames(0, "abc"), chunkFrames(1, "d")},
		"no chunk yet":   {resumingStart(sum, 7, 3), completeOf(`,"io.aip.file":{"v":1,"aborted":true}`)},
		"no SHA-256":     {resumingStart("7", 7, 3), chunkFrames(0, "abc"), completeOf(`,"io.aip.file":{"v":1,"aborted":true}`)},
	} {
		r := fileReceiverIn(t, dir, &ReceiveFileOptions{Resume: true})
		if _, err := feedAll(t, r, parts...); err == nil {
			t.Errorf("%s: no error", name)
		}
		checkDir(t, dir, nil)
	}
	// The sender's own giving up is a reason to keep it.
	r := fileReceiverIn(t, dir, &ReceiveFileOptions{Resume: true})
	if _, err := feedAll(t, r, resumingStart(sum, 7, 3), chunkFrames(0, "abc"), completeOf(`,"io.aip.file":{"v":1,"aborted":true}`)); !errors.Is(err, ErrAborted) {
		t.Error(err)
	}
	if got := partials(t, dir); len(got) != 1 || got[0] != 3 {
		t.Errorf("kept %v", got)
	}
}

// The frames of the agreement, as the documentation has them.
func TestResumeFrames(t *testing.T) {
	dir := t.TempDir()
	sum := sum256([]byte("abcdefg"))
	r := fileReceiverIn(t, dir, &ReceiveFileOptions{Resume: true})
	step, err := feedAll(t, r, resumingStart(sum, 7, 3))
	if err != nil {
		t.Fatal(err)
	}
	const nothing = `{"type": "file_transfer_resume", "filename": "f.txt", "io.aip.file": {"v": 1, "id": "an id"}}`
	if got := string(appendMetadata(nil, step.reply)); got != nothing {
		t.Errorf("reply %s, want %s", got, nothing)
	}
	if _, err := feedAll(t, r, chunkFrames(0, "abc"), chunkFrames(1, "def")); err != nil {
		t.Fatal(err)
	}
	if err := r.fail(StageChunk, ErrStalled, true); !errors.Is(err, ErrStalled) {
		t.Error(err)
	}
	offer := `{"type": "file_transfer_resume", "filename": "f.txt", "io.aip.file": {"v": 1, "id": "an id", "sha256": "` + sum256([]byte("abcdef")) + `", "offset": 6}}`
	for _, goOn := range [][]any{
		{chunkFrames(0, "abc")}, // the sender does not agree
		{chunkFrames(0, "abc"), chunkFrames(1, "def"), chunkFrames(2, "g"), completeABC},
	} {
		r = fileReceiverIn(t, dir, &ReceiveFileOptions{Resume: true})
		if step, err = feedAll(t, r, resumingStart(strings.ToUpper(sum), 7, 3)); err != nil {
			t.Fatal(err)
		}
		if got := string(appendMetadata(nil, step.reply)); got != offer {
			t.Errorf("reply %s, want %s", got, offer)
		}
		step, err := feedAll(t, r, goOn...)
		if err != nil {
			t.Fatal(err)
		}
		if step.result != nil {
			if step.result.Resumed != 0 {
				t.Errorf("result %+v", step.result)
			}
			break
		}
		// Cut again, one chunk is there; two are made of it for the next round.
		if _, err := feedAll(t, r, chunkFrames(1, "def")); err != nil {
			t.Fatal(err)
		}
		if err := r.fail(StageChunk, ErrStalled, true); !errors.Is(err, ErrStalled) {
			t.Error(err)
		}
	}
	checkDir(t, dir, map[string]string{"f.txt": "abcdefg"})

	// Neither 0 nor what was offered is out of order.
	dir = t.TempDir()
	r = fileReceiverIn(t, dir, &ReceiveFileOptions{Resume: true})
	if _, err := feedAll(t, r, resumingStart(sum, 7, 3), chunkFrames(0, "abc"), chunkFrames(1, "def")); err != nil {
		t.Fatal(err)
	}
	if err := r.fail(StageChunk, ErrStalled, true); !errors.Is(err, ErrStalled) {
		t.Error(err)
	}
	r = fileReceiverIn(t, dir, &ReceiveFileOptions{Resume: true})
	if _, err := feedAll(t, r, resumingStart(sum, 7, 3), chunkFrames(1, "def")); !errors.Is(err, ErrOrder) {
		t.Errorf("%v, want ErrOrder", err)
	}
	checkDir(t, dir, nil)
}

// A peer that does not know of resumes costs a wait, and nothing else. Another
// one's nonsense costs nothing.
func TestResumeWithoutAnswer(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers func(id string) []string
		wait    time.Duration
	}{
		{"reference", func(string) []string { return nil }, 3 * time.Second},
		{"other id", func(string) []string {
			return []string{`{"type":"file_transfer_resume","filename":"f.bin","io.aip.file":{"v":1,"id":"x","offset":2}}`}
		}, 3 * time.Second},
		{"other version", func(id string) []string {
			return []string{`{"type":"file_transfer_resume","filename":"f.bin","io.aip.file":{"v":2,"id":"` + id + `","offset":2}}`}
		}, 3 * time.Second},
		{"odd offset", func(id string) []string {
			return []string{`{"type":"file_transfer_resume","filename":"f.bin","io.aip.file":{"v":1,"id":"` + id + `","offset":1}}`}
		}, 0},
		{"offset beyond the end", func(id string) []string {
			return []string{`{"type":"file_transfer_resume","filename":"f.bin","io.aip.file":{"v":1,"id":"` + id + `","offset":8}}`}
		}, 0},
		{"negative offset", func(id string) []string {
			return []string{`{"type":"file_transfer_resume","filename":"f.bin","io.aip.file":{"v":1,"id":"` + id + `","offset":-2}}`}
		}, 0},
		{"no proof", func(id string) []string {
			return []string{`{"type":"file_transfer_resume","filename":"f.bin","io.aip.file":{"v":1,"id":"` + id + `","offset":2}}`}
		}, 0},
		{"wrong proof after a message", func(id string) []string {
			return []string{`{"type":"heartbeat","status":"ok","response_id":"r"}`,
				`{"type":"file_transfer_resume","filename":"f.bin","io.aip.file":{"v":1,"id":"` + id + `","offset":2,"sha256":"` + strings.Repeat("0", 64) + `"}}`}
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server, _ := filePair(t)
				ctx, began := context.Background(), time.Now()
				var wg sync.WaitGroup
				wg.Go(func() {
					result, err := client.SendFileFrom(ctx, strings.NewReader("abcdef"), "f.bin", 6,
						&SendFileOptions{ChunkSize: 2, Resume: true, ResumeWait: 3 * time.Second})
					if err != nil || result.Resumed != 0 {
						t.Errorf("%+v, %v", result, err)
					}
				})
				far := server.Transport()
				start, err := far.Receive(ctx)
				if err != nil {
					t.Fatal(err)
				}
				answers := test.answers(extensionOf(metadataOf(t, string(start))).ID)
				for _, answer := range answers {
					if err := far.Send(ctx, []byte(answer)); err != nil {
						t.Fatal(err)
					}
				}
				next, err := far.Receive(ctx)
				if err != nil || !strings.Contains(string(next), `"chunk_num": 0`) {
					t.Errorf("goes on with %s, %v", next, err)
				}
				if took := time.Since(began); took != test.wait {
					t.Errorf("waited for %v, want %v", took, test.wait)
				}
				wg.Wait()
				// What is not an answer was kept, what came late is not taken
				// for a message.
				if err := far.Send(ctx, []byte(`{"type":"file_transfer_resume","filename":"f.bin"}`)); err != nil {
					t.Fatal(err)
				}
				if err := far.Send(ctx, []byte(`{"type":"heartbeat","status":"ok","response_id":"last"}`)); err != nil {
					t.Fatal(err)
				}
				want := "last"
				if len(answers) == 2 {
					want = "r"
				}
				if m, err := client.Receive(ctx); err != nil || m.ResponseID != want {
					t.Errorf("then %v, %v", m, err)
				}
			})
		})
	}
}

// Run reads the answer where it runs.
func TestResumeWhileRunning(t *testing.T) {
	dir := t.TempDir()
	content := patterned(10_000)
	resume := &ReceiveFileOptions{Resume: true}
	if sent, received := cutTransfer(t, dir, content, 1000, 4, resume); sent == nil || received == nil {
		t.Fatal(sent, received)
	}
	client, server, near := filePair(t)
	ctx := fileContext(t)
	received := make(chan *FileResult, 1)
	err := server.HandleFiles(dir, resume, func(_ context.Context, file *FileResult, err error) error {
		received <- file
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	server.OnError(func(_ context.Context, _ *messages.ClientMessage, err error) { t.Error(err) })
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := server.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := client.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	sent, err := client.SendFileFrom(ctx, bytes.NewReader(content), "f.bin", int64(len(content)), &SendFileOptions{ChunkSize: 1000, Resume: true})
	if err != nil || sent.Resumed != 4000 {
		t.Errorf("%+v, %v", sent, err)
	}
	if file := <-received; file == nil || file.Resumed != 4000 || file.SHA256 != sum256(content) {
		t.Errorf("received %+v", file)
	}
	if err := near.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}
