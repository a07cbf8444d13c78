package protocol

import (
	"context"
	"io"
	"os"
	"runtime"
	"testing"
)

// endless yields n bytes that it does not hold.
type endless struct{ n int64 }

var endlessPattern = patterned(64 << 10)

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), e.n)], endlessPattern)
	e.n -= int64(n)
	return n, nil
}

// transferEndless sends size bytes from one end to the other.
func transferEndless(t testing.TB, client *Client, server *Server, dir string, size int64, progress func(FileProgress)) {
	ctx := context.Background()
	sent := make(chan error, 1)
	go func() {
		_, err := client.SendFileFrom(ctx, &endless{size}, "f.bin", size, nil)
		sent <- err
	}()
	result, err := server.ReceiveFile(ctx, dir, &ReceiveFileOptions{Progress: progress})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(result.Path); err != nil {
		t.Fatal(err)
	}
}

// A large file passes through little memory, also when each chunk is copied on its
// way: the queue between both sides holds 1 MiB of them, and the collector may let
// a multiple of that stand for a while, but nothing near the 100 MiB of the file.
// TestFileGarbage is about transports that copy nothing.
func TestFileMemory(t *testing.T) {
	const size, limit = 100 << 20, 40 << 20
	client, server, _ := filePair(t)
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	before, most := stats.HeapAlloc, uint64(0)
	transferEndless(t, client, server, t.TempDir(), size, func(p FileProgress) {
		if p.Chunks%4 == 0 {
			runtime.ReadMemStats(&stats)
			most = max(most, stats.HeapAlloc)
		}
	})
	if most > before+limit {
		t.Errorf("up to %d MiB more in use during the transfer of %d MiB", (most-before)>>20, size>>20)
	}
}

func BenchmarkFile(b *testing.B) {
	const size = 16 << 20
	client, server, _ := filePair(b)
	dir := b.TempDir()
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		transferEndless(b, client, server, dir, size, nil)
	}
}

func BenchmarkBinary(b *testing.B) {
	client, server, _ := filePair(b)
	ctx, data := context.Background(), make([]byte, 64<<10)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := client.SendBinary(ctx, data, nil); err != nil {
			b.Fatal(err)
		}
		if _, err := server.ReceiveBinary(ctx, nil); err != nil {
			b.Fatal(err)
		}
	}
}
