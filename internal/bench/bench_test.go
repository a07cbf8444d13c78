package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// BenchmarkEcho measures one peer and size after the other; the command
// measures them in turns.
func BenchmarkEcho(b *testing.B) {
	for _, size := range Sizes {
		for _, peer := range Peers() {
			b.Run(fmt.Sprintf("%d/%s", size, peer.Name), func(b *testing.B) {
				link, err := Open(b.Context(), peer)
				if err != nil {
					b.Fatal(err)
				}
				message := bytes.Repeat([]byte("a"), size)
				b.SetBytes(int64(2 * size))
				b.ReportAllocs()
				for b.Loop() {
					if err := link.Echo(b.Context(), message); err != nil {
						b.Fatal(err)
					}
				}
				if err := link.Close(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

func TestEveryPeerEchoes(t *testing.T) {
	for _, peer := range Peers() {
		t.Run(peer.Name, func(t *testing.T) {
			link, err := Open(t.Context(), peer)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range Sizes {
				message := bytes.Repeat([]byte("é"), size/2)
				if err := link.conn.Send(t.Context(), message); err != nil {
					t.Fatal(err)
				}
				answer, err := link.conn.Receive(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(answer, message) {
					t.Errorf("another message of %d bytes came back, of %d", len(answer), size)
				}
			}
			if err := link.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMeasure(t *testing.T) {
	peers := Peers()
	rows, err := Measure(t.Context(), peers, Plan{Sizes: []int{128, 1024}, Rounds: 2, Turn: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2*len(peers) {
		t.Fatalf("%d rows, want one per peer and size", len(rows))
	}
	for i, row := range rows {
		if row.Peer != peers[i%len(peers)].Name || row.Time <= 0 || row.Ratio <= 0 {
			t.Errorf("row %d is %+v", i, row)
		}
		if row.Peer == peers[0].Name && row.Ratio != 1 {
			t.Errorf("the first peer's ratio to itself is %v", row.Ratio)
		}
	}
}

func TestMeasureReportsAPeerThatFails(t *testing.T) {
	working := Peers()[0]
	broken := Peer{
		Name: "broken",
		Dial: func(context.Context, string) (Conn, error) { return nil, context.DeadlineExceeded },
		Echo: working.Echo,
	}
	_, err := Measure(t.Context(), []Peer{working, broken}, Plan{Sizes: []int{1}, Rounds: 1})
	if err == nil || !strings.HasPrefix(err.Error(), "broken: ") {
		t.Errorf("got the error %v", err)
	}
}

func TestMedian(t *testing.T) {
	same := func(f float64) float64 { return f }
	if got := median([]float64{9, 1, 4}, same); got != 4 {
		t.Errorf("the median of three is %v", got)
	}
	if got := median([]float64{9, 1, 4, 2}, same); got != 3 {
		t.Errorf("the median of four is %v", got)
	}
}

func TestPrint(t *testing.T) {
	var out strings.Builder
	err := Print(&out, []Row{{Peer: "a", Size: 128, Time: 12345, Allocs: 2.04, Bytes: 99.6, Ratio: 1.125}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "| 128 | a | 12.35µs | 1.12 | 2.0 | 100 |\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end with %q", got, want)
	}
}
