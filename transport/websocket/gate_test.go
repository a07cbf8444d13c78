package websocket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/internal/watchdog"
	"github.com/aip-go/aip/transport"
)

// wire is a network connection that keeps what is written.
type wire struct {
	mu      sync.Mutex
	written bytes.Buffer
	closed  bool
	write   func([]byte) (int, error) // nil to take everything
	read    func([]byte) (int, error)
}

func (w *wire) Read(p []byte) (int, error) { return w.read(p) }

func (w *wire) Write(p []byte) (int, error) {
	if w.write != nil {
		if n, err := w.write(p); err != nil {
			return n, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written.Write(p)
}

func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return nil
}

func (w *wire) bytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.written.Bytes())
}

// newTestGate returns a gate whose goroutines are waited for by the returned
// function.
func newTestGate(w *wire, client bool, writeTimeout time.Duration, stuck func()) (*gate, func()) {
	g := newGate(w, client)
	var wg sync.WaitGroup
	g.seen = new(atomic.Bool)
	g.watch = watchdog.New(writeTimeout, stuck)
	g.spawn = func(f func()) bool {
		wg.Go(f)
		return true
	}
	g.failed = func(error) {}
	return g, func() {
		wg.Wait()
		g.watch.Close()
	}
}

// frame returns a frame as an engine writes it.
func frame(first byte, client bool, payload []byte) []byte {
	b := []byte{first, byte(len(payload))}
	if len(payload) > 125 {
		b = []byte{first, 126, byte(len(payload) >> 8), byte(len(payload))}
	}
	if client {
		b[1] |= maskBit
		b = append(b, 0, 0, 0, 0)
	}
	return append(b, payload...)
}

const (
	text = finBit | 1
	cont = finBit
	pong = finBit | opPong
	bye  = finBit | opClose
)

// write writes to the gate what must be taken.
func write(t testing.TB, g *gate, b []byte) {
	t.Helper()
	if n, err := g.Write(b); n != len(b) || err != nil {
		t.Fatalf("Write of %d bytes: %d, %v", len(b), n, err)
	}
}

func TestGateSplitAtEveryByte(t *testing.T) {
	for _, client := range []bool{false, true} {
		data := frame(text, client, bytes.Repeat([]byte("x"), 200))
		closing := frame(bye, client, []byte{3, 232})
		all := append(append(append(bytes.Clone(data), frame(pong, client, nil)...), closing...), data...)
		want := all[:len(all)-len(data)]
		for cut := range all {
			w := &wire{}
			g, wait := newTestGate(w, client, 0, nil)
			write(t, g, all[:cut])
			wait()
			write(t, g, all[cut:])
			wait()
			if err := g.flush(); !errors.Is(err, errCloseSent) {
				t.Errorf("cut at %d: flush after data was dropped: %v", cut, err)
			}
			if !bytes.Equal(w.bytes(), want) {
				t.Errorf("cut at %d: %x, want %x", cut, w.bytes(), want)
			}
			g.kill()
		}
	}
}

func TestGateControlWithoutFlush(t *testing.T) {
	w := &wire{}
	g, wait := newTestGate(w, false, 0, nil)
	data, answer := frame(text, false, []byte("data")), frame(pong, false, []byte("ping"))
	write(t, g, data)
	wait()
	if len(w.bytes()) != 0 {
		t.Errorf("data was written without a flush: %x", w.bytes())
	}
	write(t, g, answer)
	wait()
	if want := append(data, answer...); !bytes.Equal(w.bytes(), want) {
		t.Errorf("wrote %x, want %x", w.bytes(), want)
	}
	g.kill()
}

func TestGateOwnClose(t *testing.T) {
	for _, client := range []bool{false, true} {
		w := &wire{}
		g, wait := newTestGate(w, client, 0, nil)
		whole, half := frame(text, client, []byte("whole")), frame(text, client, []byte("half"))
		write(t, g, whole)
		write(t, g, half[:len(half)-2])
		g.writeClose(4000, "why")
		g.writeClose(4001, "again")
		wait()
		write(t, g, half[len(half)-2:])
		write(t, g, frame(pong, client, nil))
		write(t, g, frame(bye, client, []byte{3, 232}))
		wait()
		if err := g.flush(); !errors.Is(err, errCloseSent) {
			t.Errorf("flush of a frame that was cut off: %v", err)
		}
		got, ok := bytes.CutPrefix(w.bytes(), whole)
		if !ok {
			t.Fatalf("wrote %x", w.bytes())
		}
		header := 2
		if client {
			header += 4
			if got[1]&maskBit == 0 {
				t.Error("a client's close frame is not masked")
			}
			for i := range got[header:] {
				got[header+i] ^= got[2+i%4]
			}
		}
		if got[0] != bye || int(got[1]&^maskBit) != len(got)-header || string(got[header:]) != "\x0f\xa0why" {
			t.Errorf("the close frame is %x", got)
		}
		g.kill()
	}
}

