package protocol

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/aip-go/aip/messages"
)

// feedAll hands frames to r as the reading side would, up to the first error.
func feedAll(t testing.TB, r *fileReceiver, parts ...any) (fileStep, error) {
	t.Helper()
	var (
		step fileStep
		err  error
		text messages.Object
	)
	for _, frame := range sequence(parts...) {
		if frame.Kind == 2 {
			step, err = r.feed(unitBinary, text, frame.Data)
		} else if text = metadataOf(t, string(frame.Data)); !isChunkText(text) {
			step, err = r.feed(unitControl, text, nil)
		}
		if err != nil {
			return step, err
		}
	}
	return step, nil
}

func isChunkText(o messages.Object) bool {
	_, ok := o.Get("chunk_num")
	return ok
}

func fileReceiverIn(t testing.TB, dir string, opts *ReceiveFileOptions) *fileReceiver {
	t.Helper()
	r, err := newFileReceiver(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestExisting(t *testing.T) {
	for _, test := range []struct {
		existing OnExisting
		before   map[string]string
		want     error
		after    map[string]string
	}{
		{ExistingFails, map[string]string{"f.txt": "old"}, ErrExists, map[string]string{"f.txt": "old"}},
		{ExistingReplaced, map[string]string{"f.txt": "old"}, nil, map[string]string{"f.txt": "abcdefg"}},
		{ExistingReplaced, nil, nil, map[string]string{"f.txt": "abcdefg"}},
		{ExistingKept, map[string]string{"f.txt": "old"}, nil, map[string]string{"f.txt": "old", "f (1).txt": "abcdefg"}},
		{ExistingKept, map[string]string{"f.txt": "old", "f (1).txt": "older"}, nil,
			map[string]string{"f.txt": "old", "f (1).txt": "older", "f (2).txt": "abcdefg"}},
	} {
		dir := t.TempDir()
		for name, content := range test.before {
			write(t, filepath.Join(dir, name), content)
		}
		step, err := feedAll(t, fileReceiverIn(t, dir, &ReceiveFileOptions{Existing: test.existing}), abc(), completeABC)
		if !errors.Is(err, test.want) {
			t.Errorf("%v: %v, want %v", test, err, test.want)
		}
		checkDir(t, dir, test.after)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			t.Errorf("%v does not match fs.ErrExist", err)
		}
		if err == nil {
			if _, err := os.Stat(step.result.Path); err != nil {
				t.Error(err)
			}
		}
	}
}

// A file that appears while the content is on its way is not overwritten.
func TestExistingAppears(t *testing.T) {
	dir := t.TempDir()
	r := fileReceiverIn(t, dir, nil)
	if _, err := feedAll(t, r, abc()); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "f.txt"), "other")
	_, err := feedAll(t, r, completeABC)
	var transfer *TransferError
	if !errors.Is(err, ErrExists) || !errors.As(err, &transfer) || transfer.Stage != StageStore {
		t.Errorf("%v, want ErrExists", err)
	}
	checkDir(t, dir, map[string]string{"f.txt": "other"})
}

// Without hard links, the name is reserved in another way.
func TestExistingWithoutLinks(t *testing.T) {
	dir := t.TempDir()
	for i, want := range []map[string]string{
		{"f.txt": "abcdefg"},
		{"f.txt": "abcdefg", "f (1).txt": "abcdefg"},
	} {
		r := fileReceiverIn(t, dir, &ReceiveFileOptions{Existing: ExistingKept})
		r.store.link = func(string, string) error { return syscall.EPERM }
		if _, err := feedAll(t, r, abc(), completeABC); err != nil {
			t.Fatalf("file %d: %v", i, err)
		}
		checkDir(t, dir, want)
	}
}

// Not through a symbolic link either does anything leave the directory.
func TestStoreStaysInside(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "victim"), "untouched")
	if err := os.Symlink(filepath.Join(outside, "victim"), filepath.Join(dir, "f.txt")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, partialDir)); err != nil {
		t.Fatal(err)
	}
	if _, err := feedAll(t, fileReceiverIn(t, dir, nil), abc(), completeABC); !errors.Is(err, ErrExists) {
		t.Errorf("%v, want ErrExists", err)
	}
	r := fileReceiverIn(t, dir, &ReceiveFileOptions{Existing: ExistingReplaced, Resume: true})
	if _, err := feedAll(t, r, resumingStart(shaABC, 7, 3), abc()[1:3]); err != nil {
		t.Fatal(err)
	}
	if err := r.fail(StageChunk, ErrStalled, true); !errors.Is(err, ErrStalled) {
		t.Error(err)
	}
	checkDir(t, outside, map[string]string{"victim": "untouched"})
	r = fileReceiverIn(t, dir, &ReceiveFileOptions{Existing: ExistingReplaced})
	if _, err := feedAll(t, r, abc(), completeABC); err != nil {
		t.Fatal(err)
	}
	checkDir(t, outside, map[string]string{"victim": "untouched"})
	if info, err := os.Lstat(filepath.Join(dir, "f.txt")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("f.txt is %v, %v", info.Mode(), err)
	}
}

