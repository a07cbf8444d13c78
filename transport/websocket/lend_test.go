package websocket_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// Protects: the memory of a program that borrows messages: however many come and
// however long it looks at one, little is read ahead, and it is memory that is
// used again.
func TestBorrowedMemory(t *testing.T) {
	const messages = 200
	for _, size := range []int{64 << 10, 128 << 10} {
		eachEngine(t, func(t *testing.T, engine websocket.Engine) {
			full := make(chan transport.Backlog, 1)
			opts := &websocket.Options{Engine: engine, Hooks: websocket.Hooks{ReceiveQueueFull: func(b transport.Backlog) {
				select {
				case full <- b:
				default:
				}
			}}}
			_, client, server := pair(t, &websocket.Options{Engine: engine}, opts)
			sent := make(chan error, 1)
			frame := transport.Frame{Kind: transport.Binary, Data: numbered(1, size)}
			go func() {
				for range messages {
					if err := client.SendFrames(t.Context(), frame); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for i := range messages {
				if err := server.Borrow(t.Context(), func(f transport.Frame) error {
					if len(f.Data) != size {
						t.Errorf("borrowed %d bytes", len(f.Data))
					}
					if i == 3 {
						if b := <-full; b.ReceiveBytes > 128<<10 {
							t.Errorf("%d messages of %d KiB, %d bytes, are read ahead", b.ReceiveMessages, size>>10, b.ReceiveBytes)
						}
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
			runtime.ReadMemStats(&after)
			if err := <-sent; err != nil {
				t.Errorf("SendFrames: %v", err)
			}
			// The network in memory copies what goes over it, once, and under the race
			// detector pools lose some of what they are given.
			if got, most := after.TotalAlloc-before.TotalAlloc, uint64(messages*size*5/4); got > most && !raceDetector {
				t.Errorf("%d bytes were allocated for %d messages of %d", got, messages, size)
			}
		})
	}
}

// Protects: large binary messages of a program that owns what it receives: all
// of them are its, and only until it has received one are they read to be lent.
func TestOwnedAfterAll(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine}
		_, client, server := pair(t, opts, opts)
		var all [][]byte
		for i := range 6 {
			if err := client.SendFrames(t.Context(), transport.Frame{Kind: transport.Binary, Data: numbered(i, 100_000)}); err != nil {
				t.Fatal(err)
			}
			got, err := server.ReceiveFrame(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, got.Data)
		}
		for i, got := range all {
			if want := numbered(i, 100_000); string(got) != string(want) {
				t.Errorf("message %d is %d bytes %.8x", i, len(got), got)
			}
		}
	})
}

// Protects: streams: who receives one has its first piece while the rest is still
// to be sent, also when the message began to be read before it was known how it
// would be received.
func TestStreamAfterBorrow(t *testing.T) {
	for _, borrowed := range []bool{false, true} {
		eachEngine(t, func(t *testing.T, engine websocket.Engine) {
			opts := &websocket.Options{Engine: engine}
			_, client, server := pair(t, opts, opts)
			if borrowed {
				if err := client.Send(t.Context(), []byte("{}")); err != nil {
					t.Fatal(err)
				}
				if err := server.Borrow(t.Context(), func(transport.Frame) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
			source, rest := io.Pipe()
			sent := make(chan error, 1)
			go func() { sent <- client.SendStream(t.Context(), transport.Binary, source) }()
			want := numbered(1, 200_000)
			if _, err := rest.Write(want[:70_000]); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // The receiver has read the first piece.
			_, message, err := server.ReceiveStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(message, got[:64<<10]); err != nil {
				t.Fatal(err)
			}
			if _, err := rest.Write(want[70_000:]); err != nil {
				t.Fatal(err)
			}
			if err := rest.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(message, got[64<<10:]); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes %.8x, %v", len(got), got, err)
			}
			if n, err := message.Read(got); n != 0 || err != io.EOF {
				t.Errorf("at the end: %d, %v", n, err)
			}
			if err := <-sent; err != nil {
				t.Errorf("SendStream: %v", err)
			}
		})
	}
}
