package websocket_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// FuzzSplit sends a server the bytes of messages, pings and pongs in any pieces
// and checks that it receives the messages and answers the pings.
func FuzzSplit(f *testing.F) {
	f.Add([]byte{4, 1, 200, 3, 9, 6}, []byte{1, 2, 3})
	f.Add([]byte{255, 254, 253, 252}, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{2, 6, 10, 14, 3}, []byte{100})
	f.Fuzz(func(t *testing.T, script, pieces []byte) {
		// More of it only takes longer.
		script, pieces = script[:min(len(script), 50)], pieces[:min(len(pieces), 200)]
		for _, engine := range engines {
			synctest.Test(t, func(t *testing.T) { split(t, engine, script, pieces) })
		}
	})
}

func split(t *testing.T, engine websocket.Engine, script, pieces []byte) {
	p := newPlace(t, &websocket.Options{Engine: engine, PingInterval: -1})
	client := p.rawClient(t)
	server, err := p.accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stream, messages, pings := play(script)
	stream = append(stream, closeFrame(1000, "").bytes(true)...)

	answers := make(chan [][]byte, 1)
	go func() {
		var pongs [][]byte
		for _, f := range client.rest() {
			if f.opcode == opPong {
				pongs = append(pongs, f.payload)
			}
		}
		answers <- pongs
	}()
	for i := 0; len(stream) > 0; i++ {
		n := len(stream)
		if i < len(pieces) {
			n = min(int(pieces[i])+1, n)
		}
		client.write(stream[:n])
		stream = stream[n:]
		synctest.Wait()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, want := range messages {
		got, err := server.(*websocket.Transport).ReceiveFrame(ctx)
		if err != nil || got.Kind != want.Kind || !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("received %s %.40x, %v; want %s %.40x", got.Kind, got.Data, err, want.Kind, want.Data)
		}
	}
	if err := server.WaitClosed(ctx); err != nil {
		t.Errorf("WaitClosed: %v", err)
	}
	got := <-answers
	if len(got) != len(pings) {
		t.Fatalf("%d of %d pings were answered", len(got), len(pings))
	}
	for i := range pings {
		if !bytes.Equal(got[i], pings[i]) {
			t.Errorf("the answer to %x is %x", pings[i], got[i])
		}
	}
}

// play returns the byte stream of a script, with its messages and pings.
func play(script []byte) (stream []byte, messages []transport.Frame, pings [][]byte) {
	for i, b := range script {
		payload := bytes.Repeat([]byte{'a' + byte(i%26)}, int(b)*int(b)/4)
		short := payload[:min(len(payload), 125)]
		switch b % 4 {
		case 0, 1: // A message in one frame.
			kind := transport.Kind(1 + b%4)
			stream = append(stream, rawFrame{fin: true, opcode: byte(kind), payload: payload}.bytes(true)...)
			messages = append(messages, transport.Frame{Kind: kind, Data: payload})
		case 2: // One in three, with a ping and a pong in between.
			a, z := len(payload)/3, len(payload)/2
			for _, f := range []rawFrame{
				{opcode: opText, payload: payload[:a]},
				{fin: true, opcode: opPing, payload: short},
				{opcode: opContinuation, payload: payload[a:z]},
				{fin: true, opcode: opPong, payload: short},
				{fin: true, opcode: opContinuation, payload: payload[z:]},
			} {
				stream = append(stream, f.bytes(true)...)
			}
			messages = append(messages, transport.Frame{Kind: transport.Text, Data: payload})
			pings = append(pings, short)
		case 3:
			stream = append(stream, rawFrame{fin: true, opcode: opPing, payload: short}.bytes(true)...)
			pings = append(pings, short)
		}
	}
	return stream, messages, pings
}
