package codec_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/codec"
)

func newAssembler(t testing.TB, opts *codec.AssemblerOptions) *codec.Assembler {
	t.Helper()
	a, err := codec.NewAssembler(opts)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// empty checks that an assembler holds nothing.
func empty(t *testing.T, a *codec.Assembler) {
	t.Helper()
	if messages, held := a.Unfinished(); messages != 0 || held != 0 {
		t.Errorf("still %d messages and %d bytes unfinished", messages, held)
	}
}

func TestAssemblerInterleaved(t *testing.T) {
	c, a := newChunker(t, 40), newAssembler(t, nil)
	messages := [][]byte{noise(101), noise(7), nil, noise(58)}
	frames := make([][][]byte, len(messages))
	for i, message := range messages {
		frames[i] = chunks(c, message)
	}
	complete := 0
	for turn := 0; complete < len(messages); turn++ {
		i := turn % len(messages)
		if len(frames[i]) == 0 {
			continue
		}
		got, ok, err := a.Add(frames[i][0])
		clear(frames[i][0]) // the frame must not be needed any more
		frames[i] = frames[i][1:]
		if err != nil || ok != (len(frames[i]) == 0) {
			t.Fatalf("message %d: complete %v, error %v", i, ok, err)
		}
		if ok {
			complete++
			if !bytes.Equal(got, messages[i]) {
				t.Errorf("message %d came out differently", i)
			}
		}
	}
	empty(t, a)
}

func TestAssemblerHostile(t *testing.T) {
	sum := crc32c("abcdef")
	first := chunk(7, 0, 6, sum, "abc")
	second := chunk(7, 3, 6, sum, "def")
	patch := func(frame []byte, at int, b byte) []byte {
		frame = bytes.Clone(frame)
		frame[at] = b
		return frame
	}
	cases := []struct {
		name   string
		before [][]byte // accepted
		frame  []byte
		want   error
		keeps  int // messages that stay unfinished
	}{
		{"empty", nil, nil, codec.ErrNotChunk, 0},
		{"text", nil, []byte(`{"type":"heartbeat","status":"ok","client_id":"d"}`), codec.ErrNotChunk, 0},
		{"magic only", nil, first[:4], codec.ErrNotChunk, 0},
		{"header cut", nil, first[:35], codec.ErrNotChunk, 0},
		{"version 0", nil, patch(first, 4, 0), codec.ErrChunkVersion, 0},
		{"version 2", [][]byte{first}, patch(second, 4, 2), codec.ErrChunkVersion, 1},
		{"reserved", nil, patch(first, 7, 1), codec.ErrChunkVersion, 0},
		{"no part", nil, chunk(7, 0, 6, sum, ""), codec.ErrChunkSize, 0},
		{"part of an empty message", nil, chunk(7, 0, 0, 0, "a"), codec.ErrChunkSize, 0},
		{"beyond the end", nil, chunk(7, 0, 2, sum, "abc"), codec.ErrChunkSize, 0},
		{"second beyond the end", [][]byte{first}, chunk(7, 3, 6, sum, "defg"), codec.ErrChunkSize, 0},
		{"offset beyond the end", [][]byte{first}, chunk(7, 7, 6, sum, "d"), codec.ErrChunkSize, 0},
		{"offset overflows", nil, chunk(7, math.MaxUint64, math.MaxUint64, sum, "d"), codec.ErrChunkSize, 0},
		{"no part behind the first", [][]byte{first}, chunk(7, 3, 6, sum, ""), codec.ErrChunkSize, 0},
		{"too large", nil, chunk(7, 0, 1001, sum, "abc"), codec.ErrTooLarge, 0},
		{"an exabyte", nil, chunk(7, 0, 1<<60, sum, "abc"), codec.ErrTooLarge, 0},
		{"all there is", nil, chunk(7, 0, math.MaxUint64, sum, "abc"), codec.ErrTooLarge, 0},
		{"first missing", nil, second, codec.ErrChunkMissing, 0},
		{"middle missing", [][]byte{first}, chunk(7, 4, 6, sum, "ef"), codec.ErrChunkMissing, 0},
		{"first repeated", [][]byte{first}, first, codec.ErrChunkRepeated, 0},
		{"overlapping", [][]byte{first}, chunk(7, 2, 6, sum, "cdef"), codec.ErrChunkRepeated, 0},
		{"repeated when complete", [][]byte{first, second}, second, codec.ErrChunkMissing, 0},
		{"other size", [][]byte{first}, chunk(7, 3, 7, sum, "def"), codec.ErrChunkMismatch, 0},
		{"other checksum", [][]byte{first}, chunk(7, 3, 6, sum+1, "def"), codec.ErrChunkMismatch, 0},
		{"changed part", [][]byte{first}, chunk(7, 3, 6, sum, "deF"), codec.ErrChunkChecksum, 0},
		{"wrong checksum", nil, chunk(7, 0, 3, sum, "abc"), codec.ErrChunkChecksum, 0},
		{"wrong checksum of nothing", nil, chunk(7, 0, 0, 1, ""), codec.ErrChunkChecksum, 0},
		{"one message too many", [][]byte{first, chunk(8, 0, 6, sum, "abc")}, chunk(9, 0, 6, sum, "abcdef"), codec.ErrChunkLimit, 2},
		{"another message is not touched", [][]byte{first}, chunk(8, 3, 6, sum, "def"), codec.ErrChunkMissing, 1},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			a := newAssembler(t, &codec.AssemblerOptions{MaxSize: 1000, MaxMessages: 2})
			for _, frame := range tc.before {
				if _, _, err := a.Add(frame); err != nil {
					t.Fatal(err)
				}
			}
			message, complete, err := a.Add(tc.frame)
			var typed *codec.ChunkError
			if message != nil || complete || !errors.Is(err, tc.want) || !errors.As(err, &typed) {
				t.Fatalf("%q, complete %v, error %v, want %v", message, complete, err, tc.want)
			}
			if !errors.Is(err, codec.ErrNotChunk) && !errors.Is(err, codec.ErrChunkVersion) && typed.ID < 7 {
				t.Errorf("error says message %d", typed.ID)
			}
			if messages, _ := a.Unfinished(); messages != tc.keeps {
				t.Errorf("%d messages unfinished, want %d", messages, tc.keeps)
			}
			if tc.keeps > 0 {
				if got, ok, err := a.Add(second); !ok || err != nil || string(got) != "abcdef" {
					t.Errorf("the other message: %q, %v, %v", got, ok, err)
				}
				return
			}
			empty(t, a)
			// The same id can be used anew.
			if got, ok, err := a.Add(chunk(7, 0, 6, sum, "abcdef")); !ok || err != nil || string(got) != "abcdef" {
				t.Errorf("sent again: %q, %v, %v", got, ok, err)
			}
		})
	}
}

