package resilience

import (
	"errors"
	"fmt"
)

// What can be wrong with a [Store] of this package, matched with errors.Is on
// the [*StoreError] that reports it.
var (
	// ErrStoreCorrupt: the file's records contradict each other although their
	// checksums are right. Remove the file; its session is lost.
	ErrStoreCorrupt = errors.New("file is corrupt")
	// ErrStoreFormat: there is something at the path that is no session file,
	// or one of another version of the format. It is left as it is; use
	// another path.
	ErrStoreFormat = errors.New("not a session file of this version")
	// ErrStoreInUse: another store has the file open, in this process or
	// another one. Close that one, or use another path.
	ErrStoreInUse = errors.New("file is in use by another store")
	// ErrStoreSequence: a number does not fit what is kept. Nothing was
	// changed; whoever calls the store is mistaken.
	ErrStoreSequence = errors.New("number out of sequence")
	// ErrStoreTooLarge: a message, or a state, is too large for the file, which
	// takes up to 1 GiB of each. Nothing was changed.
	ErrStoreTooLarge = errors.New("too large for the file")
	// ErrStoreClosed: the store was closed; open another one.
	ErrStoreClosed = errors.New("store closed")
)

// StoreError is an operation of a [Store] of this package that failed.
type StoreError struct {
	// Op is the operation: "open", "compact", or the name of the method in
	// lower case.
	Op string
	// Path is the file; empty if the store has none.
	Path string
	// Err is the cause: one of the sentinels of this package, or the error of
	// the file system.
	Err error
}

// Error returns the operation, the file and the cause.
func (e *StoreError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("resilience: session store: %s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("resilience: session store %q: %s: %v", e.Path, e.Op, e.Err)
}

// Unwrap returns the cause.
func (e *StoreError) Unwrap() error { return e.Err }
