package protocol

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// lending lends the messages of a transport in memory, and spoils each as soon
// as it has it back.
type lending struct {
	*transport.Memory
	buffer []byte
	lent   int // binary messages
}

func (l *lending) Borrow(ctx context.Context, use func(transport.Frame) error) error {
	frame, err := l.ReceiveFrame(ctx)
	if err != nil {
		return err
	}
	l.buffer = append(l.buffer[:0], frame.Data...)
	defer func() {
		for i := range l.buffer {
			l.buffer[i] = '#'
		}
	}()
	if frame.Kind == transport.Binary {
		l.lent++
	}
	return use(transport.Frame{Kind: frame.Kind, Data: l.buffer})
}

// silent wraps a transport and sees all that is received, as a program's own
// wrapper does.
type silent struct {
	transport.Transport
	seen int
}

func (s *silent) Unwrap() transport.Transport { return s.Transport }

func (s *silent) Receive(ctx context.Context) ([]byte, error) {
	s.seen++
	return s.Transport.Receive(ctx)
}

// binaryText announces a binary message.
func binaryText(name string, size int) string {
	return fmt.Sprintf(`{"filename": %q, "type": "binary_data", "size": %d}`, name, size)
}

// Protects: what is received from a transport that lends: nothing of it changes
// when the transport has its memory back, neither the file nor what comes before
// it, between its chunks and after it.
func TestLentIsNotKept(t *testing.T) {
	ctx := fileContext(t)
	for _, screened := range []bool{false, true} {
		_, server, near := filePair(t)
		far := server.Transport().(*lending)
		var seen []string
		if screened {
			server.Use(Middleware[messages.ServerMessage, messages.ClientMessage]{
				IncomingBinary: func(_ context.Context, o messages.Object) (messages.Object, error) {
					number, _ := o.Get("chunk_num")
					seen = append(seen, number.String())
					return o, nil
				},
			})
		}
		dir := t.TempDir()
		play(t, near, chunkFrames(0, "too early")...)
		play(t, near, sequence(startABC, chunkFrames(0, "abc"), heartbeatText, binaryText("between", 7), binaryOf("between"),
			chunkFrames(1, "def"), `{"chunk_num": 2, "size": 1, "type": "binary_data"}`, binaryOf("g"), completeABC, binaryText("after", 5), binaryOf("after"))...)

		_, err := server.ReceiveFile(ctx, dir, nil)
		if !errors.Is(err, ErrOrder) {
			t.Errorf("ReceiveFile: %v", err)
		}
		early, err := server.ReceiveBinary(ctx, nil)
		must(t, err)
		file, err := server.ReceiveFile(ctx, dir, nil)
		must(t, err)
		heartbeat, err := server.Receive(ctx)
		must(t, err)
		between, err := server.ReceiveBinary(ctx, nil)
		must(t, err)
		after, err := server.ReceiveBinary(ctx, nil)
		must(t, err)

		checkDir(t, dir, map[string]string{"f.txt": "abcdefg"})
		got := fmt.Sprintf("%s, %v %s, %s, %s %s, %s %s", early.Data, file.Verified, file.Offer.Filename, heartbeat.Type,
			between.Data, between.Model().Filename, after.Data, after.Model().Filename)
		if want := "too early, true f.txt, heartbeat, between between, after after"; got != want {
			t.Errorf("screened %v: got %s, want %s", screened, got, want)
		}
		want := "[]"
		if screened {
			want = `[0 0 1 2  ]`
		}
		if far.lent == 0 || fmt.Sprint(seen) != want {
			t.Errorf("screened %v: %d binary messages were lent, the middleware has seen the chunks %v, want %v", screened, far.lent, seen, want)
		}
	}
}