func TestGatePieces(t *testing.T) {
	for _, pieces := range []string{"", "x", "xyz"} {
		w := &wire{}
		g, wait := newTestGate(w, false, 0, nil)
		left := strings.Split(pieces, "")
		next := func() ([]byte, bool, error) {
			write(t, g, frame(pong, false, nil)) // Control frames come between.
			p := left[0]
			left = left[1:]
			return []byte(p), len(left) == 0, nil
		}
		var first []byte
		if len(left) > 0 {
			first, left = []byte(left[0]), left[1:]
		}
		if err := errors.Join(g.writePieces(transport.Text, first, len(left) == 0, next), g.flush()); err != nil {
			t.Error(err)
		}
		wait()
		want := map[string][]byte{
			"":    frame(text, false, nil),
			"x":   frame(text, false, []byte("x")),
			"xyz": slices.Concat(frame(1, false, []byte("x")), frame(pong, false, nil), frame(0, false, []byte("y")), frame(pong, false, nil), frame(cont, false, []byte("z"))),
		}[pieces]
		if !bytes.Equal(w.bytes(), want) {
			t.Errorf("%q: wrote %x, want %x", pieces, w.bytes(), want)
		}
		g.kill()
	}
}

func TestGateHoldsNothing(t *testing.T) {
	w := &wire{}
	g, wait := newTestGate(w, true, 0, nil)
	for range 3 {
		write(t, g, frame(text, true, []byte("data")))
		if err := g.flush(); err != nil {
			t.Fatal(err)
		}
		if g.buffer != nil {
			t.Error("an idle gate holds a buffer")
		}
	}
	g.kill()
	wait()
}

// While the network is stuck the engine is not, and what it adds is bounded.
func TestGateStuckNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resume := make(chan struct{})
		expired := make(chan time.Time, 1)
		w := &wire{write: func([]byte) (int, error) {
			<-resume
			return 0, errors.New("broken")
		}}
		g, wait := newTestGate(w, false, time.Minute, func() { expired <- time.Now() })
		start := time.Now()
		for range 100_000 {
			write(t, g, frame(pong, false, []byte("0123456789")))
		}
		if size := len(g.buffer.b); size > 2*maxControl {
			t.Errorf("%d bytes of pongs wait", size)
		}
		if took := (<-expired).Sub(start); took != time.Minute {
			t.Errorf("the write expired after %v", took)
		}
		close(resume)
		wait()
		write(t, g, frame(text, false, []byte("late")))
		if err := g.flush(); err == nil || err.Error() != "broken" {
			t.Errorf("flush of a broken network: %v", err)
		}
		if err := g.networkError(); err == nil || err.Error() != "broken" {
			t.Errorf("the network's error is %v", err)
		}
		g.kill()
	})
}

// Protects: senders and memory from a peer that pings without end and reads
// everything: a flush ends, and no more goroutines wait to flush than one.
func TestGateEndlessPings(t *testing.T) {
	const most = 100
	w := &wire{}
	g := newGate(w, false)
	g.seen = new(atomic.Bool)
	g.watch = watchdog.New(0, nil)
	var waiting []func() // goroutines that have not run yet
	g.spawn = func(f func()) bool {
		waiting = append(waiting, f)
		return true
	}
	writes := 0
	w.write = func(p []byte) (int, error) {
		if writes++; writes < most {
			for range 2 { // Pings arrive while this is written.
				write(t, g, frame(pong, false, nil))
			}
		}
		return len(p), nil
	}
	data := frame(text, false, []byte("data"))
	write(t, g, data)
	if err := g.flush(); err != nil || writes != 1 {
		t.Errorf("a sender's flush: %v, %d writes", err, writes)
	}
	for len(waiting) > 0 {
		if len(waiting) > 1 {
			t.Fatalf("%d goroutines wait", len(waiting))
		}
		f := waiting[0]
		waiting = nil
		f()
	}
	if size := len(data) + 2*(most-1)*len(frame(pong, false, nil)); writes != most || len(w.bytes()) != size {
		t.Errorf("%d bytes in %d writes, want %d in %d", len(w.bytes()), writes, size, most)
	}
	g.kill()
}

