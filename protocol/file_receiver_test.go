package protocol

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aip-go/aip/transport"
)

const (
	startABC    = `{"type": "file_transfer_start", "filename": "f.txt", "size": 7, "chunk_size": 3, "total_chunks": 3, "mime_type": "text/plain"}`
	completeABC = `{"type": "file_transfer_complete", "filename": "f.txt", "total_chunks": 3, "checksum": "7ac66c0f148de9519b8bd264312c4d64"}`
	md5Empty    = "d41d8cd98f00b204e9800998ecf8427e"
	md5ABC      = "7ac66c0f148de9519b8bd264312c4d64"
	shaABC      = "7d1a54127b222502f5b79b5fb0803061152a44f92b37e23c6527baf665d4da9a"
)

// chunkFrames are the two frames of a chunk as the reference sends them.
func chunkFrames(number int, data string) []transport.Frame {
	return []transport.Frame{
		textOf(fmt.Sprintf(`{"chunk_num": %d, "chunk_size": %d, "type": "binary_data", "size": %d, "timestamp": "2026-11-22T06:28:02.154161+00:00"}`, number, len(data), len(data))),
		binaryOf(data),
	}
}

// sequence makes frames of strings, which are text frames, and frames.
func sequence(parts ...any) []transport.Frame {
	var frames []transport.Frame
	for _, part := range parts {
		switch part := part.(type) {
		case string:
			frames = append(frames, textOf(part))
		case transport.Frame:
			frames = append(frames, part)
		case []transport.Frame:
			frames = append(frames, part...)
		}
	}
	return frames
}

// abc are the frames of f.txt up to the last one.
func abc() []transport.Frame {
	return sequence(startABC, chunkFrames(0, "abc"), chunkFrames(1, "def"), chunkFrames(2, "g"))
}

func startOf(size, chunkSize, total string) string {
	return fmt.Sprintf(`{"type":"file_transfer_start","filename":"f.txt","size":%s,"chunk_size":%s,"total_chunks":%s}`, size, chunkSize, total)
}

func completeOf(extra string) string {
	return `{"type":"file_transfer_complete","filename":"f.txt","total_chunks":3` + extra + `}`
}

