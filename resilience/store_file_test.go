package resilience

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// scriptedLog does some 30 operations and returns the file's bytes, how long it
// was after each operation (and before the first), and the state then.
func scriptedLog(t testing.TB) (log []byte, ends []int64, models []storeModel) {
	t.Helper()
	state := SessionState{Token: "token-1", Epoch: "epoch", Owner: "owner"}
	operations := []operation{opBegin(state)}
	for seq := uint64(1); seq <= 8; seq++ {
		k := KeptMessage{Seq: seq, Text: []byte(strings.Repeat("x", int(seq)))}
		if seq%3 == 0 {
			k.Binary = []byte{0, byte(seq)}
		}
		operations = append(operations, opAppend(k), opReceived(2*seq))
		if seq%2 == 0 {
			operations = append(operations, opRelease(seq-1))
		}
	}
	state.Token, state.PreviousToken, state.Sent, state.Received = "token-2", "token-1", 8, 17
	operations = append(operations, opSave(state), opRelease(8), opBegin(SessionState{Token: "token-3", Sent: 4}))
	for seq := uint64(5); seq <= 10; seq++ {
		operations = append(operations, opAppend(KeptMessage{Seq: seq, Text: []byte("later")}))
	}

	path := filepath.Join(t.TempDir(), "session")
	s := startStore(t, path, osDisk{}, compactSlack)
	var m storeModel
	ends, models = []int64{s.size}, []storeModel{{}}
	for _, o := range operations {
		mustDo(t, o.name, o.do(s))
		o.keep(&m)
		ends, models = append(ends, s.size), append(models, m.clone())
	}
	mustDo(t, "close", s.Close())
	log, err := os.ReadFile(path)
	mustDo(t, "read", err)
	if int64(len(log)) != ends[len(ends)-1] {
		t.Fatalf("the file has %d bytes, want %d", len(log), ends[len(ends)-1])
	}
	return log, ends, models
}

// lastWhole returns the index of the last operation that is within n bytes.
func lastWhole(ends []int64, n int64) int {
	last := 0
	for i, end := range ends {
		if end <= n {
			last = i
		}
	}
	return last
}

func TestFileStoreCutAnywhere(t *testing.T) {
	log, ends, models := scriptedLog(t)
	path := filepath.Join(t.TempDir(), "session")
	for n := range len(log) + 1 {
		mustDo(t, "write", os.WriteFile(path, log[:n], 0o600))
		last := lastWhole(ends, int64(n))
		core, logs := observer.New(zap.WarnLevel)
		s, err := NewFileStore(path, &FileStoreOptions{Logger: zap.New(core)})
		if err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		m := models[last].clone()
		checkStore(t, s, &m)
		whole := int64(n) == ends[last] || n == 0
		if logs.Len() == 0 != whole {
			t.Errorf("cut at %d: %d warnings", n, logs.Len())
		}
		for _, entry := range logs.All() {
			if fields := entry.ContextMap(); fields["path"] != path || fields["kept_bytes"].(int64)+fields["cut_bytes"].(int64) != int64(n) {
				t.Errorf("cut at %d: warned with %v", n, fields)
			}
		}

		next := opAppend(KeptMessage{Seq: m.state.Sent + 1, Text: []byte("next")})
		mustDo(t, next.name, next.do(s))
		next.keep(&m)
		mustDo(t, "close", s.Close())
		s, err = NewFileStore(path, nil)
		if err != nil {
			t.Fatalf("continued after a cut at %d: %v", n, err)
		}
		checkStore(t, s, &m)
		mustDo(t, "close", s.Close())
	}
}

func TestFileStoreDamagedAnywhere(t *testing.T) {
	log, ends, models := scriptedLog(t)
	path := filepath.Join(t.TempDir(), "session")
	for i := range log {
		for bit := range 8 {
			damaged := append([]byte(nil), log...)
			damaged[i] ^= 1 << bit
			var s memoryStore
			good, err := readLog(strings.NewReader(string(damaged)), int64(len(damaged)), &s)
			if i < len(fileHeader) {
				if !errors.Is(err, ErrStoreFormat) {
					t.Fatalf("byte %d, bit %d: %v, want ErrStoreFormat", i, bit, err)
				}
				continue
			}
			last := lastWhole(ends, int64(i))
			if err != nil || good != ends[last] {
				t.Fatalf("byte %d, bit %d: %d good bytes, %v, want %d", i, bit, good, err, ends[last])
			}
			checkStore(t, &s, &models[last])
		}
		damaged := append([]byte(nil), log...)
		damaged[i] = ^damaged[i]
		mustDo(t, "write", os.WriteFile(path, damaged, 0o600))
		s, err := NewFileStore(path, nil)
		if i < len(fileHeader) {
			wantStoreError(t, err, "open", path, ErrStoreFormat)
			wantContent(t, path, damaged)
			continue
		}
		if err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		checkStore(t, s, &models[lastWhole(ends, int64(i))])
		mustDo(t, "close", s.Close())
	}
}

