package codec

import (
	"bufio"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdMaxWindow is the largest window that RFC 9659 lets a sender ask for.
const zstdMaxWindow = 8 << 20

// Zstd compresses as zstd (RFC 8878). It is faster than gzip and compresses
// better; Python has it since 3.14 (compression.zstd).
//
// What it writes is one frame with its size and checksum. What it reads is one
// or more frames, one after the other (RFC 8878 section 3), skippable frames
// between or behind them included; the limit is on all of them together, and
// anything else behind a frame is [ErrCompressedTrailing]. Windows of more
// than 8 MiB, and dictionaries, are refused. So decompression takes, besides
// its result, up to 9 MiB, which the next one uses again.
//
// A Zstd may be used by any number of goroutines at once. It has no goroutines
// of its own.
type Zstd struct {
	limit    int
	readers  sync.Pool // *decompressor
	writers  sync.Pool // deflater, for streams
	encoders sync.Pool // *zstd.Encoder, for whole messages
}

// NewZstd returns a zstd compressor, or an error matching
// [ErrCompressOptions].
func NewZstd(opts *CompressOptions) (*Zstd, error) {
	level, err := opts.level(ZstdName, 3, 22)
	if err != nil {
		return nil, err
	}
	newEncoder := func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil,
			zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
			zstd.WithZeroFrames(true))
		if err != nil {
			panic(err) // the options are valid
		}
		return e
	}
	z := &Zstd{limit: opts.limit()}
	z.encoders.New = func() any { return newEncoder() }
	z.writers.New = func() any { return newEncoder() }
	z.readers.New = func() any {
		dec, err := zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdMaxWindow),
			zstd.WithDecoderMaxMemory(zstdMaxWindow), // of a frame that is its own window
			zstd.WithDecodeBuffersBelow(0))
		if err != nil {
			panic(err) // the options are valid
		}
		return &decompressor{format: ZstdName, magic: zstdMagic, inflater: zstdInflater{dec}, br: bufio.NewReader(nil)}
	}
	return z, nil
}

// Name returns [ZstdName].
func (z *Zstd) Name() string { return ZstdName }

// Compress implements [Compressor].
func (z *Zstd) Compress(dst, src []byte) ([]byte, error) {
	e := z.encoders.Get().(*zstd.Encoder)
	defer z.encoders.Put(e)
	return e.EncodeAll(src, dst), nil
}

// Decompress implements [Compressor].
func (z *Zstd) Decompress(dst, src []byte) ([]byte, error) {
	d := z.readers.Get().(*decompressor)
	defer z.release(d)
	return d.appendTo(dst, src, z.limit)
}

// NewReader is as [Gzip.NewReader], for zstd data.
func (z *Zstd) NewReader(r io.Reader) io.ReadCloser {
	d := z.readers.Get().(*decompressor)
	d.open(r, z.limit)
	return &streamReader{d: d, format: ZstdName, release: z.release}
}

// NewWriter is as [Gzip.NewWriter], for zstd data. The frame does not say its
// size.
func (z *Zstd) NewWriter(w io.Writer) io.WriteCloser {
	d := z.writers.Get().(deflater)
	d.Reset(w)
	return &streamWriter{d: d, format: ZstdName, release: func(d deflater) {
		d.Reset(nil)
		z.writers.Put(d)
	}}
}

func (z *Zstd) release(d *decompressor) {
	d.close()
	z.readers.Put(d)
}

// zstdInflater reads zstd frames.
type zstdInflater struct{ *zstd.Decoder }

func (i zstdInflater) reset(br *bufio.Reader) error { return i.Reset(br) }

func (i zstdInflater) classify(err error) error {
	switch {
	case truncated(err):
		return ErrCompressedTruncated
	case errors.Is(err, zstd.ErrMagicMismatch):
		return ErrCompressedTrailing // the first frame's magic was checked
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return ErrCompressedWindow
	}
	return ErrCompressedCorrupt
}
