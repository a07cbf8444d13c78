package transporttest

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestCut checks the ends that a connection can meet.
func TestCut(t *testing.T) {
	bubble(t, "end", func(t *testing.T, n *Network) {
		client, server, link := dialled(t, n)
		mustWrite(t, client, "underway")
		reading := call(func() error { _, err := client.Read(make([]byte, 1)); return err })
		synctest.Wait()
		link.Cut(nil)
		link.Cut(syscall.ECONNRESET) // It is cut already.
		if _, err := reading.wait(); err != io.EOF {
			t.Errorf("Read: %v", err)
		}
		writeError(t, client, syscall.EPIPE)
		mustRead(t, server, "underway")
		readError(t, server, io.EOF)
		writeError(t, server, syscall.EPIPE)
		if err := errors.Join(client.Close(), server.Close()); err != nil {
			t.Error(err)
		}
		if open := link.open(); len(open) != 0 {
			t.Errorf("open ends: %v", open)
		}
	})
	bubble(t, "reset", func(t *testing.T, n *Network) {
		client, server, link := dialled(t, n)
		link.Stall(ToServer)
		mustWrite(t, client, "never arrives")
		mustWrite(t, server, "arrives")
		link.Cut(syscall.ECONNRESET)
		mustRead(t, client, "arrives")
		for _, c := range []net.Conn{client, server} {
			readError(t, c, syscall.ECONNRESET)
			writeError(t, c, syscall.ECONNRESET)
		}
	})
	bubble(t, "unblocks a write", func(t *testing.T, n *Network) {
		client, _, link := dialled(t, n)
		writing := call(func() error { _, err := client.Write(make([]byte, 1<<20)); return err })
		synctest.Wait()
		link.Cut(syscall.ECONNRESET)
		if _, err := writing.wait(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Write: %v", err)
		}
	})
	for _, d := range Directions {
		bubble(t, "after some bytes "+d.String(), func(t *testing.T, n *Network) {
			from, to, link := dialled(t, n)
			if d == ToClient {
				from, to = to, from
			}
			mustWrite(t, from, "123")
			mustRead(t, to, "123")
			link.CutAfter(d, 10, syscall.ECONNRESET)
			mustWrite(t, from, "4567")
			mustWrite(t, from, "890 and more") // As into a socket's buffer.
			if link.Written(d) != 10 {
				t.Errorf("%d bytes were written", link.Written(d))
			}
			writeError(t, from, syscall.ECONNRESET)
			readError(t, from, syscall.ECONNRESET)
			mustRead(t, to, "4567890")
			readError(t, to, syscall.ECONNRESET)
			if link.Read(d) != 10 {
				t.Errorf("%d bytes were read", link.Read(d))
			}
		})
	}
	bubble(t, "after bytes that were written already", func(t *testing.T, n *Network) {
		client, server, link := dialled(t, n)
		mustWrite(t, client, "12345")
		link.CutAfter(ToServer, 5, nil)
		mustRead(t, server, "12345")
		readError(t, server, io.EOF)
	})
}

