package codec_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/aip-go/aip/codec"
)

func TestAutoSendsWhatIsSmaller(t *testing.T) {
	small, large := bytes.Repeat([]byte("a"), 1023), bytes.Repeat([]byte("a"), 1024)
	cases := []struct {
		name string
		opts codec.AutoOptions
		data []byte
		want string
	}{
		{"small", codec.AutoOptions{}, small, ""},
		{"large", codec.AutoOptions{}, large, "gzip"},
		{"large by zstd", codec.AutoOptions{Format: "zstd"}, large, "zstd"},
		{"would not shrink", codec.AutoOptions{}, noise(4096), ""},
		{"would not shrink by zstd", codec.AutoOptions{Format: "zstd"}, noise(4096), ""},
		{"other minimum", codec.AutoOptions{MinSize: 2000}, large, ""},
		{"no minimum", codec.AutoOptions{MinSize: -1}, small[:100], "gzip"},
		{"empty", codec.AutoOptions{MinSize: -1}, nil, ""},
		{"begins as gzip", codec.AutoOptions{}, []byte("\x1f\x8b\x08"), "gzip"},
		{"begins as zstd", codec.AutoOptions{Format: "zstd"}, []byte("\x28\xb5\x2f\xfd"), "zstd"},
		{"begins as zstd, sent as gzip", codec.AutoOptions{}, []byte("\x28\xb5\x2f\xfd"), "gzip"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			a := newAuto(t, &tc.opts)
			sent, err := a.Compress([]byte("before"), tc.data)
			if err != nil {
				t.Fatal(err)
			}
			body, ok := bytes.CutPrefix(sent, []byte("before"))
			if got := codec.DetectCompression(body); !ok || got != tc.want {
				t.Errorf("sent as %q, want %q", got, tc.want)
			}
			if tc.want == "" && !bytes.Equal(body, tc.data) {
				t.Error("plain data was changed")
			}
			out, err := newAuto(t, nil).Decompress([]byte("before"), body)
			if err != nil || !bytes.Equal(out, append([]byte("before"), tc.data...)) {
				t.Errorf("got %d bytes, error %v", len(out), err)
			}
		})
	}
}

func TestAutoLimit(t *testing.T) {
	a := newAuto(t, &codec.AutoOptions{CompressOptions: codec.CompressOptions{MaxSize: 2000}})
	exact, over := make([]byte, 2000), make([]byte, 2001)
	for _, c := range formats(t, nil) {
		if out, err := a.Decompress(nil, mustCompress(t, c, exact)); err != nil || len(out) != 2000 {
			t.Errorf("%s at the limit: %d bytes, error %v", c.Name(), len(out), err)
		}
		if _, err := a.Decompress(nil, mustCompress(t, c, over)); !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("%s over the limit: error %v", c.Name(), err)
		}
	}
	if out, err := a.Decompress(nil, exact); err != nil || len(out) != 2000 {
		t.Errorf("plain at the limit: %d bytes, error %v", len(out), err)
	}
	if out, err := a.Decompress([]byte("x"), over); !errors.Is(err, codec.ErrTooLarge) || string(out) != "x" {
		t.Errorf("plain over the limit: %d bytes, error %v", len(out), err)
	}
}

// The level is for the format that is sent; the other has its default.
func TestAutoLevel(t *testing.T) {
	options := codec.CompressOptions{Level: 1}
	a := newAuto(t, &codec.AutoOptions{Format: codec.ZstdName, CompressOptions: options})
	if a.Name() != "auto" {
		t.Errorf("Name = %q", a.Name())
	}
	data := compressFixture(t, "message.json")
	fast, preset := mustCompress(t, newZstd(t, &options), data), mustCompress(t, newZstd(t, nil), data)
	if got := mustCompress(t, a, data); !bytes.Equal(got, fast) || bytes.Equal(got, preset) {
		t.Error("the level was not used")
	}
}