func TestAssemblerSizeLimit(t *testing.T) {
	for _, n := range []int{999, 1000, 1001} {
		a := newAssembler(t, &codec.AssemblerOptions{MaxSize: 1000})
		var last error
		for _, frame := range chunks(newChunker(t, 136), noise(n)) {
			if _, _, last = a.Add(frame); last != nil {
				break
			}
		}
		if (n > 1000) != errors.Is(last, codec.ErrTooLarge) {
			t.Errorf("%d bytes: error %v", n, last)
		}
		empty(t, a)
	}
}

// A message that does not fit beside the others fails; the others go on.
func TestAssemblerBuffered(t *testing.T) {
	a := newAssembler(t, &codec.AssemblerOptions{MaxSize: 1000, MaxBuffered: 1000})
	c := newChunker(t, 136)
	one, two := chunks(c, noise(600)), chunks(c, noise(600))
	var failed error
	for i := range one {
		if _, ok, err := a.Add(one[i]); err != nil || ok != (i == 5) {
			t.Fatalf("first message, chunk %d: complete %v, error %v", i, ok, err)
		}
		if failed == nil {
			_, _, failed = a.Add(two[i])
		}
		if _, held := a.Unfinished(); held > 1000 {
			t.Errorf("%d bytes held", held)
		}
	}
	if !errors.Is(failed, codec.ErrChunkLimit) {
		t.Errorf("second message: error %v, want ErrChunkLimit", failed)
	}
	empty(t, a)
	for i, frame := range chunks(c, noise(1000)) { // as large as there is room
		if _, ok, err := a.Add(frame); err != nil || ok != (i == 9) {
			t.Fatalf("full size, chunk %d: complete %v, error %v", i, ok, err)
		}
	}
}

// A message is not refused for the room that its buffer would like to have.
func TestAssemblerBufferedWhenTight(t *testing.T) {
	a := newAssembler(t, &codec.AssemblerOptions{MaxSize: 1000, MaxBuffered: 1000})
	c := newChunker(t, 136)
	other := string(noise(300))
	add := func(frame []byte, want bool) {
		t.Helper()
		if _, complete, err := a.Add(frame); err != nil || complete != want {
			t.Fatalf("complete %v, error %v", complete, err)
		}
		if _, held := a.Unfinished(); held > 1000 {
			t.Errorf("%d bytes held", held)
		}
	}
	add(chunk(99, 0, 300, crc32c(other), other[:260]), false)
	for i, frame := range chunks(c, noise(750)) {
		if i == 6 {
			add(chunk(99, 260, 300, crc32c(other), other[260:]), true) // makes room
		}
		add(frame, i == 7)
	}
	empty(t, a)
}

