package codec_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aip-go/aip/codec"
)

// Compress what is large, and take whatever the peer sends.
func ExampleAuto() {
	auto, err := codec.NewAuto(&codec.AutoOptions{CompressOptions: codec.CompressOptions{MaxSize: 1 << 20}})
	if err != nil {
		fmt.Println(err)
		return
	}
	small := []byte(`{"type":"heartbeat","status":"ok"}`)
	large := []byte(`{"type":"task","request":"` + strings.Repeat("do it ", 1000) + `"}`)
	for _, message := range [][]byte{small, large} {
		sent, err := auto.Compress(nil, message)
		if err != nil {
			fmt.Println(err)
			return
		}
		received, err := auto.Decompress(nil, sent)
		fmt.Printf("%d bytes, sent as %q, smaller: %v, came back: %v, error: %v\n",
			len(message), codec.DetectCompression(sent), len(sent) < len(message), bytes.Equal(received, message), err)
	}
	// Output:
	// 34 bytes, sent as "", smaller: false, came back: true, error: <nil>
	// 6028 bytes, sent as "gzip", smaller: true, came back: true, error: <nil>
}

// A decompression bomb stops at the limit.
func ExampleZstd_Decompress() {
	zstd, err := codec.NewZstd(&codec.CompressOptions{MaxSize: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	bomb, err := zstd.Compress(nil, make([]byte, 50<<20))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = zstd.Decompress(nil, bomb)
	fmt.Println(len(bomb) < 10_000, errors.Is(err, codec.ErrTooLarge))
	// Output: true true
}

// Compress on the way, without holding the message in memory.
func ExampleGzip_NewWriter() {
	gzip, err := codec.NewGzip(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	var wire bytes.Buffer
	w := gzip.NewWriter(&wire)
	_, err = io.Copy(w, strings.NewReader("a large screenshot"))
	if err := errors.Join(err, w.Close()); err != nil {
		fmt.Println(err)
		return
	}

	r := gzip.NewReader(&wire)
	defer func() { _ = r.Close() }() // never fails
	data, err := io.ReadAll(r)
	fmt.Printf("%s %v\n", data, err)
	// Output: a large screenshot <nil>
}
