package resilience

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestFileStoreInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session")
	s, err := NewFileStore(path, nil)
	mustDo(t, "open", err)
	mustDo(t, "append", s.Append(KeptMessage{Seq: 1, Text: []byte("one")}))
	_, err = NewFileStore(path, nil)
	wantStoreError(t, err, "open", path, ErrStoreInUse)
	mustDo(t, "append", s.Append(KeptMessage{Seq: 2, Text: []byte("two")}))
	mustDo(t, "close", s.Close())
	s, err = NewFileStore(path, nil)
	mustDo(t, "open", err)
	checkStore(t, s, &storeModel{SessionState{Sent: 2}, []KeptMessage{{Seq: 1, Text: []byte("one")}, {Seq: 2, Text: []byte("two")}}})
	mustDo(t, "close", s.Close())
}

// childVariable has the path for the process that the test starts and kills.
const childVariable = "AIP_TEST_STORE"

// A store that a process holds is refused to another one, and what the process
// has kept is there when it was killed.
func TestFileStoreSurvivesKill(t *testing.T) {
	if path := os.Getenv(childVariable); path != "" {
		keepUntilKilled(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "session")
	child := exec.Command(os.Args[0], "-test.run=^TestFileStoreSurvivesKill$")
	child.Env = append(os.Environ(), childVariable+"="+path)
	_, err := child.StdinPipe() // stays open until Wait
	mustDo(t, "pipe", err)
	stdout, err := child.StdoutPipe()
	mustDo(t, "pipe", err)
	mustDo(t, "start", child.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "kept\n" {
		t.Errorf("the process wrote %q, %v", line, err)
	}
	_, err = NewFileStore(path, nil)
	wantStoreError(t, err, "open", path, ErrStoreInUse)
	mustDo(t, "kill", child.Process.Kill())
	_ = child.Wait() // it was killed

	s, err := NewFileStore(path, nil)
	mustDo(t, "open", err)
	want := storeModel{state: SessionState{Token: "t", Sent: 100, Received: 50}}
	for seq := uint64(91); seq <= 100; seq++ {
		want.kept = append(want.kept, KeptMessage{Seq: seq, Text: fmt.Append(nil, seq)})
	}
	checkStore(t, s, &want)
	mustDo(t, "close", s.Close())
}

// keepUntilKilled is what the other process does.
func keepUntilKilled(t *testing.T, path string) {
	s, err := NewFileStore(path, nil)
	mustDo(t, "open", err)
	mustDo(t, "begin", s.Begin(SessionState{Token: "t"}))
	for seq := uint64(1); seq <= 100; seq++ {
		mustDo(t, "append", s.Append(KeptMessage{Seq: seq, Text: fmt.Append(nil, seq)}))
	}
	mustDo(t, "release", s.Release(90))
	mustDo(t, "received", s.Received(50))
	fmt.Println("kept")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed
}
