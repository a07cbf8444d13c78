package transporttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs a test of a network in a bubble.
func bubble(t *testing.T, name string, f func(t *testing.T, n *Network)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := NewNetwork()
			defer n.Close()
			f(t, n)
		})
	})
}

// dialled returns both ends of a new connection.
func dialled(t *testing.T, n *Network) (client, server net.Conn, link *Link) {
	t.Helper()
	l := n.Listen("server")
	defer l.Close()
	client, err := n.DialContext(t.Context(), "tcp", "server")
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	links := n.Links()
	return client, server, links[len(links)-1]
}

func mustWrite(t *testing.T, c net.Conn, data string) {
	t.Helper()
	if n, err := io.WriteString(c, data); err != nil || n != len(data) {
		t.Fatalf("Write: %d, %v", n, err)
	}
}

func mustRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func readError(t *testing.T, c net.Conn, want error) {
	t.Helper()
	n, err := c.Read(make([]byte, 10))
	if n != 0 || !errors.Is(err, want) {
		t.Errorf("Read: %d, %v; want %v", n, err, want)
	}
	if want == io.EOF && err != io.EOF {
		t.Errorf("Read: %v; it must be io.EOF itself", err)
	}
}

func writeError(t *testing.T, c net.Conn, want error) {
	t.Helper()
	if _, err := c.Write([]byte("x")); !errors.Is(err, want) {
		t.Errorf("Write: %v; want %v", err, want)
	}
}

// TestConn checks what any net.Conn promises.
func TestConn(t *testing.T) {
	bubble(t, "data arrives", func(t *testing.T, n *Network) {
		client, server, _ := dialled(t, n)
		data := make([]byte, 3<<20)
		for i := range data {
			data[i] = byte(rand.Uint32())
		}
		var running sync.WaitGroup
		for _, ends := range [][2]net.Conn{{client, server}, {server, client}} {
			running.Go(func() {
				if _, err := ends[0].Write(data); err != nil {
					t.Error(err)
				}
			})
			running.Go(func() {
				got := make([]byte, len(data))
				if _, err := io.ReadFull(ends[1], got); err != nil || !bytes.Equal(got, data) {
					t.Errorf("other bytes arrive: %v", err)
				}
			})
		}
		running.Wait()
	})
	bubble(t, "writes are not mixed", func(t *testing.T, n *Network) {
		client, server, _ := dialled(t, n)
		const size = 100 << 10
		var running sync.WaitGroup
		for i := range 8 {
			running.Go(func() {
				if _, err := client.Write(bytes.Repeat([]byte{byte('a' + i)}, size)); err != nil {
					t.Error(err)
				}
			})
		}
		seen := make(map[byte]bool)
		for range 8 {
			got := make([]byte, size)
			if _, err := io.ReadFull(server, got); err != nil {
				t.Fatal(err)
			}
			if seen[got[0]] || !bytes.Equal(got, bytes.Repeat(got[:1], size)) {
				t.Fatal("two writes are mixed")
			}
			seen[got[0]] = true
		}
		running.Wait()
	})
	bubble(t, "addresses and empty calls", func(t *testing.T, n *Network) {
		client, server, _ := dialled(t, n)
		if client.RemoteAddr().String() != "server" || server.LocalAddr().String() != "server" ||
			client.LocalAddr().String() != server.RemoteAddr().String() || client.LocalAddr().Network() == "" {
			t.Errorf("addresses: %v %v %v %v", client.LocalAddr(), client.RemoteAddr(), server.LocalAddr(), server.RemoteAddr())
		}
		if k, err := client.Read(nil); k != 0 || err != nil {
			t.Errorf("Read of nothing: %d, %v", k, err)
		}
		if k, err := client.Write(nil); k != 0 || err != nil {
			t.Errorf("Write of nothing: %d, %v", k, err)
		}
	})
	bubble(t, "close", func(t *testing.T, n *Network) {
		client, server, link := dialled(t, n)
		mustWrite(t, client, "last words")
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		if err := client.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close again: %v", err)
		}
		if err := client.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SetDeadline after Close: %v", err)
		}
		readError(t, client, net.ErrClosed)
		writeError(t, client, net.ErrClosed)
		mustRead(t, server, "last words")
		readError(t, server, io.EOF)
		readError(t, server, io.EOF)
		writeError(t, server, syscall.EPIPE)
		if open := link.open(); len(open) != 1 || open[0] != server.LocalAddr() {
			t.Errorf("open ends: %v", open)
		}
	})
	bubble(t, "close unblocks", func(t *testing.T, n *Network) {
		client, server, _ := dialled(t, n)
		reading := call(func() error { _, err := client.Read(make([]byte, 1)); return err })
		writing := call(func() error { _, err := client.Write(make([]byte, 1<<20)); return err })
		behind := call(func() error { _, err := client.Write([]byte("x")); return err })
		farReading := call(func() error { _, err := io.Copy(io.Discard, server); return err })
		synctest.Wait()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		for _, r := range []*future[struct{}]{reading, writing, behind} {
			if _, err := r.wait(); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Errorf("a call when it is closed: %v", err)
			}
		}
		if _, err := reading.wait(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read: %v", err)
		}
		if _, err := farReading.wait(); err != nil {
			t.Errorf("the other side: %v", err)
		}
	})
	bubble(t, "peer's close ends writes", func(t *testing.T, n *Network) {
		client, server, _ := dialled(t, n)
		writing := call(func() error { _, err := client.Write(make([]byte, 1<<20)); return err })
		synctest.Wait()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if _, err := writing.wait(); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write: %v", err)
		}
	})
}

