package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Names of the compression formats, as [Compressor.Name] and
// [DetectCompression] give them.
const (
	GzipName = "gzip"
	ZstdName = "zstd"
)

// Errors of compression, besides [ErrTooLarge] for data that decompresses to
// more than the limit. All but those about options come wrapped in a
// [*CompressionError], which says the format.
var (
	// ErrNotCompressed says that data does not begin as the format does.
	// Empty data is such data.
	ErrNotCompressed = errors.New("codec: data is not in the compressed format: ask DetectCompression which it is in")
	// ErrCompressedTruncated says that compressed data ends too early.
	ErrCompressedTruncated = errors.New("codec: compressed data ends too early: have it sent again")
	// ErrCompressedCorrupt says that compressed data is damaged (an invalid
	// code, a wrong checksum, a wrong length), or needs a dictionary.
	ErrCompressedCorrupt = errors.New("codec: compressed data is damaged: have it sent again")
	// ErrCompressedTrailing says that something else follows compressed data.
	ErrCompressedTrailing = errors.New("codec: compressed data is followed by something else: send one compressed message at a time")
	// ErrCompressedWindow says that zstd data needs a larger window than the
	// 8 MiB of RFC 9659, or is damaged so as to seem to.
	ErrCompressedWindow = errors.New("codec: compressed data needs a window of more than 8 MiB: have the sender use zstd level 19 or lower, without long mode")
	// ErrCompressOptions says that options are invalid.
	ErrCompressOptions = errors.New("codec: invalid compression options")
	// ErrCompressClosed says that a stream is used after it was closed.
	ErrCompressClosed = errors.New("codec: compression stream is closed: open a new one")
)

// CompressionError is the error of compressing or decompressing. Err matches
// one of the errors above, or is the error of the reader or writer under a
// stream.
type CompressionError struct {
	Format string // the format's name, [GzipName] or [ZstdName]
	Err    error  // what went wrong
}

func (e *CompressionError) Error() string {
	return fmt.Sprintf("%v (format %s)", e.Err, e.Format)
}

// Unwrap returns the error's cause.
func (e *CompressionError) Unwrap() error { return e.Err }

// errDecompressedTooLarge is ErrTooLarge with the remedy.
var errDecompressedTooLarge = fmt.Errorf("%w: data decompresses to more than the limit: raise CompressOptions.MaxSize, or have the sender send less at once", ErrTooLarge)

// Compressor turns bytes into fewer bytes and back. [Gzip], [Zstd] and [Auto]
// are compressors.
//
// A Compressor may be used by any number of goroutines at once. Neither method
// keeps or changes src, and dst must not overlap it; the returned slice, which
// may share dst's memory, is the caller's. On error the returned slice is dst
// as it was given.
type Compressor interface {
	// Name is the format's name, such as "gzip".
	Name() string
	// Compress appends the compressed form of src to dst.
	Compress(dst, src []byte) ([]byte, error)
	// Decompress appends the original of src to dst. It stops with
	// [ErrTooLarge] where the original turns out larger than the compressor's
	// limit, having allocated no more than a small multiple of that limit.
	Decompress(dst, src []byte) ([]byte, error)
}

// CompressOptions configures a compressor. Nil is all defaults.
type CompressOptions struct {
	// Level trades time for size: 1 is fastest; the best is 9 for gzip and 22
	// for zstd, whose levels are rounded to the four this package has. Zero is
	// the format's default; anything else is invalid.
	Level int
	// MaxSize limits what Decompress and a stream's reader return, in bytes.
	// Zero is [DefaultMaxSize], negative is no limit: only for senders
	// who are trusted with all memory.
	MaxSize int
}

// limit returns the limit on decompressed bytes.
func (o *CompressOptions) limit() int {
	if o == nil {
		return DefaultMaxSize
	}
	return limitOf(o.MaxSize, DefaultMaxSize)
}

// level returns the level to use, or an error if it is not one of the format's.
func (o *CompressOptions) level(format string, preset, best int) (int, error) {
	switch {
	case o == nil || o.Level == 0:
		return preset, nil
	case o.Level < 1 || o.Level > best:
		return 0, fmt.Errorf("%w: Level is %d, want 1 to %d for %s, or 0 for the default", ErrCompressOptions, o.Level, best, format)
	}
	return o.Level, nil
}

// The bytes that a member or frame of each format begins with.
var (
	gzipMagic = []byte{0x1f, 0x8b, 0x08}       // RFC 1952 section 2.3.1, with the only method there is
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd} // RFC 8878 section 3.1.1
)

// DetectCompression returns the name of the format that data begins as:
// [GzipName], [ZstdName], or "" for anything else. It looks at the first bytes
// only. No JSON text begins as either format does, so that a receiver can
// accept compressed and plain JSON alike.
func DetectCompression(data []byte) string {
	switch {
	case bytes.HasPrefix(data, gzipMagic):
		return GzipName
	case bytes.HasPrefix(data, zstdMagic):
		return ZstdName
	}
	return ""
}

// appendAll appends everything r gives to dst, at most limit bytes; r is trusted
// to stop there. The buffer starts at about hint bytes and doubles, so that
// memory follows what was read and not what a header claims.
func appendAll(dst []byte, r io.Reader, hint, limit int) ([]byte, error) {
	start := len(dst)
	out := dst
	for {
		if len(out) == cap(out) {
			size := max(2*(cap(out)-start), hint, 512)
			size = min(size-1, limit) + 1 // one more, to see the end without growing again
			out = append(make([]byte, 0, start+size), out...)
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return dst, err
		}
	}
}
