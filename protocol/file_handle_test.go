package protocol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// outcomes is a FileHandler that remembers.
type outcomes struct {
	mu  sync.Mutex
	all []string
	got chan struct{}
}

func newOutcomes() *outcomes { return &outcomes{got: make(chan struct{}, 64)} }

func (o *outcomes) handle(_ context.Context, file *FileResult, err error) error {
	o.add(outcome(file, err))
	return nil
}

func (o *outcomes) add(s string) {
	o.mu.Lock()
	o.all = append(o.all, s)
	o.mu.Unlock()
	o.got <- struct{}{}
}

// outcome says in a word what became of a file.
func outcome(file *FileResult, err error) string {
	if err == nil {
		return fmt.Sprintf("%s:%d", file.Name, file.Size)
	}
	for name, is := range map[string]error{
		"checksum": ErrChecksum, "size": ErrSize, "order": ErrOrder, "refused": ErrRefused, "exists": ErrExists,
		"stalled": ErrStalled, "aborted": ErrAborted, "interrupted": ErrInterrupted, "limit": ErrLimit,
	} {
		if errors.Is(err, is) {
			return name
		}
	}
	return err.Error()
}

// runServer runs p and returns what waits for its end.
func runServer(t *testing.T, ctx context.Context, p *Server) (wait func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() error { return <-done }
}