// The frames that the reference sends, and those of the table in spec section
// 1.7, with what this receiver makes of them.
func TestReceiveFileFrames(t *testing.T) {
	file := map[string]string{"f.txt": "abcdefg"}
	for _, test := range []struct {
		name   string
		frames []transport.Frame
		opts   *ReceiveFileOptions
		want   error // nil: the file is there
		stage  TransferStage
		dir    map[string]string
	}{
		{"the reference's f.txt", sequence(abc(), completeABC), nil, nil, "", file},
		{"empty file", sequence(startOf("0", "1048576", "0"), `{"type":"file_transfer_complete","filename":"f.txt","total_chunks":0,"checksum":"`+md5Empty+`"}`), nil, nil, "", map[string]string{"f.txt": ""}},
		{"a single chunk, shorter than announced ones", sequence(startOf("1", "1048576", "1"), chunkFrames(0, "x"), `{"type":"file_transfer_complete","filename":"f.txt","total_chunks":1}`), nil, nil, "", map[string]string{"f.txt": "x"}},
		{"an announced chunk size beyond the limit that no chunk has", sequence(startOf("1", "9000000000", "1"), chunkFrames(0, "x"), `{"type":"file_transfer_complete","filename":"f.txt","total_chunks":1}`), nil, nil, "", map[string]string{"f.txt": "x"}},
		{"chunks without type", sequence(startABC, `{"chunk_num":0}`, binaryOf("abc"), `{"chunk_num":1}`, binaryOf("def"), `{"chunk_num":2}`, binaryOf("g"), completeABC), nil, nil, "", file},

		{"first frame not a start", sequence(completeABC), nil, ErrOrder, StageStart, nil},
		{"first frame a chunk", sequence(chunkFrames(0, "abc")), nil, ErrOrder, StageStart, nil},
		{"first frame a message", sequence(heartbeatText), nil, ErrOrder, StageStart, nil},
		{"first frame no JSON", sequence("hello"), nil, ErrOrder, StageStart, nil},
		{"first frame binary", sequence(binaryOf(startABC)), nil, ErrOrder, StageStart, nil},

		{"no filename", sequence(`{"type":"file_transfer_start","size":7,"chunk_size":3,"total_chunks":3}`), nil, ErrMetadata, StageStart, nil},
		{"filename is no string", sequence(`{"type":"file_transfer_start","filename":5,"size":7,"chunk_size":3,"total_chunks":3}`), nil, ErrMetadata, StageStart, nil},
		{"no size", sequence(`{"type":"file_transfer_start","filename":"f.txt","chunk_size":3,"total_chunks":3}`), nil, ErrMetadata, StageStart, nil},
		{"null size", sequence(startOf("null", "3", "3")), nil, ErrMetadata, StageStart, nil},
		{"no chunk_size", sequence(`{"type":"file_transfer_start","filename":"f.txt","size":7,"total_chunks":3}`), nil, ErrMetadata, StageStart, nil},
		{"no total_chunks", sequence(`{"type":"file_transfer_start","filename":"f.txt","size":7,"chunk_size":3}`), nil, ErrMetadata, StageStart, nil},
		{"total_chunks is a string", sequence(startOf("7", "3", `"3"`)), nil, ErrMetadata, StageStart, nil},
		{"size is a fraction", sequence(startOf("7.5", "3", "3")), nil, ErrMetadata, StageStart, nil},
		{"size beyond 64 bits", sequence(startOf("99999999999999999999", "3", "3")), nil, ErrMetadata, StageStart, nil},
		{"mime_type is no string", sequence(`{"type":"file_transfer_start","filename":"f.txt","size":7,"chunk_size":3,"total_chunks":3,"mime_type":[]}`), nil, ErrMetadata, StageStart, nil},
		{"negative total_chunks", sequence(startOf("7", "3", "-3")), nil, ErrSize, StageStart, nil},
		{"negative size", sequence(startOf("-7", "3", "3")), nil, ErrSize, StageStart, nil},
		{"chunk_size 0", sequence(startOf("7", "0", "3")), nil, ErrSize, StageStart, nil},
		{"chunk_size 0 of an empty file", sequence(startOf("0", "0", "0")), nil, ErrSize, StageStart, nil},
		{"chunk_size -1", sequence(startOf("7", "-1", "-7")), nil, ErrSize, StageStart, nil},
		{"too few total_chunks", sequence(startOf("7", "3", "2")), nil, ErrSize, StageStart, nil},
		{"too many total_chunks", sequence(startOf("7", "3", "4")), nil, ErrSize, StageStart, nil},
		{"huge total_chunks", sequence(startOf("7", "3", "9223372036854775807")), nil, ErrSize, StageStart, nil},
		{"sizes that overflow a sum", sequence(startOf("9223372036854775807", "9223372036854775807", "1")), &ReceiveFileOptions{MaxSize: -1}, ErrLimit, StageStart, nil},

		{"size over the limit", sequence(startOf("8", "3", "3")), &ReceiveFileOptions{MaxSize: 7}, ErrLimit, StageStart, nil},
		{"size at the limit", sequence(abc(), completeABC), &ReceiveFileOptions{MaxSize: 7, MaxChunkSize: 3, MaxChunks: 3}, nil, "", file},
		{"huge size", sequence(startOf("4611686018427387904", "1048576", "4398046511104")), nil, ErrLimit, StageStart, nil},
		{"chunk size over the limit", sequence(startABC), &ReceiveFileOptions{MaxChunkSize: 2}, ErrLimit, StageStart, nil},
		{"chunks over the limit", sequence(startABC), &ReceiveFileOptions{MaxChunks: 2}, ErrLimit, StageStart, nil},
		{"a byte in each of very many chunks", sequence(startOf("1073741824", "1", "1073741824")), nil, ErrLimit, StageStart, nil},

		{"out of order", sequence(startABC, chunkFrames(1, "def"), chunkFrames(0, "abc")), nil, ErrOrder, StageChunk, nil},
		{"a chunk left out", sequence(startABC, chunkFrames(0, "abc"), chunkFrames(2, "g")), nil, ErrOrder, StageChunk, nil},
		{"a chunk twice", sequence(startABC, chunkFrames(0, "abc"), chunkFrames(0, "abc")), nil, ErrOrder, StageChunk, nil},
		{"negative chunk_num", sequence(startABC, chunkFrames(-1, "abc")), nil, ErrOrder, StageChunk, nil},
		{"chunk_num is a string", sequence(startABC, `{"type":"binary_data","chunk_num":"0"}`, binaryOf("abc")), nil, ErrMetadata, StageChunk, nil},
		{"an extra chunk", sequence(abc(), chunkFrames(3, "h")), nil, ErrOrder, StageChunk, nil},
		{"a chunk of an empty file", sequence(startOf("0", "3", "0"), chunkFrames(0, "")), nil, ErrOrder, StageChunk, nil},
		{"early end", sequence(startABC, chunkFrames(0, "abc"), completeABC), nil, ErrOrder, StageComplete, nil},
		{"end without a chunk", sequence(startABC, completeABC), nil, ErrOrder, StageComplete, nil},
		{"another start", sequence(startABC, chunkFrames(0, "abc"), startABC), nil, ErrOrder, StageChunk, nil},

		{"short chunk", sequence(startABC, chunkFrames(0, "ab")), nil, ErrSize, StageChunk, nil},
		{"long chunk", sequence(startABC, chunkFrames(0, "abcd")), nil, ErrSize, StageChunk, nil},
		{"long last chunk", sequence(startABC, chunkFrames(0, "abc"), chunkFrames(1, "def"), chunkFrames(2, "gh")), nil, ErrSize, StageChunk, nil},
		{"data shorter than its metadata", sequence(startABC, `{"type":"binary_data","chunk_num":0,"size":3,"chunk_size":3}`, binaryOf("ab")), nil, ErrSize, StageChunk, nil},
		{"chunk_size of a chunk wrong", sequence(startABC, `{"type":"binary_data","chunk_num":0,"size":3,"chunk_size":2}`, binaryOf("abc")), nil, ErrSize, StageChunk, nil},
		{"size of a chunk is a string", sequence(startABC, `{"type":"binary_data","chunk_num":0,"size":"3"}`, binaryOf("abc")), nil, ErrMetadata, StageChunk, nil},
		{"checksum of a chunk wrong", sequence(startABC, `{"type":"binary_data","chunk_num":0,"size":3,"checksum":"`+md5Empty+`"}`, binaryOf("abc")), nil, ErrChecksum, StageChunk, nil},
		{"checksum of a chunk right", sequence(startABC, `{"type":"binary_data","chunk_num":0,"size":3,"checksum":"900150983cd24fb0d6963f7d28e17f72"}`, binaryOf("abc"), chunkFrames(1, "def"), chunkFrames(2, "g"), completeABC), nil, nil, "", file},

		{"text instead of a chunk's data", sequence(startABC, `{"type":"binary_data","chunk_num":0,"size":3}`, "abc"), nil, ErrOrder, StageChunk, nil},
		{"data instead of a chunk's text", sequence(startABC, binaryOf("abc")), nil, ErrOrder, StageChunk, nil},

		{"no checksum", sequence(abc(), completeOf("")), nil, nil, "", file},
		{"null checksum", sequence(abc(), completeOf(`,"checksum":null`)), nil, nil, "", file},
		{"upper-case checksum", sequence(abc(), completeOf(`,"checksum":"`+strings.ToUpper(md5ABC)+`"`)), nil, nil, "", file},
		{"wrong MD5", sequence(abc(), completeOf(`,"checksum":"`+md5Empty+`"`)), nil, ErrChecksum, StageComplete, nil},
		{"MD5 cut short", sequence(abc(), completeOf(`,"checksum":"7ac6"`)), nil, ErrChecksum, StageComplete, nil},
		{"checksum is no string", sequence(abc(), completeOf(`,"checksum":7`)), nil, ErrMetadata, StageComplete, nil},
		{"right SHA-256", sequence(abc(), completeOf(`,"checksum":"`+md5ABC+`","sha256":"`+shaABC+`"`)), nil, nil, "", file},
		{"upper-case SHA-256 alone", sequence(abc(), completeOf(`,"sha256":"`+strings.ToUpper(shaABC)+`"`)), nil, nil, "", file},
		{"wrong SHA-256 beside a right MD5", sequence(abc(), completeOf(`,"checksum":"`+md5ABC+`","sha256":"`+strings.Repeat("0", 64)+`"`)), nil, ErrChecksum, StageComplete, nil},
		{"SHA-256 announced at the start is wrong", sequence(strings.TrimSuffix(startABC, "}")+`,"io.aip.file":{"v":1,"sha256":"`+strings.Repeat("0", 64)+`"}}`, abc()[1:], completeABC), nil, ErrChecksum, StageComplete, nil},
		{"total_chunks differs at the end", sequence(abc(), `{"type":"file_transfer_complete","filename":"f.txt","total_chunks":2,"checksum":"`+md5ABC+`"}`), nil, ErrSize, StageComplete, nil},
		{"no total_chunks at the end", sequence(abc(), `{"type":"file_transfer_complete","filename":"f.txt"}`), nil, ErrMetadata, StageComplete, nil},
		{"the end of another file", sequence(abc(), `{"type":"file_transfer_complete","filename":"g.txt","total_chunks":3}`), nil, ErrOrder, StageComplete, nil},
		{"given up by the sender", sequence(startABC, chunkFrames(0, "abc"), `{"type":"file_transfer_complete","filename":"f.txt","total_chunks":1,"io.aip.file":{"v":1,"aborted":true}}`), nil, ErrAborted, StageComplete, nil},
		{"given up by the sender at the very end", sequence(abc(), completeOf(`,"io.aip.file":{"v":1,"aborted":true}`)), nil, ErrAborted, StageComplete, nil},
		{"an extension of another version", sequence(strings.TrimSuffix(startABC, "}")+`,"io.aip.file":{"v":2,"sha256":5}}`, abc()[1:], completeOf(`,"io.aip.file":{"v":9,"aborted":true}`)), nil, nil, "", file},

		{"no safe name", sequence(`{"type":"file_transfer_start","filename":"..","size":0,"chunk_size":3,"total_chunks":0}`), nil, ErrUnsafeName, StageStart, nil},
		{"NUL in the name", sequence(`{"type":"file_transfer_start","filename":"a\u0000b","size":0,"chunk_size":3,"total_chunks":0}`), nil, ErrUnsafeName, StageStart, nil},
		{"path in the name", sequence(`{"type":"file_transfer_start","filename":"../../x","size":0,"chunk_size":3,"total_chunks":0}`, `{"type":"file_transfer_complete","filename":"../../x","total_chunks":0}`), nil, nil, "", map[string]string{"x": ""}},
		{"Windows path in the name", sequence(`{"type":"file_transfer_start","filename":"C:\\a\\nul.txt","size":0,"chunk_size":3,"total_chunks":0}`, `{"type":"file_transfer_complete","filename":"C:\\a\\nul.txt","total_chunks":0}`), nil, nil, "", map[string]string{"_nul.txt": ""}},
		{"a name of ours", sequence(abc(), completeABC), &ReceiveFileOptions{Name: "mine"}, nil, "", map[string]string{"mine": "abcdefg"}},
		{"metadata beyond the limit", sequence(`{"type":"file_transfer_start","filename":"f","x":"` + strings.Repeat("x", maxMetadata) + `"}`), nil, ErrLimit, StageStart, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, server, near := filePair(t)
			dir := t.TempDir()
			play(t, near, test.frames...)
			result, err := server.ReceiveFile(fileContext(t), dir, test.opts)
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			checkDir(t, dir, test.dir)
			if test.want == nil {
				if filepath.Dir(result.Path) != dir || result.Size != result.Offer.Size {
					t.Errorf("result %+v", result)
				}
				return
			}
			var transfer *TransferError
			if !errors.As(err, &transfer) || transfer.Stage != test.stage {
				t.Errorf("error %#v, want stage %q", err, test.stage)
			}
			// The connection is as good as before.
			client := server // the other direction
			if err := client.SendBinary(fileContext(t), []byte("still here"), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReceiveFileResult(t *testing.T) {
	_, server, near := filePair(t)
	dir := t.TempDir()
	start := strings.TrimSuffix(startABC, "}") + `,"session_id":"s","description":"d","mine":[1]}`
	play(t, near, sequence(start, abc()[1:], completeABC)...)
	var steps []FileProgress
	var offered FileOffer
	got, err := server.ReceiveFile(fileContext(t), dir, &ReceiveFileOptions{
		Progress: func(p FileProgress) { steps = append(steps, p) },
		Accept:   func(o FileOffer) error { offered = o; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Path != filepath.Join(dir, "f.txt") || got.Name != "f.txt" || got.Size != 7 || got.Chunks != 3 ||
		got.MD5 != md5ABC || got.SHA256 != shaABC || !got.Verified || got.Resumed != 0 {
		t.Errorf("result %+v", got)
	}
	if o := got.Offer; o.Name != "f.txt" || o.MIMEType != "text/plain" || o.SessionID != "s" || o.Description != "d" || o.ChunkSize != 3 || len(o.Extra) != 1 {
		t.Errorf("offer %+v", o)
	}
	if offered.Filename != "f.txt" || offered.Size != 7 {
		t.Errorf("asked to accept %+v", offered)
	}
	want := []FileProgress{
		{"f.txt", 0, 7, 0, 3, 0}, {"f.txt", 3, 7, 1, 3, 0}, {"f.txt", 6, 7, 2, 3, 0}, {"f.txt", 7, 7, 3, 3, 0},
	}
	if fmt.Sprint(steps) != fmt.Sprint(want) {
		t.Errorf("progress %v, want %v", steps, want)
	}
	info, err := os.Stat(got.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestReceiveFileRefused(t *testing.T) {
	_, server, near := filePair(t)
	dir, no := t.TempDir(), errors.New("no room for this")
	play(t, near, sequence(abc(), completeABC)...)
	play(t, near, textOf(heartbeatText))
	_, err := server.ReceiveFile(fileContext(t), dir, &ReceiveFileOptions{Accept: func(FileOffer) error { return no }})
	if !errors.Is(err, ErrRefused) || !errors.Is(err, no) {
		t.Fatalf("%v", err)
	}
	checkDir(t, dir, nil)
	// The chunks are still on their way and hurt nobody.
	if m, err := server.Receive(fileContext(t)); err != nil || m.ClientID != "d" {
		t.Fatalf("then %v, %v", m, err)
	}
}

// The rest of a file that failed on this side does not get into the next one.
func TestReceiveFileAfterFailure(t *testing.T) {
	_, server, near := filePair(t)
	ctx, dir := fileContext(t), t.TempDir()
	play(t, near, sequence(startABC, chunkFrames(0, "wrong"), chunkFrames(1, "def"), chunkFrames(2, "g"), completeABC)...)
	play(t, near, sequence(abc(), completeABC)...)
	if _, err := server.ReceiveFile(ctx, dir, nil); !errors.Is(err, ErrSize) {
		t.Fatal(err)
	}
	if _, err := server.ReceiveFile(ctx, dir, nil); err != nil {
		t.Fatal(err)
	}
	// A start in the middle of a file is the next one's.
	play(t, near, sequence(startABC, chunkFrames(0, "abc"), abc(), completeABC)...)
	if _, err := server.ReceiveFile(ctx, dir, nil); !errors.Is(err, ErrExists) {
		t.Fatal(err)
	}
	opts := &ReceiveFileOptions{Existing: ExistingReplaced}
	if _, err := server.ReceiveFile(ctx, dir, opts); err != nil {
		t.Fatal(err)
	}
	checkDir(t, dir, map[string]string{"f.txt": "abcdefg"})
}

// Messages between the chunks are for the next receives, in their order.
func TestReceiveFileBetweenMessages(t *testing.T) {
	_, server, near := filePair(t)
	ctx, dir := fileContext(t), t.TempDir()
	beat := func(id string) string { return `{"type":"heartbeat","status":"ok","client_id":"` + id + `"}` }
	play(t, near, sequence(startABC, beat("1"), chunkFrames(0, "abc"), beat("2"), `{"type":"binary_data","size":1}`, binaryOf("x"),
		chunkFrames(1, "def"), "rubbish", chunkFrames(2, "g"), completeABC, beat("3"))...)
	if _, err := server.ReceiveFile(ctx, dir, nil); err != nil {
		t.Fatal(err)
	}
	checkDir(t, dir, map[string]string{"f.txt": "abcdefg"})
	next := func() string {
		m, err := server.Receive(ctx)
		var invalid *MessageError
		switch {
		case errors.As(err, &invalid):
			return string(invalid.Data) + string(invalid.Binary)
		case err != nil:
			t.Fatal(err)
		}
		return m.ClientID
	}
	for _, want := range []string{"1", "2", `{"type":"binary_data","size":1}x`, "rubbish", "3"} {
		if got := next(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestReceiveFileBoundsWhatWaits(t *testing.T) {
	_, server, near := filePair(t)
	dir := t.TempDir()
	play(t, near, textOf(startABC))
	done := make(chan error, 1)
	go func() {
		_, err := server.ReceiveFile(fileContext(t), dir, nil)
		done <- err
	}()
	for range maxAside + 1 {
		play(t, near, textOf(heartbeatText))
	}
	if err := <-done; !errors.Is(err, ErrLimit) {
		t.Fatal(err)
	}
	for range maxAside + 1 {
		if _, err := server.Receive(fileContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	checkDir(t, dir, nil)
}

func TestReceiveFileOptions(t *testing.T) {
	_, server, _ := filePair(t)
	dir := t.TempDir()
	for _, test := range []struct {
		dir  string
		opts ReceiveFileOptions
		want error
	}{
		{dir, ReceiveFileOptions{Existing: 7}, ErrInvalidOptions},
		{dir, ReceiveFileOptions{Existing: -1}, ErrInvalidOptions},
		{dir, ReceiveFileOptions{Name: "../x"}, ErrUnsafeName},
		{dir, ReceiveFileOptions{Name: ".."}, ErrUnsafeName},
		{filepath.Join(dir, "absent"), ReceiveFileOptions{}, fs.ErrNotExist},
	} {
		_, err := server.ReceiveFile(fileContext(t), test.dir, &test.opts)
		var transfer *TransferError
		if !errors.Is(err, test.want) || !errors.As(err, &transfer) || transfer.Stage != StageOpen {
			t.Errorf("%+v: %v, want %v", test.opts, err, test.want)
		}
		if err := server.HandleFiles(test.dir, &test.opts, nil); !errors.Is(err, test.want) {
			t.Errorf("%+v: %v, want %v", test.opts, err, test.want)
		}
	}
}
