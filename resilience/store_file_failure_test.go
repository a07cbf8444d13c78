package resilience

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

var errDisk = errors.New("no space left on device")

// failingDisk fails from the call on that has the number failAt; a Write then
// writes half. Nothing is synced, which takes long.
type failingDisk struct {
	disk
	calls, failAt int
	renames       int
}

func (d *failingDisk) fails() error {
	d.calls++
	if d.calls > d.failAt {
		return errDisk
	}
	return nil
}

func (d *failingDisk) open(path string, flag int) (storeFile, error) {
	if err := d.fails(); err != nil {
		return nil, err
	}
	file, err := d.disk.open(path, flag)
	if err != nil {
		return nil, err
	}
	return &failingFile{file, d}, nil
}

func (d *failingDisk) protect(path string) error {
	return errors.Join(d.fails(), d.disk.protect(path))
}

func (d *failingDisk) rename(from, to string) error {
	if err := d.fails(); err != nil {
		return err
	}
	d.renames++
	return d.disk.rename(from, to)
}

func (d *failingDisk) remove(path string) error {
	if err := d.fails(); err != nil {
		return err
	}
	return d.disk.remove(path)
}

func (d *failingDisk) syncDirectory(string) error { return d.fails() }

type failingFile struct {
	storeFile
	d *failingDisk
}

func (f *failingFile) Write(p []byte) (int, error) {
	if err := f.d.fails(); err != nil {
		n, _ := f.storeFile.Write(p[:len(p)/2])
		return n, err
	}
	return f.storeFile.Write(p)
}

func (f *failingFile) Read(p []byte) (int, error) {
	if err := f.d.fails(); err != nil {
		return 0, err
	}
	return f.storeFile.Read(p)
}

func (f *failingFile) Seek(offset int64, whence int) (int64, error) {
	if err := f.d.fails(); err != nil {
		return 0, err
	}
	return f.storeFile.Seek(offset, whence)
}

func (f *failingFile) Truncate(size int64) error {
	if err := f.d.fails(); err != nil {
		return err
	}
	return f.storeFile.Truncate(size)
}

func (f *failingFile) Sync() error { return f.d.fails() }

func (f *failingFile) Close() error { return errors.Join(f.d.fails(), f.storeFile.Close()) }

// Whichever call to the disk is the first to fail, the error is typed, the store
// is of no more use, and the file has what it had before the operation that
// failed, or after it.
func TestFileStoreDiskFails(t *testing.T) {
	for failAt := 0; ; failAt++ {
		path := filepath.Join(t.TempDir(), "session")
		first := startStore(t, path, osDisk{}, 100)
		mustDo(t, "begin", first.Begin(SessionState{Token: "first"}))
		mustDo(t, "close", first.Close())

		d := &failingDisk{disk: osDisk{}, failAt: failAt}
		s := newFileStore(path, FileStoreOptions{Sync: true}, d)
		s.slack = 100
		before := storeModel{state: SessionState{Token: "first"}}
		after := before.clone()
		err := s.start()
		if err != nil {
			wantStoreError(t, err, "open", path, errDisk)
		} else if err = someOperations(s, &before, &after); err != nil {
			var storeErr *StoreError
			if !errors.As(err, &storeErr) || !errors.Is(err, errDisk) || storeErr.Path != path {
				t.Fatalf("call %d failed: %v, want a StoreError", failAt, err)
			}
			for _, again := range []error{s.Append(KeptMessage{Seq: after.state.Sent + 1}), s.Received(1 << 60), s.Begin(SessionState{})} {
				if !errors.Is(again, errDisk) {
					t.Errorf("call %d failed, and then: %v", failAt, again)
				}
			}
			if _, _, again := s.Load(); !errors.Is(again, errDisk) {
				t.Errorf("call %d failed, and then Load: %v", failAt, again)
			}
		}
		closeErr := s.Close()
		if closeErr != nil {
			wantStoreError(t, closeErr, "close", path, errDisk)
		}

		reopened := startStore(t, path, osDisk{}, 100)
		state, kept, loadErr := reopened.Load()
		mustDo(t, "load", loadErr)
		if got := (storeModel{state, kept}); !got.equal(&before) && !got.equal(&after) {
			t.Fatalf("call %d failed: the file has %s, want %s or %s", failAt, got, before, after)
		}
		mustDo(t, "close", reopened.Close())
		if d.calls <= failAt {
			if err != nil || closeErr != nil {
				t.Errorf("no call failed: %v, %v", err, closeErr)
			}
			if d.renames < 3 {
				t.Errorf("the file was compacted only %d times", d.renames)
			}
			return
		}
	}
}

// someOperations does the same ones each time, until one fails. Before and after
// are then what was expected before and after that one.
func someOperations(s Store, before, after *storeModel) error {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 80 {
		o := randomOperation(rng, after)
		*before = after.clone()
		o.keep(after)
		if err := o.do(s); err != nil {
			return err
		}
	}
	*before = after.clone()
	return nil
}

// What was cut off but cannot be is an error.
func TestFileStoreCannotCut(t *testing.T) {
	log, _, models := scriptedLog(t)
	for failAt := range 20 {
		path := filepath.Join(t.TempDir(), "session")
		file, err := osDisk{}.open(path, os.O_WRONLY|os.O_CREATE)
		mustDo(t, "create", err)
		_, err = file.Write(log[:len(log)-1])
		mustDo(t, "write", err)
		mustDo(t, "close", file.Close())
		s := newFileStore(path, FileStoreOptions{Sync: true}, &failingDisk{disk: osDisk{}, failAt: failAt})
		if err := s.start(); err != nil {
			wantStoreError(t, err, "open", path, errDisk)
		} else {
			_ = s.Close()
		}
		reopened := startStore(t, path, osDisk{}, compactSlack)
		checkStore(t, reopened, &models[len(models)-2])
		mustDo(t, "close", reopened.Close())
	}
}
