package codec_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/aip-go/aip/codec"
)

func newGzip(t testing.TB, opts *codec.CompressOptions) *codec.Gzip {
	t.Helper()
	g, err := codec.NewGzip(opts)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func newZstd(t testing.TB, opts *codec.CompressOptions) *codec.Zstd {
	t.Helper()
	z, err := codec.NewZstd(opts)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func newAuto(t testing.TB, opts *codec.AutoOptions) *codec.Auto {
	t.Helper()
	a, err := codec.NewAuto(opts)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// formats returns the two compressors that always compress.
func formats(t testing.TB, opts *codec.CompressOptions) []codec.Compressor {
	t.Helper()
	return []codec.Compressor{newGzip(t, opts), newZstd(t, opts)}
}

func mustCompress(t testing.TB, c codec.Compressor, data []byte) []byte {
	t.Helper()
	out, err := c.Compress(nil, data)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// noise returns n bytes that do not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

func compressFixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "compress", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCompressRoundTrip(t *testing.T) {
	inputs := map[string][]byte{
		"empty":    nil,
		"byte":     {'x'},
		"1023":     bytes.Repeat([]byte("a"), 1023),
		"1024":     bytes.Repeat([]byte("a"), 1024),
		"repeated": bytes.Repeat([]byte(`{"type":"heartbeat","status":"ok"}`), 40_000),
		"noise":    noise(1<<20 + 1),
	}
	for level := range 10 {
		for _, c := range formats(t, &codec.CompressOptions{Level: level}) {
			for name, input := range inputs {
				if level > 1 && len(input) > 1<<20 && level < 9 {
					continue // the large ones take long
				}
				t.Run(fmt.Sprintf("%s/%d/%s", c.Name(), level, name), func(t *testing.T) {
					given := bytes.Clone(input)
					packed, err := c.Compress([]byte("before"), input)
					if err != nil {
						t.Fatal(err)
					}
					body, ok := bytes.CutPrefix(packed, []byte("before"))
					if !ok || !bytes.Equal(input, given) {
						t.Fatal("Compress changed dst or src")
					}
					if got := codec.DetectCompression(body); got != c.Name() {
						t.Errorf("DetectCompression = %q, want %q", got, c.Name())
					}
					out, err := c.Decompress([]byte("before"), body)
					if err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(out, append([]byte("before"), input...)) {
						t.Error("the original did not come back")
					}
				})
			}
		}
	}
}

func TestCompressOptions(t *testing.T) {
	for _, level := range []int{-1, 10, 23} {
		_, err := codec.NewGzip(&codec.CompressOptions{Level: level})
		if !errors.Is(err, codec.ErrCompressOptions) {
			t.Errorf("gzip level %d: error %v", level, err)
		}
	}
	for _, level := range []int{-1, 23} {
		_, err := codec.NewZstd(&codec.CompressOptions{Level: level})
		if !errors.Is(err, codec.ErrCompressOptions) {
			t.Errorf("zstd level %d: error %v", level, err)
		}
	}
	for _, opts := range []codec.AutoOptions{
		{Format: "br"},
		{Format: "gzip", CompressOptions: codec.CompressOptions{Level: 10}},
		{Format: "zstd", CompressOptions: codec.CompressOptions{Level: 23}},
	} {
		if _, err := codec.NewAuto(&opts); !errors.Is(err, codec.ErrCompressOptions) {
			t.Errorf("%+v: error %v", opts, err)
		}
	}
	newZstd(t, &codec.CompressOptions{Level: 22})
}

func TestDecompressLimit(t *testing.T) {
	const limit = 10_000
	for _, size := range []int{limit - 1, limit, limit + 1} {
		input := bytes.Repeat([]byte("ab"), limit)[:size]
		for _, c := range formats(t, &codec.CompressOptions{MaxSize: limit}) {
			t.Run(fmt.Sprint(c.Name(), size-limit), func(t *testing.T) {
				dst := []byte("before")
				out, err := c.Decompress(dst, mustCompress(t, c, input))
				if size <= limit {
					if err != nil || len(out) != len(dst)+size {
						t.Fatalf("%d bytes, error %v", len(out), err)
					}
					return
				}
				if !errors.Is(err, codec.ErrTooLarge) || string(out) != "before" {
					t.Errorf("%d bytes, error %v; want dst and ErrTooLarge", len(out), err)
				}
			})
		}
	}
}

// The two formats share how they count, so that one tells of both.
func TestDecompressDefaultLimit(t *testing.T) {
	unlimited := newZstd(t, &codec.CompressOptions{MaxSize: -1})
	packed := mustCompress(t, unlimited, make([]byte, codec.DefaultMaxSize+1))
	if out, err := unlimited.Decompress(nil, packed); err != nil || len(out) != codec.DefaultMaxSize+1 {
		t.Errorf("without limit: %d bytes, error %v", len(out), err)
	}
	if _, err := newZstd(t, nil).Decompress(nil, packed); !errors.Is(err, codec.ErrTooLarge) {
		t.Errorf("with the default limit: error %v", err)
	}
}

// A bomb must cost memory by the limit, not by what it holds.
func TestDecompressBombMemory(t *testing.T) {
	const limit, slack = 1 << 20, 12 << 20 // the slack is zstd's window and the decoders
	for _, c := range formats(t, &codec.CompressOptions{MaxSize: limit}) {
		bomb := mustCompress(t, c, make([]byte, 32<<20))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := c.Decompress(nil, bomb)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("%s: error %v, want ErrTooLarge", c.Name(), err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 4*limit+slack {
			t.Errorf("%s: %d bytes of bomb allocated %d, limit is %d", c.Name(), len(bomb), used, limit)
		}
	}
}

func TestDecompressHostile(t *testing.T) {
	text := []byte(strings.Repeat(`{"type":"error"}`, 10))
	gz := mustCompress(t, newGzip(t, nil), text)
	zs := mustCompress(t, newZstd(t, nil), text)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	flip := func(b []byte, i int) []byte {
		b = bytes.Clone(b)
		b[(i+len(b))%len(b)] ^= 1
		return b
	}
	named := append(bytes.Clone(gz[:3]), append([]byte{8}, gz[4:10]...)...) // a header that a name follows
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'p', 'a', 'd'}
	frame := func(header ...byte) []byte { return append([]byte{0x28, 0xb5, 0x2f, 0xfd}, header...) }

	cases := []struct {
		name, format string
		data         []byte
		want         error // nil: text is to come out, once or more
	}{
		{"empty", "gzip", nil, codec.ErrNotCompressed},
		{"plain", "gzip", text, codec.ErrNotCompressed},
		{"zstd", "gzip", zs, codec.ErrNotCompressed},
		{"other method", "gzip", flip(gz, 2), codec.ErrNotCompressed},
		{"one byte of magic", "gzip", gz[:1], codec.ErrCompressedTruncated},
		{"header only", "gzip", gz[:10], codec.ErrCompressedTruncated},
		{"reserved flag", "gzip", join(gz[:3], []byte{0x80}, gz[4:]), codec.ErrCompressedCorrupt},
		{"checksum", "gzip", flip(gz, -8), codec.ErrCompressedCorrupt},
		{"length", "gzip", flip(gz, -1), codec.ErrCompressedCorrupt},
		{"invalid block", "gzip", join(gz[:10], []byte{0xff, 0xff, 0xff}), codec.ErrCompressedCorrupt},
		{"two members", "gzip", join(gz, gz), nil},
		{"second member damaged", "gzip", join(gz, flip(gz, -8)), codec.ErrCompressedCorrupt},
		{"second member cut in the magic", "gzip", join(gz, gz[:2]), codec.ErrCompressedTruncated},
		{"second member cut in the header", "gzip", join(gz, gz[:7]), codec.ErrCompressedTruncated},
		{"second member cut before the name", "gzip", join(gz, named), codec.ErrCompressedTruncated},
		{"second member cut in the name", "gzip", join(gz, named, []byte("nam")), codec.ErrCompressedTruncated},
		{"trailing text", "gzip", join(gz, text), codec.ErrCompressedTrailing},
		{"trailing zeros", "gzip", join(gz, make([]byte, 16)), codec.ErrCompressedTrailing},
		{"trailing zstd", "gzip", join(gz, zs), codec.ErrCompressedTrailing},

		{"empty", "zstd", nil, codec.ErrNotCompressed},
		{"plain", "zstd", text, codec.ErrNotCompressed},
		{"gzip", "zstd", gz, codec.ErrNotCompressed},
		{"magic only", "zstd", zs[:4], codec.ErrCompressedTruncated},
		{"part of magic", "zstd", zs[:3], codec.ErrCompressedTruncated},
		{"reserved bit", "zstd", frame(0x28, 1, 0, 0, 0), codec.ErrCompressedCorrupt},
		{"reserved block type", "zstd", frame(0x20, 0, 7, 0, 0), codec.ErrCompressedCorrupt},
		{"checksum", "zstd", flip(zs, -1), codec.ErrCompressedCorrupt},
		{"claims more than it holds", "zstd", frame(0x20, 200, 9, 0, 0, 'x'), codec.ErrCompressedCorrupt},
		{"claims less than it holds", "zstd", frame(0x20, 0, 9, 0, 0, 'x'), codec.ErrCompressedCorrupt},
		{"claims an exabyte", "zstd", frame(0xe0, 0, 0, 0, 0, 0, 0, 0, 0x10, 9, 0, 0, 'x'), codec.ErrCompressedWindow},
		{"window of 2 GiB", "zstd", frame(0x00, 21<<3, 9, 0, 0, 'x'), codec.ErrCompressedWindow},
		{"dictionary", "zstd", frame(0x21, 77, 1, 9, 0, 0, 'x'), codec.ErrCompressedCorrupt},
		{"two frames", "zstd", join(zs, zs), nil},
		{"skippable frame behind", "zstd", join(zs, skippable), nil},
		{"skippable frame between", "zstd", join(zs, skippable, zs), nil},
		{"skippable frame first", "zstd", join(skippable, zs), codec.ErrNotCompressed},
		{"skippable frame cut", "zstd", join(zs, skippable[:9]), codec.ErrCompressedTruncated},
		{"second frame damaged", "zstd", join(zs, flip(zs, -1)), codec.ErrCompressedCorrupt},
		{"second frame cut", "zstd", join(zs, zs[:3]), codec.ErrCompressedTruncated},
		{"trailing text", "zstd", join(zs, text), codec.ErrCompressedTrailing},
		{"trailing gzip", "zstd", join(zs, gz), codec.ErrCompressedTrailing},
	}
	compressors := map[string]codec.Compressor{"gzip": newGzip(t, nil), "zstd": newZstd(t, nil)}
	for _, tc := range cases {
		t.Run(tc.format+"/"+tc.name, func(t *testing.T) {
			out, err := compressors[tc.format].Decompress([]byte("x"), tc.data)
			if tc.want == nil {
				rest := bytes.ReplaceAll(out, text, nil)
				if err != nil || string(rest) != "x" || len(out) < len(text) {
					t.Fatalf("got %q, error %v", out, err)
				}
				return
			}
			var typed *codec.CompressionError
			if !errors.Is(err, tc.want) || !errors.As(err, &typed) || typed.Format != tc.format {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if string(out) != "x" {
				t.Errorf("on an error dst became %q", out)
			}
		})
	}
}

// Wherever compressed data is cut or changed, what comes out is the original
// or an error.
func TestDecompressEveryDamage(t *testing.T) {
	text := []byte(strings.Repeat(`{"type":"command_results","n":12345}`, 8) + "end")
	for _, c := range formats(t, nil) {
		packed := mustCompress(t, c, text)
		for n := 1; n < len(packed); n++ {
			if _, err := c.Decompress(nil, packed[:n]); !errors.Is(err, codec.ErrCompressedTruncated) {
				t.Errorf("%s cut at %d: error %v, want ErrCompressedTruncated", c.Name(), n, err)
			}
		}
		for bit := range 8 * len(packed) {
			damaged := bytes.Clone(packed)
			damaged[bit/8] ^= 1 << (bit % 8)
			out, err := c.Decompress(nil, damaged)
			var typed *codec.CompressionError
			if err != nil && !errors.As(err, &typed) {
				t.Errorf("%s with bit %d changed: untyped error %v", c.Name(), bit, err)
			}
			if err == nil && !bytes.Equal(out, text) {
				t.Errorf("%s with bit %d changed: other data and no error", c.Name(), bit)
			}
		}
	}
}

// The limit holds for all members together.
func TestDecompressLimitOverMembers(t *testing.T) {
	for _, c := range formats(t, &codec.CompressOptions{MaxSize: 100}) {
		part := mustCompress(t, c, make([]byte, 50))
		if out, err := c.Decompress(nil, bytes.Repeat(part, 2)); err != nil || len(out) != 100 {
			t.Errorf("%s, two: %d bytes, error %v", c.Name(), len(out), err)
		}
		if _, err := c.Decompress(nil, bytes.Repeat(part, 3)); !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("%s, three: error %v, want ErrTooLarge", c.Name(), err)
		}
	}
}

// The fixtures were written by Python's gzip.compress and by the zstd program.
func TestDecompressForeign(t *testing.T) {
	message := compressFixture(t, "message.json")
	cases := []struct {
		file string
		c    codec.Compressor
		want []byte
		err  error
	}{
		{"python_gzip.gz", newGzip(t, nil), message, nil},
		{"python_gzip_empty.gz", newGzip(t, nil), nil, nil},
		{"cli_sized.zst", newZstd(t, nil), message, nil},
		{"cli_stream.zst", newZstd(t, nil), message, nil},
		{"cli_wide_window.zst", newZstd(t, nil), nil, codec.ErrCompressedWindow},
	}
	for _, tc := range cases {
		for _, c := range []codec.Compressor{tc.c, newAuto(t, nil)} {
			out, err := c.Decompress(nil, compressFixture(t, tc.file))
			if !errors.Is(err, tc.err) || !bytes.Equal(out, tc.want) {
				t.Errorf("%s by %s: %d bytes, error %v", tc.file, c.Name(), len(out), err)
			}
		}
	}
}

// What Gzip writes is read by another implementation, as one member without
// a name or a time.
func TestGzipReadByAnother(t *testing.T) {
	message := compressFixture(t, "message.json")
	packed := mustCompress(t, newGzip(t, nil), message)
	if again := mustCompress(t, newGzip(t, nil), message); !bytes.Equal(packed, again) {
		t.Error("equal data compressed to different bytes")
	}
	r, err := stdgzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	r.Multistream(false)
	out, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(out, message) {
		t.Errorf("%d bytes, error %v", len(out), err)
	}
	if r.Name != "" || !r.ModTime.IsZero() {
		t.Errorf("name %q, time %v", r.Name, r.ModTime)
	}
}

func TestDetectCompression(t *testing.T) {
	for data, want := range map[string]string{
		"": "", "{}": "", "[": "", "(": "", "\x1f\x8b": "", "\x1f\x8b\x07": "",
		"\x1f\x8b\x08": "gzip", "\x28\xb5\x2f\xfd": "zstd", "\x28\xb5\x2f": "", "PK\x03\x04": "",
	} {
		if got := codec.DetectCompression([]byte(data)); got != want {
			t.Errorf("DetectCompression(%q) = %q, want %q", data, got, want)
		}
	}
}

func TestCompressConcurrently(t *testing.T) {
	for _, c := range append(formats(t, nil), newAuto(t, nil)) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for n := range 20 {
					input := bytes.Repeat([]byte{byte('a' + i)}, 5000*n)
					packed, err := c.Compress(nil, input)
					if err != nil {
						t.Error(err)
						return
					}
					if out, err := c.Decompress(nil, packed); err != nil || !bytes.Equal(out, input) {
						t.Errorf("%s: %d of %d bytes, error %v", c.Name(), len(out), len(input), err)
					}
				}
			})
		}
		wg.Wait()
	}
}
