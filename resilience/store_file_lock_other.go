//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package resilience

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// lockStore takes the lock of the file at path, which ends with Close: it makes
// a file. It returns [ErrStoreInUse] if there is one. When a process ends
// without Close, its lock has to be removed by hand.
func lockStore(path string) (io.Closer, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, storeFileMode)
	switch {
	case err == nil:
		return &heldLock{file: file, path: path}, nil
	case errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("%w; if its process has ended, remove %q", ErrStoreInUse, path)
	default:
		return nil, err
	}
}

// heldLock is the file that is the lock.
type heldLock struct {
	file *os.File
	path string
}

// Close removes the file.
func (l *heldLock) Close() error { return errors.Join(l.file.Close(), os.Remove(l.path)) }
