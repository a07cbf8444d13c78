package codec_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

var benchSizes = []int{1 << 10, 64 << 10, 1 << 20}

// benchData returns n bytes that compress about as JSON messages do.
func benchData(b *testing.B, n int) []byte {
	b.Helper()
	var data []byte
	for i := 0; len(data) < n; i++ {
		data = fmt.Appendf(data, `{"status":"success","error":null,"result":"%x","namespace":null,"call_id":"%d"},`, noise(20 + i)[i:], i*i)
	}
	return data[:n]
}

func BenchmarkCompress(b *testing.B) {
	for _, c := range formats(b, nil) {
		for _, n := range benchSizes {
			b.Run(fmt.Sprint(c.Name(), "/", n), func(b *testing.B) {
				data := benchData(b, n)
				var out []byte
				b.ReportAllocs()
				b.SetBytes(int64(n))
				for b.Loop() {
					var err error
					if out, err = c.Compress(out[:0], data); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n)/float64(len(out)), "ratio")
			})
		}
	}
}

func BenchmarkDecompress(b *testing.B) {
	for _, c := range formats(b, nil) {
		for _, n := range benchSizes {
			b.Run(fmt.Sprint(c.Name(), "/", n), func(b *testing.B) {
				packed := mustCompress(b, c, benchData(b, n))
				var out []byte
				b.ReportAllocs()
				b.SetBytes(int64(n))
				for b.Loop() {
					var err error
					if out, err = c.Decompress(out[:0], packed); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkDecompressStream(b *testing.B) {
	const n = 16 << 20
	for _, s := range streamers(b, nil) {
		b.Run(s.Name(), func(b *testing.B) {
			packed := mustCompress(b, s, bytes.Repeat(benchData(b, 1<<20), n>>20))
			b.ReportAllocs()
			b.SetBytes(n)
			for b.Loop() {
				r := s.NewReader(bytes.NewReader(packed))
				if got, err := io.Copy(io.Discard, r); got != n || err != nil {
					b.Fatal(got, err)
				}
				if err := r.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
