package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aip-go/aip/internal/bench/peer"
)

// open connects and says what the other side is to do.
func (t turn) open(ctx context.Context, role []byte) (peer.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := t.peer.Dial(ctx, t.server.Addr(), peer.TCP)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(conn.Send(role), conn.Flush()); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// warm is how long a turn warms up.
func (t turn) warm() time.Duration { return t.Turn / 5 }

// same reports a message that did not come back as it was sent.
func same(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("another message of %d bytes came back, of %d", len(got), len(want))
	}
	return nil
}

// echo sends a message, waits for it to come back, and does so again until
// next, called with the time of each round trip, returns false. The first
// message is checked whole, the others by their length.
func echo(conn peer.Conn, message []byte, next func(time.Duration) bool) error {
	var sent time.Time
	send := func() error {
		sent = time.Now()
		return errors.Join(conn.Send(message), conn.Flush())
	}
	if err := send(); err != nil {
		return err
	}
	first := true
	err := conn.Receive(func(answer []byte) error {
		took := time.Since(sent)
		if first || len(answer) != len(message) {
			first = false
			if err := same(answer, message); err != nil {
				return err
			}
		}
		if !next(took) {
			return peer.ErrDone
		}
		return send()
	})
	return done(err)
}

// done returns what ended a Receive, nil if that was wanted.
func done(err error) error {
	if errors.Is(err, peer.ErrDone) {
		return nil
	}
	return fmt.Errorf("the connection ended early: %w", err)
}

// echoes echoes for a turn, and returns the times after the warm-up. begin is
// called after that.
func (t turn) echoes(ctx context.Context, size int, begin func() error) (times []time.Duration, took time.Duration, err error) {
	conn, err := t.open(ctx, peer.Echo)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	start, warm := time.Now(), true
	var failed error
	err = echo(conn, peer.Payload(size), func(trip time.Duration) bool {
		took = time.Since(start)
		switch {
		case !warm:
			times = append(times, trip)
			return took < t.Turn
		case took >= t.warm():
			warm = false
			failed = begin()
			times = make([]time.Duration, 0, 1<<16)
			start = time.Now()
		}
		return failed == nil
	})
	return times, took, errors.Join(err, failed)
}

func nothing() error { return nil }

// echoTime returns the median time of a round trip in microseconds.
func (t turn) echoTime(ctx context.Context, size int) ([]float64, error) {
	times, _, err := t.echoes(ctx, size, nothing)
	if err != nil {
		return nil, err
	}
	slices.Sort(times)
	return []float64{float64(times[len(times)/2]) / float64(time.Microsecond)}, nil
}

// echoRate returns echoes per second.
func (t turn) echoRate(ctx context.Context, size int) ([]float64, error) {
	times, took, err := t.echoes(ctx, size, nothing)
	return []float64{rate(uint64(len(times)), took)}, err
}

// echoAllocs returns echoes per second, and what one allocates.
func (t turn) echoAllocs(ctx context.Context, size int) ([]float64, error) {
	var before uint64
	times, took, err := t.echoes(ctx, size, func() (err error) {
		before, err = t.mallocs()
		return err
	})
	if err != nil {
		return nil, err
	}
	after, err := t.mallocs()
	n := uint64(len(times))
	return []float64{rate(n, took), float64(after-before) / float64(n)}, err
}

// mallocs returns how much was allocated so far, on both sides.
func (t turn) mallocs() (uint64, error) {
	there, err := t.server.Stats(false)
	if err != nil || t.peer.InProcess {
		return there.Mallocs, err
	}
	return there.Mallocs + readStats(false).Mallocs, nil
}

// rate returns how many there are per second.
func rate(count uint64, took time.Duration) float64 { return float64(count) / took.Seconds() }

// connections returns the echoes per second of many connections with a caller
// each.
func (t turn) connections(ctx context.Context, n, size int) (_ []float64, err error) {
	conns := make([]peer.Conn, n)
	for i := range conns {
		if conns[i], err = t.open(ctx, peer.Echo); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, conns[i].Close()) }()
	}
	message := peer.Payload(size)
	counts, errs := make([]uint64, n), make([]error, n)
	begin := time.Now().Add(t.warm())
	end := begin.Add(t.Turn)
	var all sync.WaitGroup
	for i, conn := range conns {
		all.Go(func() {
			errs[i] = echo(conn, message, func(time.Duration) bool {
				now := time.Now()
				if now.After(begin) {
					counts[i]++
				}
				return now.Before(end)
			})
		})
	}
	all.Wait()
	took := time.Since(begin)
	total := uint64(0)
	for _, count := range counts {
		total += count
	}
	return []float64{rate(total, took)}, errors.Join(errs...)
}

// callers returns the echoes per second of many callers on one connection.
func (t turn) callers(ctx context.Context, n, size int) (_ []float64, err error) {
	conn, err := t.open(ctx, peer.Echo)
	if err != nil {
		return nil, err
	}
	message := peer.Payload(size)
	answers, received := make(chan struct{}, n), make(chan error, 1)
	go func() {
		defer close(answers)
		received <- conn.Receive(func(answer []byte) error {
			if err := same(answer, message); err != nil {
				return err
			}
			answers <- struct{}{}
			return nil
		})
	}()
	counts, errs := make([]uint64, n), make([]error, n)
	begin := time.Now().Add(t.warm())
	end := begin.Add(t.Turn)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { counts[i], errs[i] = call(conn, message, answers, begin, end) })
	}
	all.Wait()
	took := time.Since(begin)
	total := uint64(0)
	for _, count := range counts {
		total += count
	}
	closing := conn.Close()
	ended := <-received // the connection was closed
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, ended)
	}
	return []float64{rate(total, took)}, closing
}

// call sends and waits for an answer, again and again. Answers to others are as
// good: there are as many as were sent.
func call(conn peer.Conn, message []byte, answers <-chan struct{}, begin, end time.Time) (count uint64, err error) {
	for {
		if err := errors.Join(conn.Send(message), conn.Flush()); err != nil {
			return count, err
		}
		if _, ok := <-answers; !ok {
			return count, errors.New("the connection ended early")
		}
		now := time.Now()
		if now.After(begin) {
			count++
		}
		if now.After(end) {
			return count, nil
		}
	}
}
