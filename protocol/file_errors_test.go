package protocol

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/aip-go/aip/transport"
)

func TestTransferError(t *testing.T) {
	for _, test := range []struct {
		err       *TransferError
		text      string
		retryable bool
	}{
		{&TransferError{Stage: StageOpen, Err: fs.ErrNotExist}, "protocol: file transfer: open: file does not exist", false},
		{&TransferError{Stage: StageChunk, Name: "a\nb", Err: ErrStalled}, `protocol: file transfer of "a\nb": chunk: protocol: file transfer stalled`, true},
		{&TransferError{Stage: StageComplete, Name: "f", Err: ErrChecksum}, `protocol: file transfer of "f": complete: protocol: checksum differs`, true},
		{&TransferError{Stage: StageStart, Name: "f", Err: fmt.Errorf("%w: more", ErrLimit)}, `protocol: file transfer of "f": start: protocol: beyond the limit: more`, false},
		{&TransferError{Stage: StageStore, Name: "f", Err: existsError("f")}, `protocol: file transfer of "f": store: protocol: file exists: "f": file already exists`, false},
		{&TransferError{Stage: StageChunk, Name: "f", Err: context.Canceled}, `protocol: file transfer of "f": chunk: context canceled`, false},
		{&TransferError{Stage: StageChunk, Name: "f", Err: &transport.CloseError{Code: transport.StatusAbnormal}}, `protocol: file transfer of "f": chunk: connection lost without a closing handshake`, true},
	} {
		if got := test.err.Error(); got != test.text {
			t.Errorf("%q, want %q", got, test.text)
		}
		if got := transport.Retryable(test.err); got != test.retryable {
			t.Errorf("%v: retryable %v", test.err, got)
		}
	}
	binary := &BinaryError{Err: &SizeMismatchError{Announced: 3, Got: 2}}
	if got, want := binary.Error(), "protocol: binary message: announced with 3 bytes, got 2"; got != want || !errors.Is(binary, ErrSize) {
		t.Errorf("%q, want %q", got, want)
	}
}