func TestGateRead(t *testing.T) {
	results := []error{nil, io.EOF, net.ErrClosed}
	w := &wire{read: func(p []byte) (int, error) {
		err := results[0]
		results = results[1:]
		if err != nil {
			return 0, err
		}
		return copy(p, "data"), nil
	}}
	g, wait := newTestGate(w, false, 0, nil)
	if n, err := g.Read(make([]byte, 10)); n != 4 || err != nil || !g.seen.Load() {
		t.Errorf("Read: %d, %v, seen %v", n, err, g.seen.Load())
	}
	for range 2 {
		if n, err := g.Read(make([]byte, 10)); n != 0 || err != errEnded {
			t.Errorf("Read at the end: %d, %v", n, err)
		}
	}
	if g.networkError() != io.EOF {
		t.Errorf("the network's first error is %v", g.networkError())
	}
	g.kill()
	wait()
}

func TestGateClose(t *testing.T) {
	w := &wire{}
	g, wait := newTestGate(w, false, 0, nil)
	write(t, g, frame(bye, false, []byte{3, 232}))
	if err := g.Close(); err != nil || w.closed {
		t.Errorf("Close before the close frame was written: %v, %v", err, w.closed)
	}
	wait()
	g.kill()
	g.kill()
	if !w.closed || len(w.bytes()) != 4 {
		t.Errorf("killed: closed %v, wrote %x", w.closed, w.bytes())
	}
	if _, err := g.Write([]byte{text}); err == nil {
		t.Error("Write after kill succeeded")
	}
	if err := g.flush(); err == nil {
		t.Error("flush after kill succeeded")
	}

	w = &wire{}
	g, wait = newTestGate(w, false, 0, nil)
	if err := g.Close(); err != nil || !w.closed {
		t.Errorf("Close: %v, %v", err, w.closed)
	}
	wait()
}

// Protects: memory, and whoever looks at the backlog, from what was taken over
// for a connection that ends before it is written.
func TestGateKilledWithSoon(t *testing.T) {
	w := &wire{}
	g, _ := newTestGate(w, false, 0, nil)
	var soon func()
	g.spawn = func(f func()) bool { soon = f; return true }
	if taken, flush := g.writeSoon([]transport.Frame{{Kind: transport.Text, Data: []byte("data")}}, 4, false); !taken || flush {
		t.Fatalf("taken %v, flush %v", taken, flush)
	}
	if got := g.waiting(); got != (load{1, 4}) {
		t.Errorf("%+v waits", got)
	}
	g.kill()
	soon()
	if got := g.waiting(); got != (load{}) || g.buffer != nil {
		t.Errorf("after the end %+v waits", got)
	}
	if taken, _ := g.writeSoon([]transport.Frame{{Kind: transport.Text}}, 0, true); taken {
		t.Error("more was taken over")
	}
	if err := g.flush(); err == nil || len(w.bytes()) != 0 {
		t.Errorf("flush: %v, wrote %x", err, w.bytes())
	}
}