// Protects: wrappers: a transport that lies behind one that does not lend is not
// asked to.
func TestWrapperSeesChunks(t *testing.T) {
	near, far := transport.NewPair(nil)
	inner := &lending{Memory: far}
	wrapper := &silent{Transport: inner}
	server, err := NewServer(wrapper, nil)
	must(t, err)
	dir := t.TempDir()
	play(t, near, sequence(startABC, chunkFrames(0, "abc"), chunkFrames(1, "def"), chunkFrames(2, "g"), completeABC)...)
	_, err = server.ReceiveFile(fileContext(t), dir, nil)
	must(t, err)
	checkDir(t, dir, map[string]string{"f.txt": "abcdefg"})
	if wrapper.seen != 8 || inner.lent != 0 {
		t.Errorf("the wrapper has seen %d frames of 8, and %d were lent past it", wrapper.seen, inner.lent)
	}
	must(t, near.Close())
	must(t, far.Close())
}

// Protects: a receiver whose Progress panics in the middle of a chunk: the next
// one begins with the next frame.
func TestPanicWhileLent(t *testing.T) {
	ctx := fileContext(t)
	_, server, near := filePair(t)
	dir := t.TempDir()
	play(t, near, sequence(startABC, chunkFrames(0, "abc"), chunkFrames(1, "def"), chunkFrames(2, "g"), completeABC)...)
	play(t, near, sequence(startABC, chunkFrames(0, "abc"), chunkFrames(1, "def"), chunkFrames(2, "g"), completeABC)...)
	func() {
		defer func() {
			if v := recover(); v != "mine" {
				t.Errorf("recovered %v", v)
			}
		}()
		_, _ = server.ReceiveFile(ctx, dir, &ReceiveFileOptions{Progress: func(p FileProgress) {
			if p.Chunks == 2 {
				panic("mine")
			}
		}})
	}()
	_, err := server.ReceiveFile(ctx, dir, nil)
	must(t, err)
	checkDir(t, dir, map[string]string{"f.txt": "abcdefg"})
}

// allocated returns how many bytes are allocated while f runs, whatever is
// collected of them.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// scripted is the end of a connection over which a file comes, all of it out of
// one piece of memory, and into which another one disappears.
type scripted struct {
	transport.Transport
	frames []transport.Frame
	next   int
	number int64
	text   []byte
	data   []byte // of each chunk
	left   int64  // chunks
}

func (s *scripted) Borrow(_ context.Context, use func(transport.Frame) error) error {
	switch {
	case s.next == 1 && s.left > 0 && len(s.text) == 0:
		s.text = appendChunk(s.text, s.number, len(s.data), time.Now())
		return use(transport.Frame{Kind: transport.Text, Data: s.text})
	case s.next == 1 && s.left > 0:
		s.number, s.left, s.text = s.number+1, s.left-1, s.text[:0]
		return use(transport.Frame{Kind: transport.Binary, Data: s.data})
	case s.next < len(s.frames):
		s.next++
		return use(s.frames[s.next-1])
	}
	return io.EOF
}

func (s *scripted) ReceiveFrame(context.Context) (transport.Frame, error) {
	return transport.Frame{}, io.EOF
}

func (s *scripted) Send(context.Context, []byte) error                   { return nil }
func (s *scripted) SendFrames(context.Context, ...transport.Frame) error { return nil }

