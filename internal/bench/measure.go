package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
)

// Plan says what is measured and for how long.
type Plan struct {
	Sizes []int
	// Rounds is how often each peer has its turn per size.
	Rounds int
	// Turn is how long a turn lasts at least.
	Turn time.Duration
}

// Row is the median over all rounds for one peer and one size. Allocations
// are those of both sides together.
type Row struct {
	Peer   string
	Size   int
	Time   time.Duration // per echo
	Allocs float64       // per echo
	Bytes  float64       // allocated per echo
	Ratio  float64       // of Time to the first peer's
}

// Measure measures all peers. Within a round every peer has a turn, each round
// beginning with another peer, so that what else the machine does meets all of
// them alike.
func Measure(ctx context.Context, peers []Peer, plan Plan) ([]Row, error) {
	var rows []Row
	for _, size := range plan.Sizes {
		of, err := measureSize(ctx, peers, plan, size)
		if err != nil {
			return nil, err
		}
		rows = append(rows, of...)
	}
	return rows, nil
}

func measureSize(ctx context.Context, peers []Peer, plan Plan, size int) (rows []Row, err error) {
	message := make([]byte, size)
	for i := range message {
		message[i] = 'a' + byte(i%26)
	}
	links := make([]*Link, len(peers))
	for i, peer := range peers {
		if links[i], err = Open(ctx, peer); err != nil {
			return nil, fmt.Errorf("%s: %w", peer.Name, err)
		}
		defer func() {
			if closing := links[i].Close(); closing != nil && err == nil {
				err = fmt.Errorf("%s: %w", peer.Name, closing)
			}
		}()
	}
	turns := make([][]turn, len(peers))
	for round := range plan.Rounds + 1 {
		for k := range peers {
			i := (round + k) % len(peers)
			t, err := takeTurn(ctx, links[i], message, plan.Turn)
			if err != nil {
				return nil, fmt.Errorf("%s, %d bytes: %w", peers[i].Name, size, err)
			}
			if round > 0 { // the first one warms up
				turns[i] = append(turns[i], t)
			}
		}
	}
	for i, peer := range peers {
		rows = append(rows, Row{
			Peer:   peer.Name,
			Size:   size,
			Time:   time.Duration(median(turns[i], func(t turn) float64 { return t.time })),
			Allocs: median(turns[i], func(t turn) float64 { return t.allocs }),
			Bytes:  median(turns[i], func(t turn) float64 { return t.bytes }),
			Ratio:  median(ratios(turns[i], turns[0]), func(r float64) float64 { return r }),
		})
	}
	return rows, nil
}

// turn is the mean per echo of one peer's turn, the time in nanoseconds.
type turn struct{ time, allocs, bytes float64 }

func takeTurn(ctx context.Context, link *Link, message []byte, atLeast time.Duration) (turn, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	echoes, start := 0, time.Now()
	for time.Since(start) < atLeast || echoes == 0 {
		if err := link.Echo(ctx, message); err != nil {
			return turn{}, err
		}
		echoes++
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	n := float64(echoes)
	return turn{
		time:   float64(took) / n,
		allocs: float64(after.Mallocs-before.Mallocs) / n,
		bytes:  float64(after.TotalAlloc-before.TotalAlloc) / n,
	}, nil
}

// ratios are those of the times of two peers in the same rounds.
func ratios(of, to []turn) []float64 {
	all := make([]float64, len(of))
	for i := range of {
		all[i] = of[i].time / to[i].time
	}
	return all
}

// median returns the median of the values; there must be one at least.
func median[T any](all []T, value func(T) float64) float64 {
	values := make([]float64, len(all))
	for i, one := range all {
		values[i] = value(one)
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// Print writes the rows as a Markdown table.
func Print(w io.Writer, rows []Row) error {
	const header = "| size (B) | peer | time per echo | ratio | allocs per echo | B allocated per echo |\n|---:|---|---:|---:|---:|---:|\n"
	if _, err := io.WriteString(w, header); err != nil {
		return err
	}
	for _, row := range rows {
		_, err := fmt.Fprintf(w, "| %d | %s | %s | %.2f | %.1f | %.0f |\n",
			row.Size, row.Peer, row.Time.Round(10*time.Nanosecond), row.Ratio, row.Allocs, row.Bytes)
		if err != nil {
			return err
		}
	}
	return nil
}
