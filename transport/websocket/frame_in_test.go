package websocket

import (
	"bytes"
	"io"
	"testing"
)

// readFrom returns a frameReader of a client that reads with read.
func readFrom(t testing.TB, read func([]byte) (int, error)) *frameReader {
	t.Helper()
	g, wait := newTestGate(&wire{read: read}, true, 0, nil)
	t.Cleanup(func() {
		g.kill()
		wait()
	})
	return &frameReader{gate: g, client: true}
}

// readWhole reads a message, into its place if its size is known.
func readWhole(t testing.TB, r *frameReader) []byte {
	t.Helper()
	_, message, err := r.NextReader()
	if err != nil {
		t.Fatalf("NextReader: %v", err)
	}
	size, known := r.size()
	if !known {
		t.Fatal("the size is not known")
	}
	got := make([]byte, size)
	for n := 0; n < len(got); {
		some, err := message.Read(got[n:])
		if n += some; err != nil && (err != io.EOF || n < len(got)) {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	return got
}

// Protects: the last message before the end. A network may tell of its end
// together with the last bytes, as crypto/tls does.
func TestEndWithLastBytes(t *testing.T) {
	for _, size := range []int{0, 10, 1022, 1023, 1500, 20_000} {
		want := bytes.Repeat([]byte("x"), size)
		left := frame(text, false, want)
		r := readFrom(t, func(p []byte) (int, error) {
			n := copy(p, left)
			if left = left[n:]; len(left) == 0 {
				return n, io.EOF
			}
			return n, nil
		})
		if got := readWhole(t, r); !bytes.Equal(got, want) {
			t.Errorf("%d of %d bytes", len(got), size)
		}
		if _, _, err := r.NextReader(); err != errEnded {
			t.Errorf("after the message: %v", err)
		}
	}
}

// Protects: the memory of many connections. One that waits for the peer's next
// message holds little, whatever the one before was.
func TestWaitingHoldsLittle(t *testing.T) {
	for size := range 40_000 {
		if size%97 != 0 {
			continue
		}
		left := frame(text, false, bytes.Repeat([]byte("x"), size))
		room := 0
		r := readFrom(t, func(p []byte) (int, error) {
			room = len(p)
			if len(left) == 0 {
				return 0, io.EOF
			}
			n := copy(p, left)
			left = left[n:]
			return n, nil
		})
		if got := readWhole(t, r); len(got) != size {
			t.Errorf("%d of %d bytes", len(got), size)
		}
		if _, _, err := r.NextReader(); err != errEnded {
			t.Errorf("after the message: %v", err)
		}
		if room > smallRead || r.large != nil {
			t.Fatalf("after a message of %d bytes it waits for %d", size, room)
		}
	}
}

// Protects: the rate of small messages that come in a row: they are read many
// at once.
func TestManyAtOnce(t *testing.T) {
	const n = 1000
	for _, size := range []int{20, 100, 1500, 5000} {
		left := bytes.Repeat(frame(text, false, bytes.Repeat([]byte("x"), size)), n)
		reads, most := 0, 10+2*len(left)/bufferSize
		r := readFrom(t, func(p []byte) (int, error) {
			reads++
			n := copy(p, left)
			left = left[n:]
			return n, nil
		})
		for range n {
			if got := readWhole(t, r); len(got) != size {
				t.Fatalf("%d of %d bytes", len(got), size)
			}
		}
		if reads > most {
			t.Errorf("%d messages of %d bytes took %d reads, more than %d", n, size, reads, most)
		}
	}
}