func TestHandleFiles(t *testing.T) {
	_, server, near := filePair(t)
	dir, o := t.TempDir(), newOutcomes()
	server.Handle(messages.ClientHeartbeat, func(_ context.Context, m *messages.ClientMessage) error {
		o.add("message " + m.ClientID)
		return nil
	})
	err := server.HandleBinary(nil, func(_ context.Context, m *BinaryMessage) error {
		o.add("binary " + string(m.Data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	server.OnError(func(_ context.Context, _ *messages.ClientMessage, err error) {
		t.Errorf("an error of a handler: %v", err)
	})
	server.OnInvalid(func(_ context.Context, err *MessageError) { o.add("invalid " + err.Type) })
	if err := server.HandleFiles(dir, &ReceiveFileOptions{MaxSize: 100}, o.handle); err != nil {
		t.Fatal(err)
	}
	ctx := fileContext(t)
	wait := runServer(t, ctx, server)
	steps := []struct {
		frames []any
		want   []string
	}{
		{[]any{abc(), completeABC}, []string{"f.txt:7"}},
		{[]any{abc(), completeABC}, []string{"exists"}},
		{[]any{startOf("200", "3", "67"), chunkFrames(0, "abc"), completeABC, heartbeatText}, []string{"limit", "message d"}},
		{[]any{strings.ReplaceAll(startABC, "f.txt", "g.txt"), chunkFrames(0, "abc"), heartbeatText,
			`{"type":"binary_data","size":1}`, binaryOf("x"), chunkFrames(1, "def"), chunkFrames(2, "g"),
			strings.ReplaceAll(completeABC, "f.txt", "g.txt")}, []string{"message d", "binary x", "g.txt:7"}},
		{[]any{strings.ReplaceAll(startABC, "f.txt", "h.txt"), chunkFrames(1, "def"), chunkFrames(2, "g"), completeABC,
			`{"type":"binary_data","size":1}`, binaryOf("y")}, []string{"order", "binary y"}},
		{[]any{strings.ReplaceAll(startABC, "f.txt", "h.txt"), chunkFrames(0, "abc"),
			`{"type":"file_transfer_start","filename":"i","size":0,"chunk_size":3,"total_chunks":0}`,
			`{"type":"file_transfer_complete","filename":"i","total_chunks":0}`}, []string{"order", "i:0"}},
		{[]any{strings.ReplaceAll(startABC, "f.txt", "h.txt"), abc()[1:], completeOf(`,"checksum":"00"`), heartbeatText}, []string{"order", "message d"}},
		{[]any{completeABC}, []string{"invalid file_transfer_complete"}},
		{[]any{`{"type":"file_transfer_unheard_of"}`}, []string{"invalid file_transfer_unheard_of"}},
	}
	var want []string
	for _, step := range steps {
		play(t, near, sequence(step.frames...)...)
		want = append(want, step.want...)
		for range step.want {
			<-o.got
		}
	}
	if got := fmt.Sprint(o.all); got != fmt.Sprint(want) {
		t.Errorf("came out as\n%v, want\n%v", got, want)
	}
	checkDir(t, dir, map[string]string{"f.txt": "abcdefg", "g.txt": "abcdefg", "i": ""})
	if err := near.Close(); err != nil {
		t.Error(err)
	}
	if err := wait(); err != nil {
		t.Error(err)
	}
}

// A nil handler makes failures errors of Run; another directory counts from
// the next file on, and a handler may ask for it.
func TestHandleFilesReplaced(t *testing.T) {
	_, server, near := filePair(t)
	first, second, o := t.TempDir(), t.TempDir(), newOutcomes()
	server.OnError(func(_ context.Context, _ *messages.ClientMessage, err error) { o.add("error " + outcome(nil, err)) })
	err := server.HandleFiles(first, nil, func(_ context.Context, file *FileResult, err error) error {
		o.add(outcome(file, err))
		return server.HandleFiles(second, nil, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	wait := runServer(t, fileContext(t), server)
	play(t, near, sequence(abc(), completeABC, abc(), completeABC, abc(), completeABC)...)
	<-o.got
	<-o.got
	if got := fmt.Sprint(o.all); got != "[f.txt:7 error exists]" {
		t.Errorf("came out as %v", got)
	}
	checkDir(t, first, map[string]string{"f.txt": "abcdefg"})
	checkDir(t, second, map[string]string{"f.txt": "abcdefg"})
	if err := near.Close(); err != nil {
		t.Error(err)
	}
	if err := wait(); err != nil {
		t.Error(err)
	}
}

func TestHandleFilesStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server, near := filePair(t)
		dir, o, began := t.TempDir(), newOutcomes(), time.Now()
		if err := server.HandleFiles(dir, &ReceiveFileOptions{StallTimeout: time.Hour}, o.handle); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		wait := runServer(t, ctx, server)
		play(t, near, textOf(startABC))
		time.Sleep(59 * time.Minute)
		play(t, near, chunkFrames(0, "abc")...)
		time.Sleep(30 * time.Minute) // What is no part of the file does not count.
		play(t, near, sequence(heartbeatText, `{"type":"binary_data","size":1}`, binaryOf("x"))...)
		<-o.got
		if took := time.Since(began); took != 119*time.Minute {
			t.Errorf("given up after %v", took)
		}
		checkDir(t, dir, nil)
		// What comes after all is ignored, and the next file is received.
		play(t, near, sequence(chunkFrames(1, "def"), chunkFrames(2, "g"), completeABC, abc(), completeABC)...)
		<-o.got
		if got := fmt.Sprint(o.all); got != "[stalled f.txt:7]" {
			t.Errorf("came out as %v", got)
		}
		cancel()
		if err := wait(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// A panic in the handler is contained, also when it is called for a stall.
func TestHandleFilesPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server, near := filePair(t)
		panics := make(chan error, 2)
		server.OnError(func(_ context.Context, _ *messages.ClientMessage, err error) { panics <- err })
		err := server.HandleFiles(t.TempDir(), &ReceiveFileOptions{Existing: ExistingKept}, func(context.Context, *FileResult, error) error { panic("boom") })
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		wait := runServer(t, ctx, server)
		play(t, near, sequence(startABC, chunkFrames(0, "abc"))...)
		play(t, near, sequence(abc(), completeABC)...)
		for range 2 {
			var p *PanicError
			if err := <-panics; !errors.As(err, &p) {
				t.Errorf("%v", err)
			}
		}
		play(t, near, textOf(resumingStart(shaABC, 7, 3)))
		if _, err := near.Receive(ctx); err != nil { // the answer
			t.Fatal(err)
		}
		cancel()
		if err := wait(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := <-panics; err == nil {
			t.Error("no panic at the end")
		}
	})
}

func TestHandleFilesInterrupted(t *testing.T) {
	for _, test := range []struct {
		name string
		opts *ReceiveFileOptions
		kept []int64
	}{
		{"removed", nil, nil},
		{"kept", &ReceiveFileOptions{Resume: true}, []int64{6}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, server, near := filePair(t)
			dir, o := t.TempDir(), newOutcomes()
			if err := server.HandleFiles(dir, test.opts, o.handle); err != nil {
				t.Fatal(err)
			}
			wait := runServer(t, fileContext(t), server)
			play(t, near, sequence(resumingStart(sum256([]byte("abcdefg")), 7, 3), chunkFrames(0, "abc"), chunkFrames(1, "def"))...)
			if answer, err := near.Receive(fileContext(t)); err != nil || !strings.Contains(string(answer), fileResumeType) {
				t.Fatalf("answer %s, %v", answer, err)
			}
			near.Abort(errCut)
			if err := wait(); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("Run: %v", err)
			}
			if got := fmt.Sprint(o.all); got != "[interrupted]" {
				t.Errorf("came out as %v", got)
			}
			if got := partials(t, dir); fmt.Sprint(got) != fmt.Sprint(test.kept) {
				t.Errorf("kept %v, want %v", got, test.kept)
			}
		})
	}
}

func TestHandleFilesWithoutDirectory(t *testing.T) {
	_, server, near := filePair(t)
	dir, o := t.TempDir(), newOutcomes()
	gone := dir + "/gone"
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := server.HandleFiles(gone, nil, o.handle); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	wait := runServer(t, fileContext(t), server)
	play(t, near, sequence(abc(), completeABC)...)
	<-o.got
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	play(t, near, sequence(abc(), completeABC)...)
	<-o.got
	if len(o.all) != 2 || !strings.Contains(o.all[0], string(StageOpen)) || o.all[1] != "f.txt:7" {
		t.Errorf("came out as %v", o.all)
	}
	if err := near.Close(); err != nil {
		t.Error(err)
	}
	if err := wait(); err != nil {
		t.Error(err)
	}
}

// Messages pass in both directions while a large file is on its way, and a
// second one waits for it.
func TestFilesBothWays(t *testing.T) {
	client, server, near := filePair(t)
	ctx := fileContext(t)
	up, down, o := t.TempDir(), t.TempDir(), newOutcomes()
	if err := server.HandleFiles(up, nil, o.handle); err != nil {
		t.Fatal(err)
	}
	if err := client.HandleFiles(down, nil, o.handle); err != nil {
		t.Fatal(err)
	}
	beats := make(chan struct{}, 100)
	server.Handle(messages.ClientHeartbeat, func(context.Context, *messages.ClientMessage) error {
		beats <- struct{}{}
		return nil
	})
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{client.Run, server.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	content := patterned(100_000)
	send := &SendFileOptions{ChunkSize: 1000}
	var sends sync.WaitGroup
	for i := range 2 {
		sends.Go(func() {
			if _, err := client.SendFileFrom(ctx, bytes.NewReader(content), fmt.Sprintf("up%d", i), 100_000, send); err != nil {
				t.Error(err)
			}
		})
		sends.Go(func() {
			if _, err := server.SendFileFrom(ctx, bytes.NewReader(content), fmt.Sprintf("down%d", i), 100_000, send); err != nil {
				t.Error(err)
			}
		})
	}
	for range 100 {
		if err := client.SendRaw(ctx, []byte(heartbeatText)); err != nil {
			t.Fatal(err)
		}
	}
	sends.Wait()
	for range 100 {
		<-beats
	}
	for range 4 {
		<-o.got
	}
	checkDir(t, up, map[string]string{"up0": string(content), "up1": string(content)})
	checkDir(t, down, map[string]string{"down0": string(content), "down1": string(content)})
	if err := near.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}