// Headers that claim much must not cost much.
func TestAssemblerClaimsCostNothing(t *testing.T) {
	a := newAssembler(t, &codec.AssemblerOptions{MaxMessages: 1000})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for id := range uint64(1000) {
		if _, _, err := a.Add(chunk(id, 0, codec.DefaultMaxSize, 0, "x")); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("1000 claims of 100 MiB allocated %d bytes", used)
	}
	if messages, held := a.Unfinished(); messages != 1000 || held != 1000 {
		t.Errorf("%d messages, %d bytes", messages, held)
	}
}

func TestAssemblerTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var given []*codec.ChunkError
		a := newAssembler(t, &codec.AssemblerOptions{
			Timeout:   10 * time.Second,
			OnTimeout: func(err *codec.ChunkError) { given = append(given, err) },
		})
		sum := crc32c("abcdef")
		add := func(frame []byte) {
			t.Helper()
			if _, _, err := a.Add(frame); err != nil {
				t.Fatal(err)
			}
		}
		add(chunk(1, 0, 6, sum, "ab"))
		add(chunk(2, 0, 6, sum, "ab"))
		time.Sleep(9 * time.Second)
		add(chunk(1, 2, 6, sum, "cd")) // goes on, so it has 10 s more
		if n := a.Expire(); n != 0 {
			t.Errorf("%d given up after 9 s", n)
		}
		time.Sleep(time.Second)
		if n := a.Expire(); n != 1 || len(given) != 1 {
			t.Fatalf("%d given up after 10 s, %d reported", n, len(given))
		}
		if err := given[0]; err.ID != 2 || err.Offset != 2 || !errors.Is(err, codec.ErrChunkTimeout) {
			t.Errorf("reported %v", err)
		}
		if text := given[0].Error(); !strings.Contains(text, "(message 2, at byte 2)") {
			t.Errorf("the error says %q", text)
		}
		time.Sleep(9 * time.Second)
		if _, _, err := a.Add(chunk(1, 4, 6, sum, "ef")); !errors.Is(err, codec.ErrChunkMissing) {
			t.Errorf("a chunk too late: error %v", err)
		}
		if len(given) != 2 || given[1].ID != 1 || given[1].Offset != 4 {
			t.Errorf("reported %v", given)
		}
		empty(t, a)
	})
}

func TestAssemblerDefaultTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, forever := newAssembler(t, nil), newAssembler(t, &codec.AssemblerOptions{Timeout: -1})
		for _, a := range []*codec.Assembler{a, forever} {
			if _, _, err := a.Add(chunk(1, 0, 2, crc32c("ab"), "a")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(codec.DefaultChunkTimeout)
		if n := a.Expire(); n != 1 {
			t.Errorf("%d given up, want 1", n)
		}
		time.Sleep(1000 * time.Hour)
		if n := forever.Expire(); n != 0 {
			t.Errorf("%d given up without a timeout", n)
		}
		if got, ok, err := forever.Add(chunk(1, 1, 2, crc32c("ab"), "b")); !ok || err != nil || string(got) != "ab" {
			t.Errorf("%q, %v, %v", got, ok, err)
		}
	})
}

// OnTimeout may use the assembler.
func TestAssemblerOnTimeoutMayCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a *codec.Assembler
		calls := 0
		a = newAssembler(t, &codec.AssemblerOptions{OnTimeout: func(*codec.ChunkError) {
			calls++
			empty(t, a)
		}})
		if _, _, err := a.Add(chunk(1, 0, 2, 0, "a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(codec.DefaultChunkTimeout)
		a.Expire()
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}

func TestChunksConcurrently(t *testing.T) {
	c, a := newChunker(t, 200), newAssembler(t, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 20 {
				message := fmt.Appendf(nil, "%d-%d %s", i, n, bytes.Repeat([]byte{byte(i)}, 500))
				var got []byte
				for frame := range c.Frames(message) {
					m, ok, err := a.Add(frame)
					if err != nil {
						t.Error(err)
						return
					}
					if ok {
						got = m
					}
				}
				if !bytes.Equal(got, message) {
					t.Errorf("got %q, want %q", got, message)
				}
			}
		})
	}
	wg.Wait()
	empty(t, a)
}
