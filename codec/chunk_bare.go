package codec

import (
	"fmt"
	"io"
	"iter"
	"slices"
)

// Slices returns data in slices of size bytes, the last one shorter: chunks
// without a header, for a peer that expects them and knows the total size by
// other means. Zero is [DefaultChunkSize]; it panics if size is negative. The
// slices alias data. [Chunker] is the safer choice between peers who both
// have it.
func Slices(data []byte, size int) iter.Seq[[]byte] {
	if size == 0 {
		size = DefaultChunkSize
	}
	return slices.Chunk(data, size)
}

// Join puts slices together that add up to total bytes, which next returns one
// by one, in order; it is called until they are complete. The result is new
// memory, which grows with what has come; limit total if a peer says it.
//
// The error is that of next, io.EOF becoming io.ErrUnexpectedEOF; or it
// matches [ErrChunkSize] if a slice is empty or reaches beyond total, or total
// is negative.
func Join(total int, next func() ([]byte, error)) ([]byte, error) {
	if total < 0 {
		return nil, fmt.Errorf("%w: total is %d", ErrChunkSize, total)
	}
	data := []byte{}
	for len(data) < total {
		part, err := next()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("codec: %d of %d bytes came: %w", len(data), total, err)
		}
		if len(part) == 0 || len(part) > total-len(data) {
			return nil, fmt.Errorf("%w: a slice of %d bytes after %d of %d", ErrChunkSize, len(part), len(data), total)
		}
		data = append(data, part...)
	}
	return data, nil
}
