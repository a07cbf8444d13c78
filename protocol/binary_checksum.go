package protocol

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/aip-go/aip/messages"
)

// checksumKey is the key of the checksum in every kind of metadata.
const checksumKey = "checksum"

// WithChecksum returns a copy of metadata in which "checksum" is the SHA-256
// of data in hexadecimal, for [AIPProtocol.SendBinary].
func WithChecksum(metadata messages.Object, data []byte) messages.Object {
	sum := sha256.Sum256(data)
	out := slices.Clone(metadata)
	out.Set(checksumKey, textValue(hex.EncodeToString(sum[:])))
	return out
}

// verifyChecksum compares data with the checksum in its metadata, and reports
// whether there is one. The protocol does not say what it is: 64 hexadecimal
// digits are taken for a SHA-256, 32 for an MD5, and anything else is left to
// the program.
func verifyChecksum(metadata messages.Object, data []byte) (bool, error) {
	given, _, err := stringField(metadata, checksumKey)
	if err != nil {
		return false, nil
	}
	if _, err := hex.DecodeString(given); err != nil {
		return false, nil
	}
	var sum string
	switch len(given) {
	case hex.EncodedLen(sha256.Size):
		is := sha256.Sum256(data)
		sum = hex.EncodeToString(is[:])
	case hex.EncodedLen(md5.Size):
		is := md5.Sum(data)
		sum = hex.EncodeToString(is[:])
	default:
		return false, nil
	}
	if !strings.EqualFold(sum, given) {
		return false, fmt.Errorf("%w: it is %s, announced as %s", ErrChecksum, sum, given)
	}
	return true, nil
}
