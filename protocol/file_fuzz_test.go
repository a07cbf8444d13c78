package protocol

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aip-go/aip/messages"
)

// FuzzFileReceiver feeds the receiver with any frames: a line each, a binary
// one after the line that begins with "B ". Whatever comes, nothing appears
// outside the directory or in it under a final name, except a complete file of
// the announced size.
func FuzzFileReceiver(f *testing.F) {
	lines := func(parts ...any) []byte {
		var b bytes.Buffer
		for _, frame := range sequence(parts...) {
			if frame.Kind == 2 {
				b.WriteString("B ")
			}
			b.Write(frame.Data)
			b.WriteByte('\n')
		}
		return b.Bytes()
	}
	f.Add(lines(abc(), completeABC))
	f.Add(lines(resumingStart(shaABC, 7, 3), abc()[1:], completeABC))
	f.Add(lines(startOf("0", "1", "0"), `{"type":"file_transfer_complete","filename":"f.txt","total_chunks":0,"checksum":null}`))
	f.Add(lines(strings.ReplaceAll(startABC, "f.txt", `..\\..\u0000`), chunkFrames(0, "abc")))
	f.Add(lines(startOf("-1", "0", "9223372036854775807"), chunkFrames(-1, "")))
	f.Add(lines(startABC, chunkFrames(0, "abc"), startABC, completeOf(`,"io.aip.file":{"v":1,"aborted":true}`)))
	f.Fuzz(func(t *testing.T, script []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		// Twice, because the first one may leave something for a resume.
		for range 2 {
			fuzzReceive(t, dir, script)
		}
		entries, err := os.ReadDir(parent)
		if err != nil || len(entries) != 1 {
			t.Fatalf("%d entries outside the directory, %v", len(entries)-1, err)
		}
	})
}

func fuzzReceive(t *testing.T, dir string, script []byte) {
	r, err := newFileReceiver(dir, &ReceiveFileOptions{MaxSize: 1 << 16, Resume: true, Existing: ExistingReplaced})
	if err != nil {
		t.Fatal(err)
	}
	r.store.open = openUnsynced
	var (
		text   messages.Object
		result *FileResult
	)
	for line := range bytes.SplitSeq(script, []byte{'\n'}) {
		kind := unitControl
		data, binary := bytes.CutPrefix(line, []byte("B "))
		if binary {
			kind = unitBinary
		} else {
			o, err := decodeMetadata(line)
			if err != nil {
				continue
			}
			if text = o; isChunkText(o) {
				continue
			}
		}
		step, err := r.feed(kind, text, data)
		var transfer *TransferError
		if err != nil && !errors.As(err, &transfer) {
			t.Fatalf("error %v of type %T", err, err)
		}
		if step.result != nil {
			result = step.result
		}
	}
	if result == nil {
		if err := r.fail(StageChunk, ErrInterrupted, true); err == nil {
			t.Fatal("no error")
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() == partialDir {
			continue
		}
		if strings.HasPrefix(entry.Name(), ownPrefix) {
			t.Fatalf("%q was left", entry.Name())
		}
		if result == nil {
			t.Fatalf("%q is there, but nothing was received", entry.Name())
		}
	}
	if result == nil {
		return
	}
	info, err := os.Lstat(result.Path)
	if err != nil || info.Size() != result.Offer.Size || filepath.Dir(result.Path) != dir {
		t.Fatalf("%s: %v; announced with %d bytes", result.Path, err, result.Offer.Size)
	}
	if err := os.Remove(result.Path); err != nil {
		t.Fatal(err)
	}
}

// unsynced is a file that does not wait for the disk.
type unsynced struct{ tempFile }

func (unsynced) Sync() error { return nil }

func openUnsynced(root *os.Root, name string, flag int) (tempFile, error) {
	file, err := openTemp(root, name, flag)
	if err != nil {
		return nil, err
	}
	return unsynced{file}, nil
}