// A machine that ends suddenly can leave zeros.
func TestFileStoreZerosAtEnd(t *testing.T) {
	log, _, models := scriptedLog(t)
	path := filepath.Join(t.TempDir(), "session")
	mustDo(t, "write", os.WriteFile(path, append(log, make([]byte, 4096)...), 0o600))
	s, err := NewFileStore(path, nil)
	mustDo(t, "open", err)
	checkStore(t, s, &models[len(models)-1])
	mustDo(t, "close", s.Close())
	wantContent(t, path, log)
}

func TestFileStoreContradictions(t *testing.T) {
	begin := appendState([]byte(fileHeader), recordBegin, &SessionState{Sent: 3, Received: 3})
	seal := func(body string) []byte {
		b, start := openRecord(nil, recordKind(body[0]))
		return sealRecord(append(b, body[1:]...), start)
	}
	number := strings.Repeat("\x00", 8)
	for name, record := range map[string][]byte{
		"gap":                 appendMessage(nil, &KeptMessage{Seq: 5}),
		"again":               appendMessage(nil, &KeptMessage{Seq: 3}),
		"release not sent":    appendNumber(nil, recordRelease, 4),
		"received less":       appendNumber(nil, recordReceived, 2),
		"sent less":           appendState(nil, recordSave, &SessionState{Sent: 2, Received: 3}),
		"no kind":             seal("\x00"),
		"unknown kind":        seal("\x06" + number),
		"short number":        seal("\x04" + number[1:]),
		"long number":         seal("\x05" + number + "x"),
		"no state":            seal("\x01"),
		"long text":           seal("\x03" + "\x04" + number[1:] + "\x02\x00\x00\x00x\x00"),
		"longest text":        seal("\x03" + "\x04" + number[1:] + "\xff\xff\xff\xffx\x00"),
		"no flag":             seal("\x03" + "\x04" + number[1:] + "\x01\x00\x00\x00x"),
		"unknown flag":        seal("\x03" + "\x04" + number[1:] + "\x01\x00\x00\x00x\x02"),
		"text after the text": seal("\x03" + "\x04" + number[1:] + "\x01\x00\x00\x00x\x00y"),
		"state too long":      seal("\x02" + strings.Repeat("\x00", 16) + "\x03" + number[1:] + "\x03" + number[1:] + "x"),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "session")
			content := append(append([]byte(nil), begin...), record...)
			mustDo(t, "write", os.WriteFile(path, content, 0o600))
			_, err := NewFileStore(path, nil)
			wantStoreError(t, err, "open", path, ErrStoreCorrupt)
			wantContent(t, path, content)
		})
	}
}

func TestFileStoreForeignFile(t *testing.T) {
	for name, content := range map[string]string{
		"text": "my only copy\n", "short": "x", "later version": fileHeader[:len(fileHeader)-1] + "\x02",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "session")
			mustDo(t, "write", os.WriteFile(path, []byte(content), 0o644))
			_, err := NewFileStore(path, nil)
			wantStoreError(t, err, "open", path, ErrStoreFormat)
			wantContent(t, path, []byte(content))
			if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o644 {
				t.Errorf("the file became %v, %v", info.Mode(), err)
			}
		})
	}
	t.Run("directory", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "directory")
		mustDo(t, "mkdir", os.Mkdir(path, 0o700))
		_, err := NewFileStore(path, nil)
		wantStoreError(t, err, "open", path, ErrStoreFormat)
	})
}

func TestFileStoreCannotOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "session")
	_, err := NewFileStore(path, nil)
	wantStoreError(t, err, "open", path, fs.ErrNotExist)
	if want := `resilience: session store "` + path + `": open: `; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%q does not start with %q", err, want)
	}
	if _, err := NewFileStore("", nil); !errors.Is(err, ErrInvalidOptions) {
		t.Errorf("no path: %v, want ErrInvalidOptions", err)
	}
}

func TestFileStoreForOwnerAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // it has no such modes
	}
	path := filepath.Join(t.TempDir(), "session")
	s := startStore(t, path, osDisk{}, 0)
	check := func() {
		t.Helper()
		for _, name := range []string{path, path + ".lock"} {
			info, err := os.Stat(name)
			mustDo(t, "stat", err)
			if info.Mode() != storeFileMode {
				t.Errorf("%s has the mode %v", name, info.Mode())
			}
		}
	}
	check()
	for range 5 {
		mustDo(t, "begin", s.Begin(SessionState{Token: "secret"}))
	}
	if s.size != s.live {
		t.Fatalf("%d bytes, %d live: it was not compacted", s.size, s.live)
	}
	check()
	mustDo(t, "close", s.Close())
	mustDo(t, "chmod", os.Chmod(path, 0o644))
	s = startStore(t, path, osDisk{}, 0)
	check()
	mustDo(t, "close", s.Close())
}

func TestFileStoreClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session")
	s, err := NewFileStore(path, nil)
	mustDo(t, "open", err)
	mustDo(t, "close", s.Close())
	mustDo(t, "close", s.Close())
	_, _, err = s.Load()
	wantStoreError(t, err, "load", path, ErrStoreClosed)
	wantStoreError(t, s.Begin(SessionState{}), "begin", path, ErrStoreClosed)
	wantStoreError(t, s.Save(SessionState{}), "save", path, ErrStoreClosed)
	wantStoreError(t, s.Received(1), "received", path, ErrStoreClosed)
	wantStoreError(t, s.Append(KeptMessage{Seq: 1}), "append", path, ErrStoreClosed)
	wantStoreError(t, s.Release(0), "release", path, ErrStoreClosed)
}

func TestFileStoreTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session")
	s := startStore(t, path, osDisk{}, compactSlack)
	s.limit = 100
	wantStoreError(t, s.Append(KeptMessage{Seq: 1, Text: make([]byte, 87)}), "append", path, ErrStoreTooLarge)
	wantStoreError(t, s.Begin(SessionState{Owner: strings.Repeat("x", 100)}), "begin", path, ErrStoreTooLarge)
	mustDo(t, "append", s.Append(KeptMessage{Seq: 1, Text: make([]byte, 86)}))
	mustDo(t, "close", s.Close())
	s = startStore(t, path, osDisk{}, compactSlack)
	checkStore(t, s, &storeModel{SessionState{Sent: 1}, []KeptMessage{{Seq: 1, Text: make([]byte, 86)}}})
	mustDo(t, "close", s.Close())
}

// The file has at most twice the size of what is kept, or that plus the slack.
func TestFileStoreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session")
	s, err := NewFileStore(path, nil)
	mustDo(t, "open", err)
	text := make([]byte, 4<<10)
	var largest int64
	for seq := uint64(1); seq <= 4000; seq++ {
		mustDo(t, "append", s.Append(KeptMessage{Seq: seq, Text: text}))
		mustDo(t, "received", s.Received(seq))
		if seq > 400 {
			mustDo(t, "release", s.Release(seq-400))
		}
		info, err := os.Stat(path)
		mustDo(t, "stat", err)
		live := int64(min(seq, 400)) * int64(len(text)+50)
		if bound := max(2*live, live+compactSlack) + 1024; info.Size() > bound {
			t.Fatalf("after message %d the file has %d bytes, bound %d", seq, info.Size(), bound)
		}
		largest = max(largest, info.Size())
	}
	if largest < 2<<20 {
		t.Errorf("the file never had more than %d bytes", largest)
	}
	mustDo(t, "close", s.Close())
}

// A temporary file that a crash left goes, for it holds a credential.
func TestFileStoreLeftover(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session")
	mustDo(t, "write", os.WriteFile(path+".tmp", []byte("half"), 0o600))
	s := startStore(t, path, osDisk{}, 0)
	if _, err := os.Stat(path + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary file is still there: %v", err)
	}
	mustDo(t, "close", s.Close())
}

func wantStoreError(t *testing.T, err error, op, path string, cause error) {
	t.Helper()
	var storeErr *StoreError
	if !errors.As(err, &storeErr) || !errors.Is(err, cause) || storeErr.Op != op || storeErr.Path != path {
		t.Errorf("%v, want a StoreError of %s with %v", err, op, cause)
	}
}

func wantContent(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	mustDo(t, "read", err)
	if string(got) != string(want) {
		t.Errorf("the file became %q, want %q", got, want)
	}
}
