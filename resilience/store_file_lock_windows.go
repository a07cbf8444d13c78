package resilience

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// sharingViolation is ERROR_SHARING_VIOLATION: somebody has the file open.
const sharingViolation syscall.Errno = 32

// lockStore takes the lock of the file at path, which ends with Close or with
// the process: it opens the file such that nobody else can. It returns
// [ErrStoreInUse] if somebody else has.
func lockStore(path string) (io.Closer, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	switch {
	case err == nil:
		return os.NewFile(uintptr(handle), path), nil
	case errors.Is(err, sharingViolation):
		return nil, ErrStoreInUse
	default:
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
}
