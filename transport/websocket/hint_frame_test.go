package websocket

import (
	"bytes"
	"io"
	"strconv"
	"testing"

	"github.com/aip-go/aip/transport"
)

// FuzzHint reads what a pong says. It never fails, and a size is above maxBase
// and what the digits are.
func FuzzHint(f *testing.F) {
	for _, payload := range []string{"", hintPrefix, hintPrefix + "9000000", hintPrefix + "-9000000", hintPrefix + "+9000000", hintPrefix + "1114112",
		hintPrefix + "1114113", hintPrefix + "9223372036854775807", hintPrefix + "9223372036854775808", hintPrefix + "0000000009000000", hintPrefix + "000000000000000009000000", "9000000"} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		size, ok := parseHint(payload)
		if !ok {
			if size, err := strconv.Atoi(string(bytes.TrimPrefix(payload, []byte(hintPrefix)))); err == nil && size > maxBase &&
				string(payload) == hintPrefix+strconv.Itoa(size) {
				t.Errorf("%q is no hint", payload)
			}
			return
		}
		if len(payload) > maxHint {
			t.Errorf("%q is a hint", payload)
		}
		digits, found := bytes.CutPrefix(payload, []byte(hintPrefix))
		if digits = bytes.TrimLeft(digits, "0"); !found || size <= maxBase || strconv.FormatInt(size, 10) != string(digits) {
			t.Errorf("%q says %d", payload, size)
		}
	})
}

// Protects: messages from hints for others. A hint is for the message that
// begins next, and forgotten then.
func TestHintIsForOneMessage(t *testing.T) {
	hint := func(size int) []byte {
		return frame(pong, false, strconv.AppendInt([]byte(hintPrefix), int64(size), 10))
	}
	whole := func(size int) []byte { return frame(text, false, bytes.Repeat([]byte("x"), size)) }
	begin, end := frame(1, false, []byte("x")), frame(cont, false, []byte("y"))
	left := bytes.Join([][]byte{
		begin, end,
		hint(2 << 20), begin, end,
		begin, end,
		hint(2 << 20), whole(10),
		begin, end,
		hint(2 << 20), hint(3 << 20), whole(10_000),
		begin, hint(4 << 20), end,
		begin, end,
		whole(1),
	}, nil)
	r := readFrom(t, func(p []byte) (int, error) {
		if len(left) == 0 {
			return 0, io.EOF
		}
		n := copy(p, left[:1]) // A frame comes in any pieces.
		left = left[n:]
		return n, nil
	})
	for i, want := range []int64{0, 2 << 20, 0, 2 << 20, 0, 3 << 20, 0, 4 << 20, 0} {
		_, message, err := r.NextReader()
		if err != nil {
			t.Fatal(err)
		}
		if r.said != want {
			t.Errorf("message %d is to have %d bytes, want %d", i, r.said, want)
		}
		if _, err := io.Copy(io.Discard, message); err != nil {
			t.Fatal(err)
		}
	}
}

// Protects: the network, and the receiver, from a packet that says but what the
// next one is. A hint leaves together with the fragment that it is before, also
// beside a control frame of the engine's, and not after a close frame.
func TestHintLeavesWithFragment(t *testing.T) {
	for _, client := range []bool{false, true} {
		writes := 0
		w := &wire{}
		w.write = func(p []byte) (int, error) { writes++; return len(p), nil }
		g, wait := newTestGate(w, client, 0, nil)
		answer := frame(pong, client, []byte("ping"))
		write(t, g, answer[:3])
		e := &entry{alone: true, frames: []transport.Frame{{Kind: transport.Binary, Data: make([]byte, maxBase+1)}}}
		unflushed, err := e.writePiece(g, maxFragment)
		if err != nil || writes != 0 {
			t.Fatalf("writePiece: %v, %d writes", err, writes)
		}
		if err := g.flush(); err != nil || writes != 1 {
			t.Errorf("flush: %v, %d writes", err, writes)
		}
		got := w.bytes()
		if len(got) > unflushed || len(got) < maxFragment {
			t.Errorf("%d bytes were written, and %d were to be", len(got), unflushed)
		}
		var p frameParser
		n, _ := p.next(got)
		size, _ := p.next(got[n:])
		said := bytes.Clone(got[n : n+size])
		if client {
			for i := range said {
				said[i] ^= got[n-4+i%4]
			}
		}
		if p.opcode() != opPong || string(said) != hintPrefix+strconv.Itoa(maxBase+1) {
			t.Errorf("opcode %x, %q", p.opcode(), said)
		}
		if p.next(got[n+size:]); p.opcode() != opBinary {
			t.Errorf("opcode %x after the hint", p.opcode())
		}
		write(t, g, answer[3:])
		g.writeClose(transport.StatusNormal, "")
		wait()
		before := len(w.bytes())
		e = &entry{frames: []transport.Frame{{Kind: transport.Binary, Data: make([]byte, maxBase+1)}}}
		if _, err := e.writePiece(g, maxFragment); err != nil {
			t.Errorf("writePiece: %v", err)
		}
		if err := g.flush(); err != errCloseSent || len(w.bytes()) != before {
			t.Errorf("flush after the close frame: %v", err)
		}
		g.kill()
		wait()
	}
}
