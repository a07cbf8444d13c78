package websocket_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// FuzzSameAsEngine sends a server frames of any kind, right and wrong, up to a
// point. What it receives, answers and makes of the end is what it does where
// the engine reads all frames.
func FuzzSameAsEngine(f *testing.F) {
	f.Add([]byte{0, 5, 0, 1, 200, 2, 6, 3, 0, 2, 255, 1, 8, 0, 0}, []byte{1, 2, 3}, uint16(0))
	f.Add([]byte{4, 100, 1, 7, 9, 0, 5, 50, 0, 6, 0, 0, 3, 0, 0, 2, 0, 0, 4, 77, 1}, []byte{255}, uint16(3))
	f.Add([]byte{0, 9, 32, 0, 9, 0}, []byte{}, uint16(0))
	f.Add([]byte{6, 125, 0, 6, 126, 0}, []byte{0}, uint16(0))
	f.Add([]byte{0, 9, 4, 0, 9, 20}, []byte{}, uint16(0))
	f.Add([]byte{8, 64, 64}, []byte{}, uint16(0))
	f.Add([]byte{0xC1, 4, 128, 0x8B, 3, 128}, []byte{}, uint16(1))
	f.Add([]byte{9, 200, 0, 1, 70, 1, 9, 255, 0, 2, 200, 1, 9, 255, 64, 9, 201, 32, 0, 5, 0}, []byte{9}, uint16(0))
	f.Fuzz(func(t *testing.T, script, pieces []byte, cut uint16) {
		script, pieces = bytes.Clone(script[:min(len(script), 60)]), pieces[:min(len(pieces), 50)]
		if cut > 0 {
			for i := range script {
				script[i] &^= badLength // The engines differ in whether they mind half of such a header.
			}
		}
		wire := scribble(script)
		wire = wire[:max(0, len(wire)-int(cut))]
		for name, engine := range engines {
			synctest.Test(t, func(t *testing.T) {
				got := sequel(t, &websocket.Options{Engine: engine, ReadLimit: -1, PingInterval: -1}, wire, pieces)
				// A client that cannot decompress gets frames as they are, from the engine.
				want := sequel(t, &websocket.Options{Engine: engine, ReadLimit: -1, PingInterval: -1, Compression: true}, wire, pieces)
				if !slices.Equal(got, want) {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			})
		}
	})
}

// badLength is set for a frame whose length is negative.
const badLength = 16

// scribble returns frames as a script has them, three bytes for each.
func scribble(script []byte) (wire []byte) {
	firsts := []byte{0x81, 0x01, 0x80, 0x00, 0x82, 0x02, 0x89, 0x8A, 0x88, 0x8A}
	for ; len(script) >= 3; script = script[3:] {
		first, size, how := script[0], int(script[1]), script[2]
		hints := false
		if how&128 == 0 {
			hints = int(first)%len(firsts) == len(firsts)-1
			first = firsts[int(first)%len(firsts)]
		}
		if how&1 != 0 {
			size *= 1000
		}
		payload := bytes.Repeat([]byte("a€"), size)[:size]
		if hints {
			payload = hint(size * 10_000).payload
			size = len(payload)
		}
		if how&32 != 0 && size > 0 {
			payload[size/2] = 0xFF
		}
		if how&64 != 0 {
			payload = append([]byte{3, byte(size)}, payload...)
		}
		if first&0x0F == opClose && len(payload) > 2 { // The engines do not mind what is no text.
			payload = append(payload[:2:2], bytes.ToValidUTF8(payload[2:], nil)...)
		}
		frame := rawFrame{fin: first&0x80 != 0, opcode: first & 0x7F, payload: payload}.bytes(how&8 == 0)
		if mask := frame[1] & 0x80; how&6 != 0 && len(payload) < 126 {
			long := []byte{frame[0], mask | 126, 0, byte(len(payload))}
			if how&4 != 0 {
				long = binary.BigEndian.AppendUint64([]byte{frame[0], mask | 127}, uint64(how&badLength)<<59|uint64(len(payload)))
			}
			frame = append(long, frame[2:]...)
		}
		wire = append(wire, frame...)
	}
	return wire
}

// sequel sends the bytes to a server and returns what comes of it.
func sequel(t *testing.T, opts *websocket.Options, wire, pieces []byte) (all []string) {
	p := newPlace(t, opts)
	client := p.rawClient(t)
	accepted, err := p.accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server := accepted.(*websocket.Transport)
	answers := make(chan []rawFrame, 1)
	go func() { answers <- client.rest() }()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := 0; len(wire) > 0; i++ {
			n := len(wire)
			if i < len(pieces) {
				n = min(int(pieces[i])+1, n)
			}
			if _, err := client.Write(wire[:n]); err != nil {
				break // The server has closed.
			}
			wire = wire[n:]
		}
		synctest.Wait()
		_ = client.Close() // As above.
	}()
	for err == nil {
		var got transport.Frame
		if got, err = server.ReceiveFrame(t.Context()); err == nil {
			all = append(all, fmt.Sprintf("%s %d %.20x", got.Kind, len(got.Data), got.Data))
		}
	}
	var end *transport.CloseError
	if !errors.As(err, &end) {
		t.Fatalf("ReceiveFrame: %v", err)
	}
	all = append(all, fmt.Sprint("end ", end.Code, end.Reason, end.Remote, errors.Is(err, websocket.ErrProtocol)))
	_ = server.WaitClosed(t.Context()) // It is the same end.
	<-sent
	for _, f := range <-answers {
		if f.opcode == opClose {
			f.payload = f.payload[:min(len(f.payload), 2)] // The engines give reasons of their own.
		}
		all = append(all, fmt.Sprintf("answer %x %x", f.opcode, f.payload))
	}
	return all
}
