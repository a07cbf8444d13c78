package protocol

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/aip-go/aip/transport"
)

// What can be wrong with a file transfer, matched with errors.Is on the
// [*TransferError] that reports it.
var (
	// ErrChecksum: the content does not have the announced MD5 or SHA-256;
	// send it again.
	ErrChecksum = errors.New("protocol: checksum differs")
	// ErrSize: sizes or counts contradict each other, or the content.
	ErrSize = errors.New("protocol: sizes do not agree")
	// ErrOrder: a frame came where another one was due.
	ErrOrder = errors.New("protocol: unexpected frame")
	// ErrMetadata: the text frame of a binary message or file transfer cannot
	// be read.
	ErrMetadata = errors.New("protocol: malformed metadata")
	// ErrUnsafeName: the file name cannot be used; see [SafeName].
	ErrUnsafeName = errors.New("protocol: unsafe file name")
	// ErrLimit: the transfer is beyond a limit of this side's options.
	ErrLimit = errors.New("protocol: beyond the limit")
	// ErrExists: there is a file of that name and the options forbid to touch
	// it; see [OnExisting]. It also matches [io/fs.ErrExist].
	ErrExists = errors.New("protocol: file exists")
	// ErrRefused: [ReceiveFileOptions.Accept] said no.
	ErrRefused = errors.New("protocol: file refused")
	// ErrChanged: the file changed while it was being sent; send it again.
	ErrChanged = errors.New("protocol: file changed while being sent")
	// ErrStalled: the peer sent or took in nothing for too long.
	ErrStalled = errors.New("protocol: file transfer stalled")
	// ErrAborted: the sender gave the transfer up.
	ErrAborted = errors.New("protocol: sender gave up")
	// ErrInterrupted: the connection, or the reading from it, ended in the
	// middle of the file, or the transport replaced the connection there.
	ErrInterrupted = errors.New("protocol: interrupted")
)

// errNotTransfer: the frame has no part in the file transfer, whose state it
// left unchanged.
var errNotTransfer = errors.New("frame is not part of the file transfer")

// TransferStage is the part of a file transfer that failed.
type TransferStage string

// The stages of a file transfer, in order.
const (
	// StageOpen: opening the file to send or the directory to receive into.
	StageOpen TransferStage = "open"
	// StageStart: sending or checking the announcement.
	StageStart TransferStage = "start"
	// StageResume: finding out where to go on.
	StageResume TransferStage = "resume"
	// StageChunk: the content.
	StageChunk TransferStage = "chunk"
	// StageComplete: the final count and checksums.
	StageComplete TransferStage = "complete"
	// StageStore: writing to this side's disk, or putting the finished file
	// in place.
	StageStore TransferStage = "store"
)

// TransferError is a failed file transfer. Whatever it reports, no file was
// left under the final name, and the connection stays open unless the cause
// is its end.
type TransferError struct {
	// Stage is the part that failed.
	Stage TransferStage
	// Name is the file's name as the sender gave it, where it is known.
	Name string
	// Err is the cause. It matches one of the sentinels of this package, or is
	// the error of the transport, the context or the file system.
	Err error
}

// Error returns the stage, the name and the cause.
func (e *TransferError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("protocol: file transfer: %s: %v", e.Stage, e.Err)
	}
	return fmt.Sprintf("protocol: file transfer of %q: %s: %v", e.Name, e.Stage, e.Err)
}

// Unwrap returns the cause.
func (e *TransferError) Unwrap() error { return e.Err }

// Retryable reports whether sending the file again can help; see
// [transport.Retryable].
func (e *TransferError) Retryable() bool {
	for _, permanent := range []error{
		ErrInvalidOptions, ErrUnsafeName, ErrLimit, ErrExists, ErrRefused, ErrMetadata, ErrOrder, ErrSize,
		fs.ErrNotExist, fs.ErrPermission, fs.ErrInvalid,
	} {
		if errors.Is(e.Err, permanent) {
			return false
		}
	}
	return transport.Retryable(e.Err)
}
