package codec_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/aip-go/aip/codec"
)

// FuzzDecompress checks that arbitrary bytes give data within the limit or a
// typed error, the same at once and as a stream of single bytes, and that any
// bytes survive being sent by Auto.
func FuzzDecompress(f *testing.F) {
	const limit = 1 << 16
	opts := &codec.CompressOptions{MaxSize: limit}
	all := map[bool]streamer{false: newGzip(f, opts), true: newZstd(f, opts)}
	autos := map[bool]*codec.Auto{}
	for isZstd, c := range all {
		autos[isZstd] = newAuto(f, &codec.AutoOptions{Format: c.Name(), MinSize: 16})
		for _, data := range [][]byte{nil, []byte(`{"type":"heartbeat"}`), make([]byte, limit), make([]byte, limit+1), noise(300)} {
			packed := mustCompress(f, c, data)
			f.Add(packed, isZstd)
			f.Add(append(packed, packed...), isZstd)
			f.Add(packed[:len(packed)-3], isZstd)
			f.Add(data[:min(len(data), 300)], isZstd)
		}
	}
	f.Add(compressFixture(f, "python_gzip.gz"), false)
	f.Add(compressFixture(f, "cli_sized.zst"), true)
	f.Add(compressFixture(f, "cli_stream.zst"), true)
	f.Fuzz(func(t *testing.T, data []byte, isZstd bool) {
		c := all[isZstd]
		out, err := c.Decompress(nil, data)
		var typed *codec.CompressionError
		if len(out) > limit || err != nil && (!errors.As(err, &typed) || len(out) > 0) {
			t.Fatalf("%d bytes, error %v", len(out), err)
		}
		r := c.NewReader(iotest.OneByteReader(bytes.NewReader(data)))
		streamed, streamErr := io.ReadAll(r)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if (err == nil) != (streamErr == nil) || err != nil && err.Error() != streamErr.Error() {
			t.Fatalf("at once error %v, as a stream %v", err, streamErr)
		}
		if err == nil && !bytes.Equal(out, streamed) {
			t.Fatal("the stream gave something else")
		}
		sent, err := autos[isZstd].Compress(nil, data)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := autos[!isZstd].Decompress(nil, sent); err != nil || !bytes.Equal(back, data) {
			t.Fatalf("%d of %d bytes came back, error %v", len(back), len(data), err)
		}
	})
}
