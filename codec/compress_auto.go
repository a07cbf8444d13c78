package codec

import "fmt"

// DefaultMinCompressed is the default size, in bytes, below which [Auto] sends
// data as it is.
const DefaultMinCompressed = 1024

// AutoOptions configures [Auto]. Nil is all defaults.
type AutoOptions struct {
	// Format is what is sent: [GzipName], the default, which every peer has,
	// or [ZstdName].
	Format string
	// MinSize is the size in bytes below which data is sent as it is. Zero is
	// [DefaultMinCompressed], negative is no such size.
	MinSize int
	// CompressOptions holds the level for Format, and the limit, which holds
	// for plain data as well.
	CompressOptions
}

// Auto compresses what is worth it and decompresses what needs it: it sends
// data plain if it is small or would not shrink, and takes plain, gzip and
// zstd data alike, told apart by [DetectCompression]. Data that itself begins
// as gzip or zstd does is always compressed, so that Decompress gives back
// whatever Compress was given.
//
// An Auto may be used by any number of goroutines at once.
type Auto struct {
	send    Compressor
	gzip    *Gzip
	zstd    *Zstd
	minSize int
	limit   int
}

// NewAuto returns a compressor that chooses, or an error matching
// [ErrCompressOptions].
func NewAuto(opts *AutoOptions) (*Auto, error) {
	var o AutoOptions
	if opts != nil {
		o = *opts
	}
	receive := CompressOptions{MaxSize: o.MaxSize}
	a := &Auto{minSize: o.MinSize, limit: o.limit()}
	if o.MinSize == 0 {
		a.minSize = DefaultMinCompressed
	}
	gzipOptions, zstdOptions := &receive, &receive
	switch o.Format {
	case "", GzipName:
		gzipOptions = &o.CompressOptions
	case ZstdName:
		zstdOptions = &o.CompressOptions
	default:
		return nil, fmt.Errorf("%w: Format is %q, want %q or %q", ErrCompressOptions, o.Format, GzipName, ZstdName)
	}
	var err error
	if a.gzip, err = NewGzip(gzipOptions); err != nil {
		return nil, err
	}
	if a.zstd, err = NewZstd(zstdOptions); err != nil {
		return nil, err
	}
	a.send = a.gzip
	if o.Format == ZstdName {
		a.send = a.zstd
	}
	return a, nil
}

// Name returns "auto".
func (a *Auto) Name() string { return "auto" }

// Compress appends to dst the compressed form of src, or src itself.
func (a *Auto) Compress(dst, src []byte) ([]byte, error) {
	looksCompressed := DetectCompression(src) != ""
	if len(src) < a.minSize && !looksCompressed {
		return append(dst, src...), nil
	}
	out, err := a.send.Compress(dst, src)
	if err == nil && len(out)-len(dst) >= len(src) && !looksCompressed {
		return append(out[:len(dst)], src...), nil
	}
	return out, err
}

// Decompress appends to dst the original of src if src is compressed, and src
// itself otherwise. Plain data beyond the limit is [ErrTooLarge] as well.
func (a *Auto) Decompress(dst, src []byte) ([]byte, error) {
	switch DetectCompression(src) {
	case GzipName:
		return a.gzip.Decompress(dst, src)
	case ZstdName:
		return a.zstd.Decompress(dst, src)
	}
	if len(src) > a.limit {
		return dst, fmt.Errorf("%w: %d bytes of plain data, the limit is %d: raise AutoOptions.MaxSize", ErrTooLarge, len(src), a.limit)
	}
	return append(dst, src...), nil
}
