package codec_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/aip-go/aip/codec"
)

// streamer is what Gzip and Zstd have besides Compressor.
type streamer interface {
	codec.Compressor
	NewReader(r io.Reader) io.ReadCloser
	NewWriter(w io.Writer) io.WriteCloser
}

func streamers(t testing.TB, opts *codec.CompressOptions) []streamer {
	t.Helper()
	return []streamer{newGzip(t, opts), newZstd(t, opts)}
}

func TestCompressStream(t *testing.T) {
	input := append(bytes.Repeat([]byte("stream "), 50_000), noise(100_000)...)
	for _, s := range streamers(t, nil) {
		t.Run(s.Name(), func(t *testing.T) {
			for range 3 { // the second and third use what the first gave back
				var packed bytes.Buffer
				w := s.NewWriter(&packed)
				if _, err := io.Copy(w, iotest.HalfReader(bytes.NewReader(input))); err != nil {
					t.Fatal(err)
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if out, err := s.Decompress(nil, packed.Bytes()); err != nil || !bytes.Equal(out, input) {
					t.Fatalf("Decompress: %d bytes, error %v", len(out), err)
				}
				r := s.NewReader(iotest.OneByteReader(&packed))
				if err := iotest.TestReader(r, input); err != nil {
					t.Fatal(err)
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestCompressStreamEmpty(t *testing.T) {
	for _, s := range streamers(t, nil) {
		var packed bytes.Buffer
		if err := s.NewWriter(&packed).Close(); err != nil {
			t.Fatal(err)
		}
		if out, err := s.Decompress(nil, packed.Bytes()); err != nil || len(out) != 0 {
			t.Errorf("%s: %q, error %v", s.Name(), out, err)
		}
	}
}

func TestDecompressStreamLimit(t *testing.T) {
	for _, s := range streamers(t, &codec.CompressOptions{MaxSize: 1000}) {
		r := s.NewReader(bytes.NewReader(mustCompress(t, s, make([]byte, 1001))))
		n, err := io.Copy(io.Discard, r)
		if n != 1000 || !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("%s: %d bytes, error %v; want 1000 and ErrTooLarge", s.Name(), n, err)
		}
		if _, again := r.Read(make([]byte, 1)); again != err {
			t.Errorf("%s: then error %v", s.Name(), again)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestDecompressStreamHostile(t *testing.T) {
	for _, s := range streamers(t, nil) {
		packed := mustCompress(t, s, noise(10_000))
		cases := []struct {
			name string
			r    io.Reader
			want error
		}{
			{"empty", bytes.NewReader(nil), codec.ErrNotCompressed},
			{"plain", bytes.NewReader([]byte("plain text")), codec.ErrNotCompressed},
			{"cut", bytes.NewReader(packed[:5000]), codec.ErrCompressedTruncated},
			{"trailing", io.MultiReader(bytes.NewReader(packed), bytes.NewReader([]byte("{}{}{}"))), codec.ErrCompressedTrailing},
			{"fails at once", iotest.ErrReader(io.ErrClosedPipe), io.ErrClosedPipe},
			{"fails in the magic", io.MultiReader(bytes.NewReader(packed[:2]), iotest.ErrReader(io.ErrClosedPipe)), io.ErrClosedPipe},
			{"fails in the middle", io.MultiReader(bytes.NewReader(packed[:5000]), iotest.ErrReader(io.ErrClosedPipe)), io.ErrClosedPipe},
			{"fails at the end", io.MultiReader(bytes.NewReader(packed), iotest.ErrReader(io.ErrClosedPipe)), io.ErrClosedPipe},
			{"cut by its own reader", io.MultiReader(bytes.NewReader(packed[:5000]), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF},
		}
		for _, tc := range cases {
			t.Run(s.Name()+"/"+tc.name, func(t *testing.T) {
				r := s.NewReader(tc.r)
				_, err := io.Copy(io.Discard, r)
				var typed *codec.CompressionError
				if !errors.Is(err, tc.want) || !errors.As(err, &typed) {
					t.Errorf("error %v, want %v", err, tc.want)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestCompressStreamClosed(t *testing.T) {
	for _, s := range streamers(t, nil) {
		w := s.NewWriter(io.Discard)
		r := s.NewReader(bytes.NewReader(mustCompress(t, s, []byte("text"))))
		for range 2 {
			if err := errors.Join(w.Close(), r.Close()); err != nil {
				t.Errorf("%s: Close: %v", s.Name(), err)
			}
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, codec.ErrCompressClosed) {
			t.Errorf("%s: Write after Close: %v", s.Name(), err)
		}
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, codec.ErrCompressClosed) {
			t.Errorf("%s: Read after Close: %v", s.Name(), err)
		}
	}
}

// What a stream holds is given back once, however often the stream is closed:
// given back twice, it would serve two streams at once.
func TestCompressStreamClosedTwice(t *testing.T) {
	for _, s := range streamers(t, nil) {
		texts := [2][]byte{bytes.Repeat([]byte("a"), 10_000), bytes.Repeat([]byte("b"), 10_000)}
		r, w := s.NewReader(bytes.NewReader(nil)), s.NewWriter(io.Discard)
		for range 2 {
			if err := errors.Join(r.Close(), w.Close()); err != nil {
				t.Fatal(err)
			}
		}
		var packed [2]bytes.Buffer
		writers := [2]io.WriteCloser{s.NewWriter(&packed[0]), s.NewWriter(&packed[1])}
		for i, w := range writers {
			if _, err := w.Write(texts[i]); err != nil {
				t.Fatal(err)
			}
		}
		for _, w := range writers {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		readers := [2]io.ReadCloser{s.NewReader(&packed[0]), s.NewReader(&packed[1])}
		for i, r := range readers {
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, texts[i]) {
				t.Errorf("%s: reader %d: %d bytes, error %v", s.Name(), i, len(got), err)
			}
		}
		if err := errors.Join(readers[0].Close(), readers[1].Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// failingWriter accepts n bytes and then fails.
type failingWriter struct{ n int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.n -= len(p); w.n < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestCompressStreamWriterFails(t *testing.T) {
	input := noise(1 << 20)
	for _, s := range streamers(t, nil) {
		for _, n := range []int{0, 5, 300_000} {
			w := s.NewWriter(&failingWriter{n: n})
			_, err := w.Write(input)
			err = errors.Join(err, w.Close())
			var typed *codec.CompressionError
			if !errors.Is(err, io.ErrClosedPipe) || !errors.As(err, &typed) {
				t.Errorf("%s after %d bytes: error %v", s.Name(), n, err)
			}
		}
		// What failed must not spoil what comes after it.
		var packed bytes.Buffer
		w := s.NewWriter(&packed)
		_, err := w.Write(input)
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		if out, err := s.Decompress(nil, packed.Bytes()); err != nil || !bytes.Equal(out, input) {
			t.Errorf("%s after a failure: %d bytes, error %v", s.Name(), len(out), err)
		}
	}
}