// Protects: the memory of a transfer: it does not grow with the file, on either
// side. All that is allocated is counted, so that it does not matter when it is
// collected.
func TestFileGarbage(t *testing.T) {
	const chunks, limit = 400, 128 << 10 // bytes, beside the chunk that the sender reads into
	data := patterned(DefaultChunkSize)
	size := int64(chunks * len(data))
	carrier := &scripted{data: data, left: chunks, text: make([]byte, 0, 256), frames: []transport.Frame{
		textOf(fmt.Sprintf(`{"type":"file_transfer_start","filename":"f","size":%d,"chunk_size":%d,"total_chunks":%d}`, size, len(data), chunks)),
		textOf(fmt.Sprintf(`{"type":"file_transfer_complete","filename":"f","total_chunks":%d}`, chunks)),
	}}
	server, err := NewServer(carrier, nil)
	must(t, err)
	ctx, dir := context.Background(), t.TempDir()
	received := allocated(func() {
		file, err := server.ReceiveFile(ctx, dir, nil)
		must(t, err)
		must(t, os.Remove(file.Path))
	})
	sent := allocated(func() {
		_, err := server.SendFileFrom(ctx, &endless{size}, "f", size, &SendFileOptions{MIMEType: "x/y"}) // the table of types is large
		must(t, err)
	})
	if received > limit || sent > limit+DefaultChunkSize {
		t.Errorf("for %d MiB, the receiver has allocated %d KiB, the sender %d KiB", size>>20, received>>10, sent>>10)
	}
}

// Protects: the metadata of chunks that is written and read without the general
// writer and reader of metadata: both agree with these.
func TestChunkMetadata(t *testing.T) {
	now := time.Date(2026, 11, 22, 6, 28, 2, 154161000, time.UTC)
	for _, number := range []int64{0, 7, 1 << 40} {
		o := messages.Object{
			{Key: "chunk_num", Value: numberValue(number)}, {Key: "chunk_size", Value: numberValue(3)},
			{Key: "type", Value: textValue(messages.BinaryDataType)}, {Key: "size", Value: numberValue(3)},
			{Key: "timestamp", Value: textValue(messages.Timestamp(now))},
		}
		text := appendChunk(nil, number, 3, now)
		if want := appendMetadata(nil, o); !bytes.Equal(text, want) {
			t.Errorf("got %s, want %s", text, want)
		}
		if c, ok := parseChunk(text); !ok || c != (chunkInfo{known: true, number: number, size: 3, length: 3}) {
			t.Errorf("%s is read as %+v, %v", text, c, ok)
		}
	}
}

// Whatever parseChunk reads is what the general reader of metadata reads.
func FuzzChunkMetadata(f *testing.F) {
	plain := `{"chunk_num": 0, "chunk_size": 3, "type": "binary_data", "size": 3, "timestamp": "2026-11-22T06:28:02.154161+00:00"}`
	for _, change := range [][2]string{
		{"", ""}, {`: 3, "type"`, `: 3.0, "type"`}, {`: 3, "type"`, `: 1e1, "type"`}, {`: 0`, `: 00`}, {`: 0`, `: -0`}, {`: 0`, `: 9999999999999999999`},
		{`"size": 3`, `"size": null`}, {`"size": 3`, `"size": "3"`}, {`, "size": 3`, ``}, {`"size": 3`, `"size": 3, "size": 4`},
		{`"size": 3`, `"size": 3, "checksum": "x"`}, {`binary_data`, `binary\u005fdata`}, {`binary_data`, `heartbeat`}, {`"timestamp"`, `"type"`},
		{`"timestamp": "2026`, `"timestamp": "\ud800`}, {`"}`, `"} `}, {`"}`, `"}x`}, {`"}`, `"`}, {`"timestamp": "2026-11-22T06:28:02.154161+00:00"`, `"timestamp": {"a": [[1]]}`},
	} {
		f.Add(bytes.Replace([]byte(plain), []byte(change[0]), []byte(change[1]), 1))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, ok := parseChunk(text)
		if !ok {
			return
		}
		o, err := decodeMetadata(text)
		if err != nil {
			t.Fatalf("%q is taken for a chunk: %v", text, err)
		}
		want, err := chunkOf(o)
		if err != nil || c != want || frameOf(unitBinary, o) != frameChunk || readHead(text).unitKind() != unitBinary {
			t.Errorf("%q is read as %+v; want %+v, %v", text, c, want, err)
		}
		if _, given, _ := stringField(o, checksumKey); given {
			t.Errorf("%q has a checksum", text)
		}
	})
}