// TestStall checks what delivers nothing.
func TestStall(t *testing.T) {
	silent := func(t *testing.T, c net.Conn) {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		readError(t, c, os.ErrDeadlineExceeded)
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	bubble(t, "stall", func(t *testing.T, n *Network) {
		client, server, link := dialled(t, n)
		link.SetBuffer(ToServer, 10)
		link.Stall(ToServer)
		writing := call(func() error { _, err := client.Write([]byte("more than ten bytes")); return err })
		silent(t, server)
		if writing.finished() || link.Written(ToServer) != 10 {
			t.Errorf("%d bytes were written", link.Written(ToServer))
		}
		mustWrite(t, server, "the other way")
		mustRead(t, client, "the other way")
		link.Resume(ToServer)
		mustRead(t, server, "more than ten bytes")
		if _, err := writing.wait(); err != nil {
			t.Error(err)
		}
	})
	bubble(t, "stalled end", func(t *testing.T, n *Network) {
		client, server, link := dialled(t, n)
		link.Stall(ToServer)
		mustWrite(t, client, "last words")
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		silent(t, server)
		mustWrite(t, server, "into the void")
		link.Resume(ToServer)
		mustRead(t, server, "last words")
		readError(t, server, io.EOF)
		writeError(t, server, syscall.EPIPE)
	})
	bubble(t, "black hole", func(t *testing.T, n *Network) {
		client, server, link := dialled(t, n)
		mustWrite(t, client, "swallowed")
		link.BlackHole(ToServer)
		mustWrite(t, client, strings.Repeat("swallowed too ", 100_000))
		silent(t, server)
		mustWrite(t, server, "the other way")
		mustRead(t, client, "the other way")
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		silent(t, server)
		mustWrite(t, server, "into the void")
		link.Cut(syscall.ECONNRESET)
		readError(t, server, syscall.ECONNRESET)
	})
}

// TestPace checks latency and rate, exactly.
func TestPace(t *testing.T) {
	bubble(t, "delay", func(t *testing.T, n *Network) {
		client, server, link := dialled(t, n)
		link.SetDelay(ToServer, 300*time.Millisecond)
		start := time.Now()
		mustWrite(t, client, "one")
		mustWrite(t, client, "two")
		if took := time.Since(start); took != 0 {
			t.Errorf("Write took %v", took)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		mustWrite(t, server, "not yet known to be closed")
		mustRead(t, server, "onetwo")
		readError(t, server, io.EOF)
		writeError(t, server, syscall.EPIPE)
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
	bubble(t, "end comes late", func(t *testing.T, n *Network) {
		client, server, link := dialled(t, n)
		link.SetDelay(ToServer, time.Second)
		start := time.Now()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		readError(t, server, io.EOF)
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %v", took)
		}
	})
	bubble(t, "rate", func(t *testing.T, n *Network) {
		client, server, link := dialled(t, n)
		link.SetRate(ToServer, 10_000)
		start := time.Now()
		writing := call(func() error { _, err := client.Write(make([]byte, 200_000)); return err })
		got, first := 0, time.Duration(0)
		for got < 200_000 {
			k, err := server.Read(make([]byte, 64<<10))
			if err != nil {
				t.Fatal(err)
			}
			if got == 0 {
				first = time.Since(start)
			}
			if got += k; time.Since(start) < time.Duration(got)*time.Second/10_000 {
				t.Fatalf("%d bytes in %v", got, time.Since(start))
			}
		}
		if took := time.Since(start); took != 20*time.Second || first > time.Second {
			t.Errorf("it took %v, and %v until the first byte", took, first)
		}
		if _, err := writing.wait(); err != nil {
			t.Error(err)
		}
		link.SetRate(ToServer, 0)
		start = time.Now()
		mustWrite(t, client, "fast again")
		mustRead(t, server, "fast again")
		if took := time.Since(start); took != 0 {
			t.Errorf("without a rate it took %v", took)
		}
	})
}

// TestRecord checks what is recorded.
func TestRecord(t *testing.T) {
	bubble(t, "record", func(t *testing.T, n *Network) {
		client, server, link := dialled(t, n)
		mustWrite(t, client, "before")
		link.Record()
		mustWrite(t, client, "recorded")
		link.BlackHole(ToServer)
		mustWrite(t, client, " and swallowed")
		mustWrite(t, server, "back")
		if got := string(link.Recorded(ToServer)); got != "recorded and swallowed" {
			t.Errorf("recorded %q", got)
		}
		if got := string(link.Recorded(ToClient)); got != "back" {
			t.Errorf("recorded %q", got)
		}
	})
}

// TestOpenConnections: a connection that is not closed is found, as a goroutine
// that is left would be.
func TestOpenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := subtest{name: "leaves a connection open", run: func(t *trial) {
			t.start()
			if _, err := t.env.Network.DialContext(t.ctx, "tcp", "silent"); err != nil {
				t.Fatal(err)
			}
		}}
		r := &recorder{TB: t}
		s.try(r, framedHarness(FaultyNetwork, correct))
		if !strings.Contains(r.failures(), "still open") {
			t.Errorf("failures: %q", r.failures())
		}
	})
}

// TestHang: a subtest that hangs is ended and reported, with what it waits for.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := subtest{name: "hangs", run: func(t *trial) {
			near, _ := t.pair()
			_, _ = near.Receive(t.ctx)
		}}
		r := &recorder{TB: t}
		s.try(r, framedHarness(FaultyNetwork, correct))
		if !strings.Contains(r.failures(), "hangs") || !strings.Contains(r.failures(), "Receive") {
			t.Errorf("failures: %q", r.failures())
		}
	})
}
