package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/aip-go/aip/codec"
)

// FuzzAssembler feeds an assembler arbitrary frames between the chunks of a
// message cut at arbitrary places. The message must come out, the limits must
// hold, and what the other frames complete must be what they said.
func FuzzAssembler(f *testing.F) {
	sum := crc32c("abcdef")
	f.Add([]byte("a message"), []byte{3, 0, 1, 200}, []byte(nil))
	f.Add([]byte(nil), []byte(nil), []byte("\x03abc\x00\x05hello"))
	f.Add([]byte("x"), []byte{1, 1}, script(chunk(9, 0, 6, sum, "abc"), chunk(9, 3, 6, sum, "def")))
	f.Add([]byte("y"), []byte{0}, script(chunk(9, 0, 6, sum, "abc"), chunk(9, 0, 6, sum, "abc"), chunk(8, 0, 6, sum, "abcdef")))
	f.Add(noise(100), noise(5), script(chunk(9, 0, 1<<60, sum, "abc"), chunk(9, 3, 6, sum, "def"), chunk(9, 0, 0, 0, "")))
	f.Fuzz(func(t *testing.T, message, cuts, frames []byte) {
		const mine, maxSize = 1 << 63, 2000
		if len(message) > maxSize/2 {
			return // so that there is room for it twice, and for others
		}
		a := newAssembler(t, &codec.AssemblerOptions{MaxSize: maxSize, MaxMessages: 4})
		sum, rest, offset := crc32c(string(message)), message, uint64(0)
		var got []byte
		for done := false; !done; {
			frame := nextFrame(&frames)
			if len(frame) > 8 {
				frame[8] &= 0x7f // so that the id is not mine
			}
			other(t, a, frame)
			if messages, held := a.Unfinished(); messages > 4 || held > codec.DefaultMaxSize {
				t.Fatalf("%d messages, %d bytes", messages, held)
			}
			n := len(rest)
			if len(cuts) > 0 && n > 0 {
				n, cuts = min(n, int(cuts[0])+1), cuts[1:]
			}
			part, complete, err := a.Add(chunk(mine, offset, uint64(len(message)), sum, string(rest[:n])))
			if errors.Is(err, codec.ErrChunkLimit) && offset == 0 {
				return // the others were there first
			}
			if err != nil {
				t.Fatal(err)
			}
			got, done = part, complete
			rest, offset = rest[n:], offset+uint64(n)
			if done != (len(rest) == 0) {
				t.Fatalf("complete %v with %d bytes to come", done, len(rest))
			}
		}
		if !bytes.Equal(got, message) {
			t.Fatalf("got %q, want %q", got, message)
		}
	})
}

// other adds a frame that is not the fuzzed message's.
func other(t *testing.T, a *codec.Assembler, frame []byte) {
	t.Helper()
	message, complete, err := a.Add(frame)
	var typed *codec.ChunkError
	switch {
	case err != nil && (!errors.As(err, &typed) || message != nil || complete):
		t.Fatalf("%q, complete %v, error %v", message, complete, err)
	case complete != (message != nil):
		t.Fatalf("%q, complete %v", message, complete)
	case complete:
		size, sum := binary.BigEndian.Uint64(frame[24:]), binary.BigEndian.Uint32(frame[32:])
		if uint64(len(message)) != size || crc32c(string(message)) != sum {
			t.Fatalf("%q does not fit its header", message)
		}
	}
}

// script packs frames into one input: each behind a byte for its length.
func script(frames ...[]byte) []byte {
	var out []byte
	for _, frame := range frames {
		out = append(append(out, byte(len(frame))), frame...)
	}
	return out
}

// nextFrame takes one frame, a copy, from what script made.
func nextFrame(in *[]byte) []byte {
	if len(*in) == 0 {
		return nil
	}
	n := min(int((*in)[0]), len(*in)-1)
	frame := bytes.Clone((*in)[1 : 1+n])
	*in = (*in)[1+n:]
	return frame
}

// FuzzChunks checks that any message split into frames of any size comes out
// again.
func FuzzChunks(f *testing.F) {
	f.Add([]byte(nil), uint16(0))
	f.Add([]byte("a message"), uint16(3))
	f.Add(noise(300), uint16(99))
	f.Fuzz(func(t *testing.T, message []byte, size uint16) {
		a, c := newAssembler(t, nil), newChunker(t, 37+int(size))
		for frame := range c.Frames(message) {
			got, complete, err := a.Add(frame)
			if err != nil {
				t.Fatal(err)
			}
			if complete {
				if !bytes.Equal(got, message) {
					t.Fatalf("got %q, want %q", got, message)
				}
				return
			}
		}
		t.Fatal("not complete")
	})
}
