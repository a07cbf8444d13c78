package protocol

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/aip-go/aip/transport"
)

// filePair returns both ends of a connection in memory, and the transport of
// the client for tests that play the reference. That of the server lends its
// messages.
func filePair(t testing.TB) (*Client, *Server, *transport.Memory) {
	t.Helper()
	near, far := transport.NewPair(nil)
	client, err := NewClient(near, nil)
	if err != nil {
		t.Fatal(err)
	}
	server, err := NewServer(&lending{Memory: far}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := near.Close(); err != nil {
			t.Error(err)
		}
		if err := far.Close(); err != nil {
			t.Error(err)
		}
	})
	return client, server, near
}

// fileContext returns a context that ends a stuck test.
func fileContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func textOf(s string) transport.Frame {
	return transport.Frame{Kind: transport.Text, Data: []byte(s)}
}

func binaryOf(s string) transport.Frame {
	return transport.Frame{Kind: transport.Binary, Data: []byte(s)}
}

// play sends frames as they are.
func play(t testing.TB, to *transport.Memory, frames ...transport.Frame) {
	t.Helper()
	for _, frame := range frames {
		if err := to.SendFrames(fileContext(t), frame); err != nil {
			t.Fatal(err)
		}
	}
}

// record returns the next n frames as lines, each with T or B before it and
// with timestamps made equal.
func record(t testing.TB, from *transport.Memory, n int) []string {
	t.Helper()
	lines := make([]string, n)
	for i := range lines {
		frame, err := from.ReceiveFrame(fileContext(t))
		if err != nil {
			t.Fatal(err)
		}
		kind := "T "
		if frame.Kind == transport.Binary {
			kind = "B "
		}
		lines[i] = kind + timestamps.ReplaceAllString(string(frame.Data), `"timestamp": "…"`)
	}
	return lines
}

var timestamps = regexp.MustCompile(`"timestamp": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"`)

// checkDir checks that the directory holds exactly these files.
func checkDir(t testing.TB, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		content, ok := want[entry.Name()]
		if !ok {
			t.Errorf("%q is in the directory", entry.Name())
			continue
		}
		got, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil || string(got) != content {
			t.Errorf("%q holds %.60q, %v; want %.60q", entry.Name(), got, err, content)
		}
	}
	if len(entries) != len(want) {
		t.Errorf("%d entries in the directory, want %d", len(entries), len(want))
	}
}

// partials returns the lengths of what is kept for a resume.
func partials(t testing.TB, dir string) []int64 {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, partialDir))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var lengths []int64
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		lengths = append(lengths, info.Size())
	}
	return lengths
}

// patterned returns n bytes that differ from place to place.
func patterned(n int) []byte {
	b := bytes.Repeat([]byte{0}, n)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i)*31
	}
	return b
}
