package codec

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/aip-go/aip/internal/jsonscan"
)

// DefaultMaxBatch is the default limit on the number of messages in a batch
// that is read.
const DefaultMaxBatch = 10_000

// Errors of batches, besides [ErrTooLarge], [ErrTooDeep] and [*SyntaxError].
var (
	// ErrNotBatch says that data is not a JSON array, such as a single message.
	ErrNotBatch = errors.New("codec: not a batch: ask IsBatch first, and decode a single message as such")
	// ErrBatchElement says that an element of a batch is no JSON object.
	ErrBatchElement = errors.New("codec: not a message: every element of a batch must be one JSON object")
	// ErrBatchOptions says that options are invalid.
	ErrBatchOptions = errors.New("codec: invalid batch options")
)

// BatchError is the error of a batch, or of one message in it.
type BatchError struct {
	Index int   // which message, from 0; where the array itself is broken, how many came before; 0 if data is not UTF-8
	Err   error // what is wrong; a *SyntaxError says at which byte
}

func (e *BatchError) Error() string {
	return fmt.Sprintf("%v (in a batch, at message %d)", e.Err, e.Index)
}

// Unwrap returns the error's cause.
func (e *BatchError) Unwrap() error { return e.Err }

// BatchOptions limits what is taken for a batch. Nil is all defaults.
type BatchOptions struct {
	// MaxCount limits the number of messages. Zero is [DefaultMaxBatch],
	// negative is no limit.
	MaxCount int
	// MaxSize limits the whole batch, in bytes. Zero is [DefaultMaxSize],
	// negative is no limit.
	MaxSize int
	// MaxDepth limits nesting inside each message, as [JSON.MaxDepth] does.
	// Zero is [DefaultMaxDepth], negative is no limit.
	MaxDepth int
}

// IsBatch reports whether data begins as a batch does, with a bracket, perhaps
// behind white space. A receiver asks it to tell batches from single messages.
func IsBatch(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte{'['})
}

// AppendBatch appends a batch of encoded messages to dst.
//
// A batch is one JSON array, for one text frame, whose elements are messages:
//
//	[{"type":"heartbeat","status":"ok"},{"type":"heartbeat","status":"ok"}]
//
// Every message must be the text of one JSON object, with nothing but white
// space around it; it is not changed. The error is a [*BatchError] that says
// which one is not, and then nothing was appended.
func AppendBatch(dst []byte, messages ...[]byte) ([]byte, error) {
	out := append(dst, '[')
	for i, message := range messages {
		if err := checkObject(message); err != nil {
			return dst, &BatchError{Index: i, Err: err}
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, message...)
	}
	return append(out, ']'), nil
}

// SplitBatch returns the messages of a batch, still encoded, in order. They
// alias data. An empty array is a batch of no messages.
//
// Either all of the batch is good, or there is an error and no messages, so
// that none is lost or handled unnoticed. The error is a [*BatchError]. It
// matches [ErrNotBatch] if data is something else, [ErrBatchElement] if an
// element is no object, [ErrTooLarge] or [ErrTooDeep] if a limit is exceeded,
// and otherwise holds a [*SyntaxError].
func SplitBatch(data []byte, opts *BatchOptions) ([][]byte, error) {
	var o BatchOptions
	if opts != nil {
		o = *opts
	}
	maxSize, maxCount := limitOf(o.MaxSize, DefaultMaxSize), limitOf(o.MaxCount, DefaultMaxBatch)
	depth := min(limitOf(o.MaxDepth, DefaultMaxDepth), math.MaxInt-1) + 1 // the array
	if len(data) > maxSize {
		return nil, &BatchError{Err: tooLarge(len(data), maxSize)}
	}
	messages, err := splitBatch(data, depth, maxCount)
	if err != nil {
		// Of text that is not UTF-8, that is said, whatever else is wrong.
		if wrong := jsonscan.CheckUTF8(data); wrong != nil {
			err = &BatchError{Err: publicError(wrong)}
		}
		return nil, err
	}
	return messages, nil
}

func splitBatch(data []byte, depth, maxCount int) ([][]byte, error) {
	s := jsonscan.New(data, depth)
	if s.Kind() != '[' {
		return nil, &BatchError{Err: ErrNotBatch}
	}
	messages := [][]byte{}
	for s.Open(); s.NextElement(); {
		kind := s.Kind()
		raw := s.Raw()
		switch {
		case s.Err() != nil:
			return nil, &BatchError{Index: len(messages), Err: publicError(s.Err())}
		case kind != '{':
			return nil, &BatchError{Index: len(messages), Err: ErrBatchElement}
		case len(messages) >= maxCount:
			return nil, &BatchError{Index: len(messages), Err: fmt.Errorf("%w: more than %d messages", ErrTooLarge, maxCount)}
		}
		messages = append(messages, raw[:len(raw):len(raw)])
	}
	if err := s.End(); err != nil {
		return nil, &BatchError{Index: len(messages), Err: publicError(err)}
	}
	return messages, nil
}

// EncodeBatch appends to dst a batch of messages of one model, such as
// messages.ClientMessage, encoded by c. The error is a [*BatchError], and then
// nothing was appended.
func EncodeBatch[M any](dst []byte, c Codec, messages []M) ([]byte, error) {
	out := append(dst, '[')
	for i := range messages {
		if i > 0 {
			out = append(out, ',')
		}
		start := len(out)
		var err error
		if out, err = c.Append(out, &messages[i]); err == nil {
			err = checkObject(out[start:])
		}
		if err != nil {
			return dst, &BatchError{Index: i, Err: err}
		}
	}
	return append(out, ']'), nil
}

// DecodeBatch returns the messages of a batch in order, each decoded by c when
// the loop comes to it. For one that does not decode there is a [*BatchError]
// in its place, and the loop goes on to the next. If [SplitBatch] refuses the
// batch, its error is all there is.
func DecodeBatch[M any](data []byte, c Codec, opts *BatchOptions) iter.Seq2[*M, error] {
	return func(yield func(*M, error) bool) {
		raws, err := SplitBatch(data, opts)
		if err != nil {
			yield(nil, err)
			return
		}
		for i, raw := range raws {
			m, err := new(M), error(nil)
			if wrong := c.Decode(raw, m); wrong != nil {
				m, err = nil, &BatchError{Index: i, Err: wrong}
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// checkObject checks that data is one JSON object. It does not limit nesting,
// which is for the receiver to do.
func checkObject(data []byte) error {
	s := jsonscan.New(data, -1)
	kind := s.Kind()
	s.Skip()
	if err := s.End(); err != nil {
		return publicError(err)
	}
	if kind != '{' {
		return ErrBatchElement
	}
	return nil
}
