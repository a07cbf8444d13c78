package protocol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// The frames of the reference for f.txt (spec appendix A).
func TestSendFileFrames(t *testing.T) {
	reference := []string{
		`T {"type": "file_transfer_start", "filename": "f.txt", "size": 7, "chunk_size": 3, "total_chunks": 3, "mime_type": "text/plain"}`,
		`T {"chunk_num": 0, "chunk_size": 3, "type": "binary_data", "size": 3, "timestamp": "…"}`,
		`B abc`,
		`T {"chunk_num": 1, "chunk_size": 3, "type": "binary_data", "size": 3, "timestamp": "…"}`,
		`B def`,
		`T {"chunk_num": 2, "chunk_size": 1, "type": "binary_data", "size": 1, "timestamp": "…"}`,
		`B g`,
		`T {"type": "file_transfer_complete", "filename": "f.txt", "total_chunks": 3, "checksum": "7ac66c0f148de9519b8bd264312c4d64"}`,
	}
	last := func(extra string) []string {
		return append(reference[:7:7], strings.TrimSuffix(reference[7], `, "checksum": "7ac66c0f148de9519b8bd264312c4d64"}`)+extra+"}")
	}
	for _, test := range []struct {
		name, file, content string
		opts                SendFileOptions
		want                []string
	}{
		{"as the reference", "f.txt", "abcdefg", SendFileOptions{ChunkSize: 3, Checksums: ChecksumsMD5}, reference},
		{"with SHA-256", "f.txt", "abcdefg", SendFileOptions{ChunkSize: 3}, last(`, "checksum": "` + md5ABC + `", "sha256": "` + shaABC + `"`)},
		{"without checksums", "f.txt", "abcdefg", SendFileOptions{ChunkSize: 3, Checksums: ChecksumsNone}, last("")},
		{"empty file of no known type", "é.zzzz", "", SendFileOptions{Checksums: ChecksumsMD5}, []string{
			`T {"type": "file_transfer_start", "filename": "\u00e9.zzzz", "size": 0, "chunk_size": 131072, "total_chunks": 0, "mime_type": null}`,
			`T {"type": "file_transfer_complete", "filename": "\u00e9.zzzz", "total_chunks": 0, "checksum": "d41d8cd98f00b204e9800998ecf8427e"}`,
		}},
		{"everything said", "f", "a", SendFileOptions{
			Checksums: ChecksumsNone, MIMEType: "x/y", SessionID: "s", Description: "d",
			Extra: messages.Object{{Key: "mine", Value: numberValue(1)}},
		}, []string{
			`T {"type": "file_transfer_start", "filename": "f", "size": 1, "chunk_size": 131072, "total_chunks": 1, "mime_type": "x/y", "session_id": "s", "description": "d", "mine": 1}`,
			`T {"chunk_num": 0, "chunk_size": 1, "type": "binary_data", "size": 1, "timestamp": "…"}`,
			`B a`,
			`T {"type": "file_transfer_complete", "filename": "f", "total_chunks": 1}`,
		}},
		{"a whole number of chunks", "f", "abcd", SendFileOptions{ChunkSize: 2, Checksums: ChecksumsNone}, []string{
			`T {"type": "file_transfer_start", "filename": "f", "size": 4, "chunk_size": 2, "total_chunks": 2, "mime_type": null}`,
			`T {"chunk_num": 0, "chunk_size": 2, "type": "binary_data", "size": 2, "timestamp": "…"}`,
			`B ab`,
			`T {"chunk_num": 1, "chunk_size": 2, "type": "binary_data", "size": 2, "timestamp": "…"}`,
			`B cd`,
			`T {"type": "file_transfer_complete", "filename": "f", "total_chunks": 2}`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, server, near := filePair(t)
			path := filepath.Join(t.TempDir(), test.file)
			write(t, path, test.content)
			result, err := server.SendFile(fileContext(t), path, &test.opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := record(t, near, len(test.want)); !reflect.DeepEqual(got, test.want) {
				t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			if backlog := near.Backlog(); backlog.ReceiveMessages != 0 {
				t.Errorf("%d more frames were sent", backlog.ReceiveMessages)
			}
			if result.Path != path || result.Name != test.file || result.Size != int64(len(test.content)) {
				t.Errorf("result %+v", result)
			}
		})
	}
}

func TestMIMEType(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt": "text/plain", "A.TXT": "text/plain", "a.tar.gz": "application/gzip", "a.html": "text/html",
		"a.json": "application/json", "a": "", "a.zzzz": "", ".png": "image/png", "a.wasm": "application/wasm",
	} {
		if got := mimeType(name); got != want {
			t.Errorf("mimeType(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestSendFileRefuses(t *testing.T) {
	_, server, near := filePair(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "f.txt")
	write(t, path, "abc")
	reader := strings.NewReader("")
	from := func(name string, size int64, opts *SendFileOptions) error {
		_, err := server.SendFileFrom(fileContext(t), reader, name, size, opts)
		return err
	}
	at := func(path string, opts *SendFileOptions) error {
		_, err := server.SendFile(fileContext(t), path, opts)
		return err
	}
	for name, test := range map[string]struct{ err, want error }{
		"no file":              {at(filepath.Join(dir, "absent"), nil), fs.ErrNotExist},
		"directory":            {at(dir, nil), fs.ErrInvalid},
		"negative chunk size":  {at(path, &SendFileOptions{ChunkSize: -1}), ErrInvalidOptions},
		"unknown checksums":    {at(path, &SendFileOptions{Checksums: 3}), ErrInvalidOptions},
		"endless resume wait":  {at(path, &SendFileOptions{ResumeWait: -1}), ErrInvalidOptions},
		"the protocol's key":   {at(path, &SendFileOptions{Extra: messages.Object{{Key: "size"}}}), ErrInvalidOptions},
		"the extension's key":  {at(path, &SendFileOptions{Extra: messages.Object{{Key: FileExtension}}}), ErrInvalidOptions},
		"negative size":        {from("f", -1, nil), ErrSize},
		"no name":              {from("", 0, nil), ErrUnsafeName},
		"a path for a name":    {from("a/b", 0, nil), ErrUnsafeName},
		"resume of a stream":   {fromStream(t, server), errors.ErrUnsupported},
		"control character":    {from("a\nb", 0, nil), ErrUnsafeName},
		"name that is no text": {from("a\xff", 0, nil), ErrUnsafeName},
	} {
		var transfer *TransferError
		if !errors.Is(test.err, test.want) || !errors.As(test.err, &transfer) {
			t.Errorf("%s: %v, want %v", name, test.err, test.want)
		}
	}
	if backlog := near.Backlog(); backlog.ReceiveMessages != 0 {
		t.Errorf("%d frames were sent", backlog.ReceiveMessages)
	}

	alone, _ := transport.NewPair(nil)
	client, err := NewClient(textOnly{alone}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.SendFile(fileContext(t), path, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without binary messages: %v", err)
	}
	if err := alone.Close(); err != nil {
		t.Error(err)
	}
}

func fromStream(t *testing.T, server *Server) error {
	_, err := server.SendFileFrom(fileContext(t), io.LimitReader(strings.NewReader("abc"), 3), "f", 3, &SendFileOptions{Resume: true})
	return err
}

// A source that is not what was announced ends the transfer on both sides.
func TestSendFileChanged(t *testing.T) {
	broken := errors.New("bad sector")
	for _, test := range []struct {
		name   string
		source io.Reader
		want   error
	}{
		{"shorter", strings.NewReader("abcdef"), ErrChanged},
		{"empty", strings.NewReader(""), ErrChanged},
		{"longer", strings.NewReader("abcdefgh"), ErrChanged},
		{"unreadable", io.MultiReader(strings.NewReader("abcd"), iotest.ErrReader(broken)), broken},
		{"unreadable at the end", io.MultiReader(strings.NewReader("abcdefg"), iotest.ErrReader(broken)), broken},
		{"slow but right", iotest.OneByteReader(strings.NewReader("abcdefg")), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, server, _ := filePair(t)
			ctx, dir := fileContext(t), t.TempDir()
			_, err := client.SendFileFrom(ctx, test.source, "f.txt", 7, &SendFileOptions{ChunkSize: 3})
			if !errors.Is(err, test.want) {
				t.Errorf("sender: %v, want %v", err, test.want)
			}
			_, err = server.ReceiveFile(ctx, dir, nil)
			if test.want == nil {
				if err != nil {
					t.Error(err)
				}
				checkDir(t, dir, map[string]string{"f.txt": "abcdefg"})
				return
			}
			if !errors.Is(err, ErrAborted) {
				t.Errorf("receiver: %v, want ErrAborted", err)
			}
			checkDir(t, dir, nil)
		})
	}
}

// growing is a file that changes between the two times it is read.
type growing struct{ *bytes.Reader }

func (g *growing) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		g.Reset([]byte("abcdefX"))
	}
	return g.Reader.Seek(offset, whence)
}

func TestSendFileChangedAfterHashing(t *testing.T) {
	client, server, _ := filePair(t)
	ctx, dir := fileContext(t), t.TempDir()
	sent := make(chan error, 1)
	go func() {
		source := &growing{bytes.NewReader([]byte("abcdefg"))}
		_, err := client.SendFileFrom(ctx, source, "f.txt", 7, &SendFileOptions{ChunkSize: 3, Resume: true})
		sent <- err
	}()
	if _, err := server.ReceiveFile(ctx, dir, nil); !errors.Is(err, ErrAborted) {
		t.Errorf("receiver: %v, want ErrAborted", err)
	}
	if err := <-sent; !errors.Is(err, ErrChanged) {
		t.Errorf("sender: %v, want ErrChanged", err)
	}
	checkDir(t, dir, nil)
}

func TestSendFileCancelled(t *testing.T) {
	client, server, _ := filePair(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(fileContext(t))
	_, err := client.SendFileFrom(ctx, bytes.NewReader(patterned(10)), "f.txt", 10, &SendFileOptions{
		ChunkSize: 2,
		Progress: func(p FileProgress) {
			if p.Chunks == 3 {
				cancel()
			}
		},
	})
	var transfer *TransferError
	if !errors.Is(err, context.Canceled) || !errors.As(err, &transfer) || transfer.Stage != StageChunk {
		t.Errorf("sender: %v", err)
	}
	if _, err := server.ReceiveFile(fileContext(t), dir, nil); !errors.Is(err, ErrAborted) {
		t.Errorf("receiver: %v, want ErrAborted", err)
	}
	checkDir(t, dir, nil)

	// Before anything was sent, nothing is.
	if _, err := client.SendFileFrom(ctx, strings.NewReader(""), "f.txt", 0, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
}

func TestReceiveFileCancelled(t *testing.T) {
	client, server, _ := filePair(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(fileContext(t))
	if _, err := client.SendFileFrom(fileContext(t), bytes.NewReader(patterned(10)), "f.txt", 10, &SendFileOptions{ChunkSize: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.SendFileFrom(fileContext(t), strings.NewReader("x"), "g.txt", 1, nil); err != nil {
		t.Fatal(err)
	}
	_, err := server.ReceiveFile(ctx, dir, &ReceiveFileOptions{Progress: func(p FileProgress) {
		if p.Chunks == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	checkDir(t, dir, nil)
	if _, err := server.ReceiveFile(fileContext(t), dir, nil); err != nil {
		t.Fatal(err)
	}
	checkDir(t, dir, map[string]string{"g.txt": "x"})
}

func TestFileStalls(t *testing.T) {
	t.Run("receiver", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, server, near := filePair(t)
			dir, began := t.TempDir(), time.Now()
			play(t, near, sequence(startABC, chunkFrames(0, "abc"))...)
			_, err := server.ReceiveFile(context.Background(), dir, nil)
			if !errors.Is(err, ErrStalled) || time.Since(began) != DefaultStallTimeout {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			checkDir(t, dir, nil)
			// It stays usable.
			play(t, near, sequence(chunkFrames(1, "def"), chunkFrames(2, "g"), completeABC, heartbeatText)...)
			if m, err := server.Receive(context.Background()); err != nil || m.ClientID != "d" {
				t.Errorf("then %v, %v", m, err)
			}
		})
	})
	t.Run("receiver without a bound", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, server, near := filePair(t)
			dir, began := t.TempDir(), time.Now()
			play(t, near, textOf(startABC))
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Hour)
			defer cancel()
			_, err := server.ReceiveFile(ctx, dir, &ReceiveFileOptions{StallTimeout: -1})
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrStalled) || time.Since(began) != 100*time.Hour {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	})
	t.Run("sender", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, _, _ := filePair(t)
			began := time.Now()
			size := int64(8 << 20) // more than fits into the queue of a peer that does not read
			_, err := client.SendFileFrom(context.Background(), bytes.NewReader(make([]byte, size)), "f", size, &SendFileOptions{StallTimeout: 5 * time.Second})
			if took := time.Since(began); !errors.Is(err, ErrStalled) || took < 5*time.Second || took > 5*time.Second+abortTimeout {
				t.Errorf("%v after %v", err, took)
			}
		})
	})
}

// Two files at the same time do not mix.
func TestSendFilesConcurrently(t *testing.T) {
	client, server, _ := filePair(t)
	ctx, dir := fileContext(t), t.TempDir()
	const files = 6
	errs := make(chan error, files)
	want := map[string]string{}
	for i := range files {
		name, content := fmt.Sprintf("f%d", i), patterned(5000+i)
		want[name] = string(content)
		go func() {
			_, err := client.SendFileFrom(ctx, bytes.NewReader(content), name, int64(len(content)), &SendFileOptions{ChunkSize: 100})
			errs <- err
		}()
	}
	for range files {
		if _, err := server.ReceiveFile(ctx, dir, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range files {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	checkDir(t, dir, want)
}

func TestSendFileWaitsItsTurn(t *testing.T) {
	client, _, _ := filePair(t)
	if err := client.units.sending.lock(context.Background()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := client.SendFileFrom(ctx, strings.NewReader(""), "f", 0, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	client.units.sending.unlock()
}
