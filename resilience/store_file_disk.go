package resilience

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// storeFileMode: a session file holds a credential.
const storeFileMode fs.FileMode = 0o600

// storeFile is an open session file.
type storeFile interface {
	io.ReadWriteSeeker
	Truncate(size int64) error
	Sync() error
	Close() error
}

// disk is what a file store does with the file system; in tests, with one that
// fails.
type disk interface {
	open(path string, flag int) (storeFile, error)
	// protect takes the file from everyone but its owner.
	protect(path string) error
	rename(from, to string) error
	// remove succeeds also if there is no such file.
	remove(path string) error
	// syncDirectory makes names in the directory last.
	syncDirectory(path string) error
}

// osDisk is the operating system's file system.
type osDisk struct{}

func (osDisk) open(path string, flag int) (storeFile, error) {
	file, err := os.OpenFile(path, flag, storeFileMode)
	if err != nil {
		return nil, err
	}
	return file, nil
}

func (osDisk) protect(path string) error { return os.Chmod(path, storeFileMode) }

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// syncDirectory does nothing on Windows, which cannot sync a directory.
func (osDisk) syncDirectory(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	err = dir.Sync()
	if closeErr := dir.Close(); err == nil {
		err = closeErr
	}
	return err
}
