package codec

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// source is what a decompressor reads from. It remembers the reader's own
// failure, which would otherwise look like damaged data.
type source struct {
	r   io.Reader
	err error // the reader's first error other than io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// inflater decompresses one format; what it reads from is set by reset.
// It is used by one goroutine at a time, and pooled.
type inflater interface {
	io.Reader
	// reset begins a new input whose first bytes are known to be the format's.
	reset(br *bufio.Reader) error
	// classify turns the error of Read or reset into one of this package's,
	// given that the input did not fail.
	classify(err error) error
}

// decompressor is an inflater with its input, its limit and its errors.
type decompressor struct {
	format   string
	magic    []byte
	inflater inflater
	input    bytes.Reader // the input of Decompress
	source   source
	br       *bufio.Reader
	left     int // how many more bytes may be returned
	err      error
}

// open begins to decompress what r gives, at most limit bytes of output.
func (d *decompressor) open(r io.Reader, limit int) {
	d.source = source{r: r}
	d.br.Reset(&d.source)
	d.left = limit
	d.err = d.begin()
}

// begin checks how the input begins, and resets the inflater.
func (d *decompressor) begin() error {
	head, err := d.br.Peek(len(d.magic))
	switch {
	case bytes.Equal(head, d.magic):
		if err := d.inflater.reset(d.br); err != nil {
			return d.failure(err)
		}
		return nil
	case d.source.err != nil:
		return d.wrap(d.source.err)
	case err != nil && len(head) > 0 && bytes.HasPrefix(d.magic, head):
		return d.wrap(ErrCompressedTruncated)
	}
	return d.wrap(ErrNotCompressed)
}

// appendTo appends the original of src to dst.
func (d *decompressor) appendTo(dst, src []byte, limit int) ([]byte, error) {
	d.input.Reset(src)
	d.open(&d.input, limit)
	return appendAll(dst, d, 4*len(src), limit)
}

// close forgets the input.
func (d *decompressor) close() {
	d.input.Reset(nil)
	d.source = source{}
	d.br.Reset(nil)
	d.err = d.wrap(ErrCompressClosed)
}

func (d *decompressor) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if len(p) > d.left {
		p = p[:d.left+1] // one more than allowed tells whether there is more
	}
	n, err := d.inflater.Read(p)
	if n > d.left {
		n, err = d.left, d.wrap(errDecompressedTooLarge)
	} else if err != nil && err != io.EOF {
		err = d.failure(err)
	}
	d.left -= n
	d.err = err
	return n, err
}

// failure says what an inflater's error means.
func (d *decompressor) failure(err error) error {
	if d.source.err != nil {
		return d.wrap(d.source.err)
	}
	return d.wrap(d.inflater.classify(err))
}

func (d *decompressor) wrap(err error) error {
	return &CompressionError{Format: d.format, Err: err}
}

// streamReader is a decompressor lent to a user until Close.
type streamReader struct {
	d       *decompressor
	format  string
	release func(*decompressor)
}

func (s *streamReader) Read(p []byte) (int, error) {
	if s.d == nil {
		return 0, &CompressionError{Format: s.format, Err: ErrCompressClosed}
	}
	return s.d.Read(p)
}

func (s *streamReader) Close() error {
	if s.d != nil {
		s.release(s.d)
		s.d = nil
	}
	return nil
}

// deflater compresses into the writer it was reset to. It is used by one
// goroutine at a time, and pooled.
type deflater interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// streamWriter is a deflater lent to a user until Close.
type streamWriter struct {
	d       deflater
	format  string
	release func(deflater)
	err     error
}

func (s *streamWriter) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.d.Write(p)
	if err != nil {
		s.err = &CompressionError{Format: s.format, Err: err}
	}
	return n, s.err
}

func (s *streamWriter) Close() error {
	if s.d == nil {
		return nil
	}
	failed := s.err
	if failed == nil {
		if err := s.d.Close(); err != nil {
			failed = &CompressionError{Format: s.format, Err: err}
		}
	}
	s.release(s.d)
	s.d = nil
	s.err = &CompressionError{Format: s.format, Err: ErrCompressClosed}
	return failed
}

// appendWriter is an io.Writer that appends.
type appendWriter struct{ b []byte }

func (w *appendWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

// truncated reports whether err is how a library says that input ended.
func truncated(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
