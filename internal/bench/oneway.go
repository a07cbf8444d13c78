package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aip-go/aip/internal/bench/peer"
)

// up sends from the client to the server, with some senders, and returns
// messages per second times factor. The time ends when the server has answered
// that it has them all.
func (t turn) up(ctx context.Context, senders, size int, factor float64) (_ []float64, err error) {
	conn, err := t.open(ctx, peer.Sink)
	if err != nil {
		return nil, err
	}
	counts, received := make(chan uint64), make(chan error, 1)
	go func() {
		defer close(counts)
		received <- conn.Receive(func(answer []byte) error {
			count, err := peer.ParseCount(answer)
			if err != nil {
				return err
			}
			counts <- count
			return nil
		})
	}()
	message := peer.Payload(size)
	sent := uint64(0)
	measure := func(duration time.Duration) (uint64, time.Duration, error) {
		start := time.Now()
		n, err := sendAll(conn, senders, message, duration)
		if err != nil {
			return 0, 0, err
		}
		if err := errors.Join(conn.Send(peer.End), conn.Flush()); err != nil {
			return 0, 0, err
		}
		count, ok := <-counts
		took := time.Since(start)
		sent += n
		switch {
		case !ok:
			return 0, 0, errors.New("the connection ended early")
		case count != sent:
			return 0, 0, fmt.Errorf("%d messages were sent and %d received", sent, count)
		}
		return n, took, nil
	}
	_, _, err = measure(t.warm())
	var n uint64
	var took time.Duration
	if err == nil {
		n, took, err = measure(t.Turn)
	}
	closing := conn.Close()
	for range counts { // until the receiver has ended
	}
	ended := <-received
	if err != nil {
		return nil, errors.Join(err, ended)
	}
	return []float64{rate(n, took) * factor}, closing
}

// sendAll sends for a duration, and returns how many messages.
func sendAll(conn peer.Conn, senders int, message []byte, duration time.Duration) (uint64, error) {
	if senders == 1 {
		return peer.SendFor(conn, message, duration)
	}
	counts, errs := make([]uint64, senders), make([]error, senders)
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() { counts[i], errs[i] = peer.SendFor(conn, message, duration) })
	}
	all.Wait()
	total := uint64(0)
	for _, count := range counts {
		total += count
	}
	return total, errors.Join(errs...)
}

// down has the server send to the client, and returns messages per second times
// factor.
func (t turn) down(ctx context.Context, size int, factor float64) (_ []float64, err error) {
	var figure float64
	for _, duration := range []time.Duration{t.warm(), t.Turn} {
		if figure, err = t.downFor(ctx, size, duration); err != nil {
			return nil, err
		}
	}
	return []float64{figure * factor}, nil
}

func (t turn) downFor(ctx context.Context, size int, duration time.Duration) (_ float64, err error) {
	start := time.Now()
	conn, err := t.open(ctx, peer.Source(size, duration))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	got, count := uint64(0), uint64(0)
	err = conn.Receive(func(message []byte) error {
		if len(message) == size {
			if got++; got == 1 {
				return same(message, peer.Payload(size))
			}
			return nil
		}
		if count, err = peer.ParseCount(message); err != nil {
			return err
		}
		return peer.ErrDone
	})
	took := time.Since(start)
	if err := done(err); err != nil {
		return 0, err
	}
	if got != count {
		return 0, fmt.Errorf("%d messages were sent and %d received", count, got)
	}
	return rate(got, took), nil
}
