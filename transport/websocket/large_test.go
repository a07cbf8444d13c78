package websocket_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// numbered returns a message of that size which no other number has.
func numbered(n, size int) []byte {
	return bytes.Repeat(binary.BigEndian.AppendUint32(nil, uint32(n)), size/4+1)[:size]
}

// largeSizes change such that what the message before had room for is too
// much, too little, and just right.
var largeSizes = []int{
	300_000, 300_000, 300_001, 299_999, 65_536, 65_537, 131_072, 1 << 20, 1 << 20, 1<<20 + 65_536, 1<<20 + 65_537,
	3 << 20, 70_000, 70_000, 10, 900_000, 0, 900_000, 2 << 20,
}

// Protects: messages that were received: each is the caller's, and stays what it
// was whatever comes after it.
func TestLargeMessagesStay(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine, MaxMessageSize: 8 << 20}
		_, client, server := pair(t, opts, opts)
		for _, way := range [][2]*websocket.Transport{{client, server}, {server, client}} {
			from, to := way[0], way[1]
			var wg sync.WaitGroup
			wg.Go(func() {
				for i, size := range largeSizes {
					frame := transport.Frame{Kind: transport.Binary, Data: numbered(i, size)}
					if err := from.SendFrames(t.Context(), frame); err != nil {
						t.Errorf("SendFrames: %v", err)
					}
				}
			})
			var all [][]byte
			for range largeSizes {
				got, err := to.ReceiveFrame(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, got.Data)
			}
			wg.Wait()
			for i, got := range all {
				if !bytes.Equal(got, numbered(i, largeSizes[i])) {
					t.Errorf("message %d of %d bytes is %d bytes %.8x", i, largeSizes[i], len(got), got)
				}
				if cap(got) > 2*len(got)+8 {
					t.Errorf("message %d of %d bytes holds %d", i, len(got), cap(got))
				}
				clear(got[:cap(got)])
			}
		}
	})
}

// Protects: messages that were received, from those that are lent: memory that
// is used again is never memory that was given away.
func TestBorrow(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine, MaxMessageSize: 8 << 20}
		_, client, server := pair(t, opts, opts)
		var wg sync.WaitGroup
		const rounds = 3
		sizes := append([]int{5_000, 4_096, 4_095, 65_535}, largeSizes...)
		wg.Go(func() {
			for i := range rounds * len(sizes) {
				frame := transport.Frame{Kind: transport.Binary, Data: numbered(i, sizes[i%len(sizes)])}
				if err := client.SendFrames(t.Context(), frame); err != nil {
					t.Errorf("SendFrames: %v", err)
				}
			}
		})
		given := map[int][]byte{}
		mine := errors.New("mine")
		for i := range rounds * len(sizes) {
			want := numbered(i, sizes[i%len(sizes)])
			switch i % 4 {
			case 0:
				got, err := server.ReceiveFrame(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				given[i] = got.Data
			case 1:
				_, r, err := server.ReceiveStream(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if given[i], err = io.ReadAll(r); err != nil {
					t.Fatal(err)
				}
			default:
				if err := server.Borrow(t.Context(), func(f transport.Frame) error {
					if f.Kind != transport.Binary || !bytes.Equal(f.Data, want) {
						t.Errorf("borrowed %d bytes %.8x, want %d bytes %.8x", len(f.Data), f.Data, len(want), want)
					}
					clear(f.Data)
					return mine
				}); err != mine {
					t.Fatalf("Borrow: %v", err)
				}
			}
		}
		wg.Wait()
		for i, got := range given {
			if want := numbered(i, sizes[i%len(sizes)]); !bytes.Equal(got, want) {
				t.Errorf("message %d is %d bytes %.8x, want %d bytes %.8x", i, len(got), got, len(want), want)
			}
		}
		impatient, cancel := context.WithCancel(t.Context())
		cancel()
		unused := func(transport.Frame) error { t.Error("used"); return nil }
		is(t, "Borrow", server.Borrow(impatient, unused), context.Canceled)
		closeAll(t, client)
		if err := server.WaitClosed(t.Context()); err != nil {
			t.Errorf("WaitClosed: %v", err)
		}
		closedWith(t, "Borrow", server.Borrow(t.Context(), unused), transport.StatusNormal, true)
		is(t, "Borrow", websocket.New(nil).Borrow(t.Context(), unused), transport.ErrNotConnected)
	})
}

// Protects: a message in one frame, however large, of other programs: it is
// received whole, as a stream, and after a receive that was given up half-way.
func TestLargeFrames(t *testing.T) {
	for _, size := range []int{65_535, 65_536, 65_537, 300_000, 1<<20 + 65_537, 3 << 20} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t, nil)
			client := p.rawClient(t)
			accepted, err := p.accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			server := accepted.(*websocket.Transport)
			var wg sync.WaitGroup
			halves := make(chan struct{})
			wg.Go(func() {
				for i := range 2 {
					client.write(rawFrame{fin: true, opcode: opBinary, payload: numbered(i, size)}.bytes(true))
				}
				half := rawFrame{fin: true, opcode: opBinary, payload: numbered(2, size)}.bytes(true)
				client.write(half[:size/2])
				<-halves
				client.write(half[size/2:])
			})
			got, err := server.ReceiveFrame(t.Context())
			if err != nil || !bytes.Equal(got.Data, numbered(0, size)) {
				t.Errorf("ReceiveFrame of %d bytes: %d, %v", size, len(got.Data), err)
			}
			_, r, err := server.ReceiveStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if data, err := io.ReadAll(r); err != nil || !bytes.Equal(data, numbered(1, size)) {
				t.Errorf("the stream of %d bytes has %d, %v", size, len(data), err)
			}
			impatient, cancel := context.WithCancel(t.Context())
			wg.Go(func() {
				synctest.Wait()
				cancel()
			})
			if _, err := server.ReceiveFrame(impatient); err != context.Canceled {
				is(t, "ReceiveFrame", err, context.Canceled)
			}
			close(halves)
			got, err = server.ReceiveFrame(t.Context())
			if err != nil || !bytes.Equal(got.Data, numbered(2, size)) {
				t.Errorf("ReceiveFrame of %d bytes after one that was cancelled: %d, %v", size, len(got.Data), err)
			}
			wg.Wait()
			closing := make(chan struct{})
			go func() { defer close(closing); closeAll(t, server) }()
			client.rest()
			if err := client.Close(); err != nil {
				t.Error(err)
			}
			<-closing
		})
	}
}

// Protects: memory, and the program, from a peer that announces much and sends
// little.
func TestAnnouncedSize(t *testing.T) {
	for _, size := range []uint64{90 << 20, 1 << 40, 1<<63 - 1} {
		eachEngine(t, func(t *testing.T, engine websocket.Engine) {
			opts := &websocket.Options{Engine: engine}
			if size > 1<<30 {
				opts.ReadLimit = -1
			}
			p := newPlace(t, opts)
			client := p.rawClient(t)
			server, err := p.accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			frame := binary.BigEndian.AppendUint64([]byte{0x80 | opBinary, 0x80 | 127}, size)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			go func() {
				client.write(append(frame, make([]byte, 200_000)...))
				if err := client.Close(); err != nil {
					t.Error(err)
				}
			}()
			_, err = server.Receive(t.Context())
			runtime.ReadMemStats(&after)
			is(t, "Receive", err, io.ErrUnexpectedEOF)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
				t.Errorf("a message of %d bytes that was announced took %d bytes", size, grown)
			}
		})
	}
}
