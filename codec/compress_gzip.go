package codec

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// Gzip compresses as gzip (RFC 1952), which Python's gzip.compress and
// gzip.decompress read and write.
//
// What it writes is one member without name or time, so that equal data
// compresses to equal bytes. What it reads is one or more members, one after
// the other (RFC 1952 section 2.2); the limit is on all of them together, and
// anything else behind a member, zero padding included, is
// [ErrCompressedTrailing].
//
// A Gzip may be used by any number of goroutines at once.
type Gzip struct {
	limit   int
	readers sync.Pool // *decompressor
	writers sync.Pool // deflater
}

// NewGzip returns a gzip compressor, or an error matching
// [ErrCompressOptions].
func NewGzip(opts *CompressOptions) (*Gzip, error) {
	level, err := opts.level(GzipName, gzip.DefaultCompression, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	g := &Gzip{limit: opts.limit()}
	g.readers.New = func() any {
		return &decompressor{format: GzipName, magic: gzipMagic, inflater: new(gzipInflater), br: bufio.NewReader(nil)}
	}
	g.writers.New = func() any {
		w, err := gzip.NewWriterLevel(io.Discard, level)
		if err != nil {
			panic(err) // the level was checked
		}
		return gzipWriter{w}
	}
	return g, nil
}

// Name returns [GzipName].
func (g *Gzip) Name() string { return GzipName }

// Compress implements [Compressor].
func (g *Gzip) Compress(dst, src []byte) ([]byte, error) {
	out := appendWriter{b: dst}
	w := g.NewWriter(&out)
	_, err := w.Write(src)
	if err := errors.Join(err, w.Close()); err != nil {
		return dst, err
	}
	return out.b, nil
}

// Decompress implements [Compressor].
func (g *Gzip) Decompress(dst, src []byte) ([]byte, error) {
	d := g.readers.Get().(*decompressor)
	defer g.release(d)
	return d.appendTo(dst, src, g.limit)
}

// NewReader returns a reader of what the gzip data in r was made of, in
// constant memory. It reads ahead in r. Its errors are those of Decompress;
// data read before an error, or before io.EOF, is not yet checked. Close it to
// free what it holds; that does not close r. One goroutine at a time may use it.
func (g *Gzip) NewReader(r io.Reader) io.ReadCloser {
	d := g.readers.Get().(*decompressor)
	d.open(r, g.limit)
	return &streamReader{d: d, format: GzipName, release: g.release}
}

// NewWriter returns a writer that compresses into w, in constant memory. The
// data is complete only once Close has returned nil; that does not close w.
// One goroutine at a time may use it.
func (g *Gzip) NewWriter(w io.Writer) io.WriteCloser {
	d := g.writers.Get().(deflater)
	d.Reset(w)
	return &streamWriter{d: d, format: GzipName, release: func(d deflater) {
		d.Reset(io.Discard)
		g.writers.Put(d)
	}}
}

func (g *Gzip) release(d *decompressor) {
	d.close()
	g.readers.Put(d)
}

// gzipWriter is a gzip.Writer whose header has no time.
type gzipWriter struct{ *gzip.Writer }

func (w gzipWriter) Reset(to io.Writer) {
	w.Writer.Reset(to)
	w.ModTime = time.Unix(0, 0) // the zero Time would be written as one in 2042
}

// gzipInflater reads gzip members.
type gzipInflater struct {
	br *bufio.Reader
	z  gzip.Reader
}

func (i *gzipInflater) reset(br *bufio.Reader) error {
	i.br = br
	if err := i.z.Reset(br); err != nil {
		return err
	}
	i.z.Multistream(false)
	return nil
}

func (i *gzipInflater) Read(p []byte) (int, error) {
	for {
		n, err := i.z.Read(p)
		if n > 0 || err != io.EOF {
			if err == io.EOF {
				err = nil // of this member: the next call looks for another
			}
			return n, err
		}
		if err := i.next(); err != nil {
			return 0, err
		}
	}
}

// next goes on to the next member; io.EOF says that there is none.
func (i *gzipInflater) next() error {
	head, err := i.br.Peek(len(gzipMagic))
	switch {
	case len(head) == 0:
		return err
	case bytes.Equal(head, gzipMagic):
		if err := i.reset(i.br); err == io.EOF {
			return io.ErrUnexpectedEOF // within a header
		} else if err != nil {
			return err
		}
		return nil
	case bytes.HasPrefix(gzipMagic, head):
		return io.ErrUnexpectedEOF
	}
	return ErrCompressedTrailing
}

func (i *gzipInflater) classify(err error) error {
	switch {
	case err == ErrCompressedTrailing:
		return err
	case truncated(err):
		return ErrCompressedTruncated
	}
	return ErrCompressedCorrupt
}