// Protects: the end of the connection. A frame that is not copied does not
// follow the close frame either, nor a write that failed, and who wrote it is
// told.
func TestGateFlushFrameAtTheEnd(t *testing.T) {
	payload := bytes.Repeat([]byte("x"), direct)
	w := &wire{}
	g, wait := newTestGate(w, false, 0, nil)
	if err := g.flushFrame(text, payload); err != nil || len(w.bytes()) != 4+direct {
		t.Errorf("flushFrame: %v, wrote %d bytes", err, len(w.bytes()))
	}
	g.writeClose(1000, "")
	if err := g.flushFrame(text, payload); err != errCloseSent {
		t.Errorf("flushFrame after the close frame: %v", err)
	}
	wait()
	if got := w.bytes(); len(got) != 4+direct+4 || got[4+direct] != bye {
		t.Errorf("wrote %d bytes", len(got))
	}
	g.kill()
	if err := g.flushFrame(text, payload); err == nil {
		t.Error("flushFrame after the end succeeded")
	}

	broken, writes, told := errors.New("broken"), 0, 0
	w = &wire{write: func([]byte) (int, error) { writes++; return 0, broken }}
	g, wait = newTestGate(w, false, 0, nil)
	g.failed = func(err error) {
		if told++; err != broken {
			t.Errorf("the connection was told of %v", err)
		}
	}
	g.writeFrame(text, []byte("before"))
	if err := g.flushFrame(text, payload); err != broken || writes != 1 || told != 1 {
		t.Errorf("flushFrame where nothing can be written: %v, %d writes, told %d times", err, writes, told)
	}
	g.kill()
	wait()

	// A connection that ends once the frame is written is no fault of it.
	w = &wire{}
	g, wait = newTestGate(w, false, 0, nil)
	w.write = func(p []byte) (int, error) {
		if len(p) == direct {
			g.kill()
		}
		return len(p), nil
	}
	if err := g.flushFrame(text, payload); err != nil {
		t.Errorf("flushFrame of the last frame: %v", err)
	}
	wait()
}

// Protects: control frames. A message that is written while the engine is
// within one goes before it.
func TestGateFrameBesideControl(t *testing.T) {
	w := &wire{}
	g, wait := newTestGate(w, false, 0, nil)
	answer := frame(pong, false, []byte("ping"))
	write(t, g, answer[:3])
	g.writeFrame(text, []byte("data"))
	write(t, g, answer[3:])
	wait()
	if want := append(frame(text, false, []byte("data")), answer...); !bytes.Equal(w.bytes(), want) {
		t.Errorf("wrote %x, want %x", w.bytes(), want)
	}
	g.kill()
}

// FuzzGate writes frames in any pieces, with this side's close frame somewhere
// in between, and checks what arrives: whole frames as they were written, up to
// one close frame.
func FuzzGate(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{1, 1, 1}, uint16(4), true)
	f.Add([]byte{0, 200, 9, 77, 250}, []byte{7, 0, 33}, uint16(300), false)
	f.Add([]byte{5, 3, 1}, []byte{255}, uint16(0), true)
	f.Fuzz(func(t *testing.T, frames, pieces []byte, closeAt uint16, client bool) {
		frames = frames[:min(len(frames), 500)] // With more the gate would begin to drop pongs.
		var all []byte
		var ends []int // of the frames
		for _, b := range frames {
			first := []byte{text, finBit | 2, pong, bye}[b%4]
			size := int(b)
			if first >= bye {
				size = min(size, 125)
			}
			all = append(all, frame(first, client, bytes.Repeat([]byte{b}, size))...)
			ends = append(ends, len(all))
		}
		w := &wire{}
		g, wait := newTestGate(w, client, 0, nil)
		written, closed := 0, -1
		for i := 0; written < len(all); i++ {
			n := len(all)
			if i < len(pieces) {
				n = int(pieces[i]) + 1
			}
			n = min(n, len(all)-written)
			if closed < 0 && written >= int(closeAt) {
				g.writeClose(1000, "bye")
				closed = written
			}
			write(t, g, all[written:written+n])
			written += n
			if i%3 == 0 {
				wait()
			}
		}
		_ = g.flush() // It tells whether something was dropped.
		wait()
		want := 0
		for i, end := range ends {
			if closed >= 0 && end > closed {
				break
			}
			want = end
			if frames[i]%4 == 3 {
				closed = -1 // The engine closed first.
				break
			}
		}
		got := w.bytes()
		if !bytes.HasPrefix(got, all[:want]) {
			t.Fatalf("wrote %.100x…, %d bytes, want %.100x… first, %d bytes", got, len(got), all[:want], want)
		}
		rest := got[want:]
		switch {
		case closed < 0 && len(rest) != 0:
			t.Fatalf("wrote %.100x after the end", rest)
		case closed >= 0 && (len(rest) < 7 || rest[0] != bye || len(rest) != 2+int(rest[1]&^maskBit)+map[bool]int{true: 4}[client]):
			t.Fatalf("wrote %.100x, want a close frame", rest)
		}
		g.kill()
	})
}
