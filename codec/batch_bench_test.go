package codec_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/aip-go/aip/codec"
)

var benchMessage = []byte(`{"type":"heartbeat","status":"ok","client_type":"device","client_id":"device-1","timestamp":"2026-01-02T03:04:05.000006+00:00"}`)

func benchMessages(n int) [][]byte {
	raws := make([][]byte, n)
	for i := range raws {
		raws[i] = benchMessage
	}
	return raws
}

func BenchmarkAppendBatch(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			raws := benchMessages(n)
			var out []byte
			b.ReportAllocs()
			b.SetBytes(int64(n * len(benchMessage)))
			for b.Loop() {
				var err error
				if out, err = codec.AppendBatch(out[:0], raws...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSplitBatch(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			batch, err := codec.AppendBatch(nil, benchMessages(n)...)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(batch)))
			for b.Loop() {
				if _, err := codec.SplitBatch(batch, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBatcher(b *testing.B) {
	batcher, err := codec.NewBatcher(func(context.Context, []byte) error { return nil }, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(benchMessage)))
	for b.Loop() {
		if err := batcher.Add(b.Context(), benchMessage); err != nil {
			b.Fatal(err)
		}
	}
	if err := batcher.Close(); err != nil {
		b.Fatal(err)
	}
}
