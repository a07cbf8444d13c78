package codec

import (
	"errors"
	"fmt"
	"math"
)

// Codec turns messages into bytes and back.
//
// The models are those of package messages, always given by pointer. A Codec
// keeps no state between calls: any number of goroutines may use one at the
// same time.
type Codec interface {
	// Name names the encoding, such as "json".
	Name() string

	// Append appends the encoding of m, a pointer to a model, to dst and
	// returns the extended slice, as append does. On an error it returns dst
	// as it was. It does not keep m or dst.
	Append(dst []byte, m any) ([]byte, error)

	// Decode reads one message, which is all of data, into m, a pointer to a
	// model, replacing everything in it. On an error *m is as it was. The
	// message does not share memory with data.
	Decode(data []byte, m any) error
}

// ErrTooLarge is matched by the error for data beyond a size limit, before or
// after decompression.
var ErrTooLarge = errors.New("codec: too large")

// ErrTooDeep is matched by the error for JSON nested beyond the depth limit.
var ErrTooDeep = errors.New("codec: nested too deeply")

// ErrModel is matched by the error for a value that is not a non-nil pointer
// to a model, or a model name that does not exist.
var ErrModel = errors.New("codec: not a model")

// tooLarge returns the error for size bytes where limit are allowed.
func tooLarge(size, limit int) error {
	return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, size, limit)
}

// limitOf returns the limit that an option sets: preset if it is 0, the largest
// number if it is negative.
func limitOf(option, preset int) int {
	switch {
	case option == 0:
		return preset
	case option < 0:
		return math.MaxInt
	}
	return option
}
