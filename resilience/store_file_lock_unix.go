//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package resilience

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// lockStore takes the lock of the file at path, which ends with Close or with
// the process. It returns [ErrStoreInUse] if another one has it.
func lockStore(path string) (io.Closer, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, storeFileMode)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, ErrStoreInUse
	}
	return nil, &os.PathError{Op: "flock", Path: path, Err: err}
}