// faultyFile is a file on a disk with faults.
type faultyFile struct {
	tempFile
	room             int
	writeErr, syncEr error
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if len(p) > f.room {
		return 0, f.writeErr
	}
	f.room -= len(p)
	return f.tempFile.Write(p)
}

func (f *faultyFile) Sync() error {
	if f.syncEr != nil {
		return f.syncEr
	}
	return f.tempFile.Sync()
}

func TestDiskFaults(t *testing.T) {
	full, broken := fmt.Errorf("disk: %w", syscall.ENOSPC), fmt.Errorf("disk: %w", syscall.EIO)
	for _, test := range []struct {
		name string
		file faultyFile
		want error
	}{
		{"full at once", faultyFile{writeErr: full}, syscall.ENOSPC},
		{"full half-way", faultyFile{room: 4, writeErr: full}, syscall.ENOSPC},
		{"not durable", faultyFile{room: 100, syncEr: broken}, syscall.EIO},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			r := fileReceiverIn(t, dir, &ReceiveFileOptions{Resume: true})
			r.store.open = func(root *os.Root, name string, flag int) (tempFile, error) {
				file, err := openTemp(root, name, flag)
				test.file.tempFile = file
				return &test.file, err
			}
			_, err := feedAll(t, r, abc(), completeABC)
			var transfer *TransferError
			if !errors.Is(err, test.want) || !errors.As(err, &transfer) || transfer.Stage != StageStore {
				t.Errorf("%v, want %v", err, test.want)
			}
			checkDir(t, dir, nil)
			if _, again := feedAll(t, r, completeABC); !errors.Is(again, errNotTransfer) {
				t.Errorf("then %v", again)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		dir := t.TempDir()
		r := fileReceiverIn(t, dir, nil)
		r.store.open = func(*os.Root, string, int) (tempFile, error) { return nil, broken }
		if _, err := feedAll(t, r, startABC); !errors.Is(err, syscall.EIO) {
			t.Errorf("%v", err)
		}
		checkDir(t, dir, nil)
	})
}

func TestPartialBounds(t *testing.T) {
	dir := t.TempDir()
	keep := func(key string, at time.Time) {
		t.Helper()
		s, err := openStore(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.create(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(s.file, key); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, s.temp), at, at); err != nil {
			t.Fatal(err)
		}
		if err := s.keep(key, time.Hour, 2); err != nil {
			t.Fatal(err)
		}
		if err := s.discard(); err != nil {
			t.Fatal(err)
		}
	}
	kept := func() map[string]string {
		t.Helper()
		all := map[string]string{}
		entries, err := os.ReadDir(filepath.Join(dir, partialDir))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			all[entry.Name()] = entry.Name()
		}
		return all
	}
	now := time.Now()
	keep("old", now.Add(-30*time.Minute))
	keep("too old", now.Add(-2*time.Hour))
	keep("a", now.Add(-2*time.Minute))
	keep("b", now.Add(-time.Minute))
	if got := kept(); len(got) != 2 || got["a"] == "" || got["b"] == "" {
		t.Errorf("kept %v, want a and b", got)
	}

	take := func(key string, age time.Duration) (int64, error) {
		t.Helper()
		s, err := openStore(dir)
		if err != nil {
			t.Fatal(err)
		}
		n, err := s.take(key, age)
		if err := s.discard(); err != nil {
			t.Fatal(err)
		}
		return n, err
	}
	if n, err := take("a", time.Hour); n != 1 || err != nil {
		t.Errorf("took %d, %v", n, err)
	}
	if _, err := take("a", time.Hour); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("took a second time: %v", err)
	}
	if _, err := take("b", time.Second); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("took what is too old: %v", err)
	}
	checkDir(t, dir, nil) // and the directory with them
}