// TestConnDeadlines checks the deadlines of a net.Conn.
func TestConnDeadlines(t *testing.T) {
	timedOut := func(t *testing.T, err error) {
		t.Helper()
		var timeout net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v; want a timeout", err)
		}
	}
	bubble(t, "future", func(t *testing.T, n *Network) {
		client, _, _ := dialled(t, n)
		for range 3 {
			start := time.Now()
			if err := client.SetDeadline(start.Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			_, err := client.Read(make([]byte, 1))
			timedOut(t, err)
			k, err := client.Write(make([]byte, 1<<20))
			timedOut(t, err)
			if took := time.Since(start); took != time.Second || k > defaultBuffer {
				t.Errorf("timed out after %v, %d bytes written", took, k)
			}
		}
	})
	bubble(t, "full buffer", func(t *testing.T, n *Network) {
		client, _, _ := dialled(t, n)
		start := time.Now()
		if err := client.SetWriteDeadline(start.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		k, err := client.Write(make([]byte, 1<<20))
		timedOut(t, err)
		if k != defaultBuffer || time.Since(start) != time.Second {
			t.Errorf("%d bytes in %v", k, time.Since(start))
		}
	})
	bubble(t, "past, then none", func(t *testing.T, n *Network) {
		client, server, _ := dialled(t, n)
		mustWrite(t, server, "hello")
		if err := client.SetDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := client.Read(make([]byte, 1))
		timedOut(t, err)
		_, err = client.Write([]byte("x"))
		timedOut(t, err)
		if err := client.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		mustRead(t, client, "hello")
		mustWrite(t, client, "back")
		mustRead(t, server, "back")
	})
	bubble(t, "set while waiting", func(t *testing.T, n *Network) {
		client, server, _ := dialled(t, n)
		reading := call(func() error { _, err := client.Read(make([]byte, 1)); return err })
		synctest.Wait()
		if err := client.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if reading.finished() {
			t.Fatal("Read returned too early")
		}
		if err := client.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		_, err := reading.wait()
		timedOut(t, err)
		mustWrite(t, client, "writes go on")
		mustRead(t, server, "writes go on")
	})
	bubble(t, "racing", func(t *testing.T, n *Network) {
		client, server, _ := dialled(t, n)
		var running sync.WaitGroup
		for range 8 {
			running.Go(func() {
				for range 100 {
					_ = client.SetReadDeadline(time.Now().Add(time.Microsecond))
					if _, err := client.Read(make([]byte, 100)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Error(err)
					}
				}
			})
			running.Go(func() {
				for range 100 {
					_ = server.SetWriteDeadline(time.Now().Add(time.Microsecond))
					if _, err := server.Write(make([]byte, 100)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Error(err)
					}
				}
			})
		}
		running.Wait()
	})
}

// TestDial checks listening, dialling and the faults of dials.
func TestDial(t *testing.T) {
	dial := func(ctx context.Context, n *Network, addr string) *future[net.Conn] {
		return async(func() (net.Conn, error) { return n.DialContext(ctx, "tcp", addr) })
	}
	refused := func(t *testing.T, r *future[net.Conn]) {
		t.Helper()
		_, err := r.wait()
		var op *net.OpError
		if !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &op) || op.Op != "dial" {
			t.Errorf("dial: %v; want it refused", err)
		}
	}
	bubble(t, "refused", func(t *testing.T, n *Network) {
		refused(t, dial(t.Context(), n, "nobody"))
		l := n.Listen("server")
		n.RefuseDials(true)
		refused(t, dial(t.Context(), n, "server"))
		n.RefuseDials(false)
		if _, err := dial(t.Context(), n, "server").wait(); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		refused(t, dial(t.Context(), n, "server"))
	})
	bubble(t, "cancelled", func(t *testing.T, n *Network) {
		n.Listen("server")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := dial(ctx, n, "server").wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("dial: %v", err)
		}
	})
	bubble(t, "full backlog", func(t *testing.T, n *Network) {
		l := n.Listen("server")
		waiting := make([]net.Conn, 128)
		for i := range waiting {
			c, err := dial(t.Context(), n, "server").wait()
			if err != nil {
				t.Fatal(err)
			}
			waiting[i] = c
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := dial(ctx, n, "server").wait(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial when the backlog is full: %v", err)
		}
		late := dial(t.Context(), n, "server")
		synctest.Wait()
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		refused(t, late)
		for _, c := range waiting {
			readError(t, c, syscall.ECONNRESET)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
	})
	bubble(t, "accept and close", func(t *testing.T, n *Network) {
		l := n.Listen("server")
		accepting := call(func() error { _, err := l.Accept(); return err })
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := accepting.wait(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
		if l.Addr().String() != "server" {
			t.Errorf("Addr: %v", l.Addr())
		}
		n.Listen("server") // It is free again.
		defer func() {
			if recover() == nil {
				t.Error("two listen at one address")
			}
		}()
		n.Listen("server")
	})
	bubble(t, "held", func(t *testing.T, n *Network) {
		l := n.Listen("server")
		n.HoldDials(true)
		var dials []*future[net.Conn]
		var held []*HeldDial
		for range 4 {
			dials = append(dials, dial(t.Context(), n, "server"))
			h, err := n.NextDial(t.Context())
			if err != nil || h.Addr != "server" {
				t.Fatalf("%+v, %v", h, err)
			}
			held = append(held, h)
		}
		held[1].Release()
		first, err := dials[1].wait()
		if err != nil || dials[0].finished() {
			t.Fatalf("the dial that was released: %v", err)
		}
		held[2].Refuse()
		held[2].Release() // Too late.
		refused(t, dials[2])
		held[0].Release()
		if _, err := dials[0].wait(); err != nil {
			t.Fatal(err)
		}
		if c, err := l.Accept(); err != nil || c.RemoteAddr().String() != first.LocalAddr().String() {
			t.Errorf("accepted %v first, %v", c.RemoteAddr(), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.NextDial(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("NextDial without a dial: %v", err)
		}
		unseen := dial(t.Context(), n, "server")
		synctest.Wait()
		n.HoldDials(false)
		if _, err := unseen.wait(); err != nil {
			t.Errorf("a dial when holding ends: %v", err)
		}
		held[3].Release()
		if _, err := dials[3].wait(); err != nil {
			t.Error(err)
		}
	})
	bubble(t, "closed network", func(t *testing.T, n *Network) {
		client, server, _ := dialled(t, n)
		l := n.Listen("other")
		n.HoldDials(true)
		held := dial(t.Context(), n, "other")
		synctest.Wait()
		n.Close()
		n.Close()
		refused(t, held)
		refused(t, dial(t.Context(), n, "other"))
		readError(t, client, io.EOF)
		writeError(t, server, syscall.EPIPE)
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
		if _, err := n.Listen("late").Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept of a late listener: %v", err)
		}
	})
	bubble(t, "apply", func(t *testing.T, n *Network) {
		l := n.Listen("server")
		var seen []*Link
		one, err := dial(t.Context(), n, "server").wait()
		if err != nil {
			t.Fatal(err)
		}
		n.Apply(func(l *Link) { seen = append(seen, l) })
		if _, err := dial(t.Context(), n, "server").wait(); err != nil {
			t.Fatal(err)
		}
		n.Apply(nil)
		if _, err := dial(t.Context(), n, "server").wait(); err != nil {
			t.Fatal(err)
		}
		if links := n.Links(); len(links) != 3 || !slices.Equal(seen, links[:2]) {
			t.Errorf("applied to %d of %d connections", len(seen), len(links))
		}
		_ = errors.Join(one.Close(), l.Close())
	})
}
