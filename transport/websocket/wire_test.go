package websocket_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
	"github.com/aip-go/aip/transport/websocket"
)

// acceptKey is the server's answer to a client's key (RFC 6455 section 1.3).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// recorded returns the frames that were written in a direction, after the
// handshake.
func recorded(t testing.TB, link *transporttest.Link, d transporttest.Direction) []rawFrame {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(link.Recorded(d)))
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("no handshake %s: %v", d, err)
		}
		if strings.TrimSpace(line) == "" {
			return framesIn(t, r)
		}
	}
}

// checkClose checks that a side sent one close frame, with this code, and
// nothing after it.
func checkClose(t testing.TB, link *transporttest.Link, d transporttest.Direction, codes ...int) {
	t.Helper()
	frames := recorded(t, link, d)
	for i, f := range frames {
		if f.opcode != opClose {
			continue
		}
		if i != len(frames)-1 {
			t.Errorf("%s: %d frames after the close frame, the first with opcode %x", d, len(frames)-1-i, frames[i+1].opcode)
		}
		code := int(f.payload[0])<<8 | int(f.payload[1])
		for _, want := range codes {
			if code == want {
				return
			}
		}
		t.Errorf("%s: closed with %d, want one of %v", d, code, codes)
		return
	}
	t.Errorf("%s: no close frame among %d", d, len(frames))
}

// Protects: exactly one close frame per side and nothing after it, whatever is
// going on.
func TestOneCloseFrame(t *testing.T) {
	scenes := map[string]struct {
		before func(t *testing.T, near, far *websocket.Transport, wg *sync.WaitGroup)
		both   bool
	}{
		"idle":              {before: func(*testing.T, *websocket.Transport, *websocket.Transport, *sync.WaitGroup) {}},
		"both sides":        {before: func(*testing.T, *websocket.Transport, *websocket.Transport, *sync.WaitGroup) {}, both: true},
		"while sending":     {before: busy(100)},
		"while sending big": {before: busy(200 << 10)},
		"both, sending":     {before: busy(100), both: true},
		"both, sending big": {before: busy(200 << 10), both: true},
	}
	for scene, s := range scenes {
		for _, side := range []string{"client", "server"} {
			t.Run(scene+"/"+side, func(t *testing.T) {
				eachEngine(t, func(t *testing.T, engine websocket.Engine) {
					opts := &websocket.Options{Engine: engine}
					p := newPlace(t, opts)
					p.network.Apply(func(l *transporttest.Link) { l.Record() })
					near := p.client(opts)
					if err := near.Connect(t.Context(), "ws://server/ws"); err != nil {
						t.Fatal(err)
					}
					accepted, err := p.accept(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					far := accepted.(*websocket.Transport)
					if side == "server" {
						near, far = far, near
					}
					var wg sync.WaitGroup
					s.before(t, near, far, &wg)
					if s.both {
						wg.Go(func() { closeAll(t, far) })
					}
					if err := near.CloseWith(transport.StatusGoingAway, "bye"); err != nil {
						t.Errorf("CloseWith: %v", err)
					}
					closeAll(t, far)
					wg.Wait()
					for _, d := range transporttest.Directions {
						checkClose(t, p.link(), d, 1000, 1001)
					}
				})
			})
		}
	}
}

// busy has both sides send messages of a size from many goroutines, and
// receive, until they are closed.
func busy(size int) func(*testing.T, *websocket.Transport, *websocket.Transport, *sync.WaitGroup) {
	return func(t *testing.T, near, far *websocket.Transport, wg *sync.WaitGroup) {
		message := []byte(strings.Repeat("x", size))
		var underway sync.WaitGroup
		underway.Add(2)
		for _, at := range []*websocket.Transport{near, far} {
			for i := range 8 {
				ctx, cancel := context.Background(), func() {}
				if i%2 == 0 {
					ctx, cancel = context.WithCancel(ctx)
				}
				wg.Go(func() {
					defer cancel()
					for at.Send(ctx, message) == nil {
					}
				})
			}
			wg.Go(func() {
				for i := 0; ; i++ {
					got, err := at.Receive(context.Background())
					if err != nil {
						return
					}
					if len(got) != size {
						t.Errorf("received %d bytes of %d", len(got), size)
					}
					if i == 3 {
						underway.Done()
					}
				}
			})
		}
		underway.Wait()
	}
}

// Protects: what the peer's library cannot know from the byte stream: a message
// that the loss of the connection cut off is not delivered as a whole one.
func TestCutMessage(t *testing.T) {
	for _, compressed := range []bool{false, true} {
		t.Run(fmt.Sprintf("compressed=%v", compressed), func(t *testing.T) {
			eachEngine(t, func(t *testing.T, engine websocket.Engine) {
				p := newPlace(t, &websocket.Options{Engine: engine, Compression: compressed})
				client := p.rawClient(t)
				server, err := p.accept(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				client.send(rawFrame{opcode: opText, payload: []byte("beginning")})
				synctest.Wait()
				if err := client.Close(); err != nil {
					t.Fatal(err)
				}
				got, err := server.Receive(t.Context())
				if err == nil {
					t.Fatalf("received %q", got)
				}
				is(t, "Receive", err, io.ErrUnexpectedEOF)
				if err := server.WaitClosed(t.Context()); err == nil {
					t.Error("WaitClosed: nil after a loss")
				}
			})
		})
	}
}
