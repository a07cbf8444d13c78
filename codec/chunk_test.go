package codec_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"testing"

	"github.com/aip-go/aip/codec"
)

func newChunker(t testing.TB, size int) *codec.Chunker {
	t.Helper()
	c, err := codec.NewChunker(&codec.ChunkerOptions{ChunkSize: size})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// chunks returns copies of all frames of a message.
func chunks(c *codec.Chunker, message []byte) [][]byte {
	var frames [][]byte
	for frame := range c.Frames(message) {
		frames = append(frames, bytes.Clone(frame))
	}
	return frames
}

// chunk makes a frame by hand, from the documented format.
func chunk(id, offset, size uint64, checksum uint32, part string) []byte {
	frame := []byte{0xc1, 'A', 'I', 'P', 1, 0, 0, 0}
	frame = binary.BigEndian.AppendUint64(frame, id)
	frame = binary.BigEndian.AppendUint64(frame, offset)
	frame = binary.BigEndian.AppendUint64(frame, size)
	frame = binary.BigEndian.AppendUint32(frame, checksum)
	return append(frame, part...)
}

func crc32c(s string) uint32 {
	return crc32.Checksum([]byte(s), crc32.MakeTable(crc32.Castagnoli))
}

func TestChunkFormat(t *testing.T) {
	c := newChunker(t, 36+4)
	// E3069283 is the check value of CRC-32C for "123456789".
	want := []string{
		"c1414950 01000000 0000000000000001 0000000000000000 0000000000000009 e3069283 31323334",
		"c1414950 01000000 0000000000000001 0000000000000004 0000000000000009 e3069283 35363738",
		"c1414950 01000000 0000000000000001 0000000000000008 0000000000000009 e3069283 39",
		"c1414950 01000000 0000000000000002 0000000000000000 0000000000000000 00000000",
	}
	frames := append(chunks(c, []byte("123456789")), chunks(c, nil)...)
	if len(frames) != len(want) {
		t.Fatalf("%d frames, want %d", len(frames), len(want))
	}
	for i, frame := range frames {
		if got := hex.EncodeToString(frame); got != string(bytes.ReplaceAll([]byte(want[i]), []byte(" "), nil)) {
			t.Errorf("frame %d is %s\nwant %s", i, got, want[i])
		}
	}
}

func TestChunkSizes(t *testing.T) {
	const size = 100
	for _, n := range []int{0, 1, 63, 64, 65, 127, 128, 129, 10_000} {
		message := noise(n)
		frames := chunks(newChunker(t, size), message)
		if want := max(1, (n+63)/64); len(frames) != want {
			t.Errorf("%d bytes: %d frames, want %d", n, len(frames), want)
		}
		a := newAssembler(t, nil)
		for i, frame := range frames {
			if len(frame) > size || !codec.IsChunk(frame) {
				t.Errorf("%d bytes: frame %d has %d bytes", n, i, len(frame))
			}
			got, complete, err := a.Add(frame)
			if err != nil || complete != (i == len(frames)-1) {
				t.Fatalf("%d bytes, frame %d: complete %v, error %v", n, i, complete, err)
			}
			if complete && (got == nil || !bytes.Equal(got, message)) {
				t.Errorf("%d bytes: another message came out", n)
			}
		}
	}
}

func TestChunkerStopsWhenAsked(t *testing.T) {
	c := newChunker(t, 40)
	for range c.Frames(make([]byte, 100)) {
		break
	}
	if got := chunks(c, []byte("next")); got[0][15] != 2 {
		t.Errorf("the next message has id %d, want 2", got[0][15])
	}
}

func TestChunkOptions(t *testing.T) {
	for _, size := range []int{-1, 1, 36} {
		if _, err := codec.NewChunker(&codec.ChunkerOptions{ChunkSize: size}); !errors.Is(err, codec.ErrChunkOptions) {
			t.Errorf("ChunkSize %d: error %v", size, err)
		}
	}
	c, err := codec.NewChunker(nil)
	if err != nil {
		t.Fatal(err)
	}
	frames := chunks(c, make([]byte, codec.DefaultChunkSize))
	if len(frames) != 2 || len(frames[0]) != codec.DefaultChunkSize {
		t.Errorf("%d frames, the first of %d bytes", len(frames), len(frames[0]))
	}
	for _, opts := range []codec.AssemblerOptions{
		{MaxBuffered: 1000},
		{MaxSize: 1001, MaxBuffered: 1000},
		{MaxSize: -1, MaxBuffered: 1000},
	} {
		if _, err := codec.NewAssembler(&opts); !errors.Is(err, codec.ErrChunkOptions) {
			t.Errorf("%+v: error %v", opts, err)
		}
	}
	newAssembler(t, &codec.AssemblerOptions{MaxSize: 200 << 20}) // MaxBuffered follows
	newAssembler(t, &codec.AssemblerOptions{MaxSize: -1, MaxMessages: -1, MaxBuffered: -1, Timeout: -1})
}

func TestIsChunk(t *testing.T) {
	for frame, want := range map[string]bool{
		"": false, "\xc1AI": false, "\xc1AIP": true, "\xc1AIPx": true, "AIP": false, `{"a":1}`: false, "\x1f\x8b\x08": false,
	} {
		if got := codec.IsChunk([]byte(frame)); got != want {
			t.Errorf("IsChunk(%q) = %v", frame, got)
		}
	}
}

func TestSlicesAndJoin(t *testing.T) {
	for _, n := range []int{0, 1, 9, 10, 11, 25} {
		data := noise(n)
		parts := slices.Collect(codec.Slices(data, 10))
		if len(parts) != (n+9)/10 {
			t.Errorf("%d bytes in %d slices", n, len(parts))
		}
		got, err := codec.Join(n, func() ([]byte, error) {
			part := parts[0]
			parts = parts[1:]
			return part, nil
		})
		if err != nil || got == nil || !bytes.Equal(got, data) || len(parts) > 0 {
			t.Errorf("%d bytes: error %v, %d slices left", n, err, len(parts))
		}
	}
	if n := len(slices.Collect(codec.Slices(make([]byte, codec.DefaultChunkSize+1), 0))); n != 2 {
		t.Errorf("default size: %d slices, want 2", n)
	}
}

func TestJoinHostile(t *testing.T) {
	cases := []struct {
		total int
		parts []string
		end   error
		want  error
	}{
		{-1, nil, nil, codec.ErrChunkSize},
		{3, []string{"ab"}, io.EOF, io.ErrUnexpectedEOF},
		{3, []string{"ab"}, io.ErrClosedPipe, io.ErrClosedPipe},
		{3, []string{"ab", "cd"}, nil, codec.ErrChunkSize},
		{3, []string{"abcd"}, nil, codec.ErrChunkSize},
		{3, []string{"a", ""}, nil, codec.ErrChunkSize},
		{math.MaxInt, []string{"a"}, io.EOF, io.ErrUnexpectedEOF},
	}
	for _, tc := range cases {
		t.Run(fmt.Sprint(tc.total, tc.parts), func(t *testing.T) {
			data, err := codec.Join(tc.total, func() ([]byte, error) {
				if len(tc.parts) == 0 {
					return nil, tc.end
				}
				part := tc.parts[0]
				tc.parts = tc.parts[1:]
				return []byte(part), nil
			})
			if data != nil || !errors.Is(err, tc.want) {
				t.Errorf("%q, error %v, want %v", data, err, tc.want)
			}
		})
	}
}
