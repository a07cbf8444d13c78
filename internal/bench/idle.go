package main

import (
	"context"
	"errors"

	"github.com/aip-go/aip/internal/bench/peer"
)

// idle returns the goroutines and the KiB that an idle connection costs the
// server.
func (t turn) idle(ctx context.Context) (_ []float64, err error) {
	if t.Fresh {
		if t.server, err = startServer(t.peer); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, t.server.Close()) }()
	}
	if err := t.openIdle(ctx, 1, func() error { return nil }); err != nil { // what is made once
		return nil, err
	}
	before, err := t.server.Stats(true)
	if err != nil {
		return nil, err
	}
	var after Stats
	err = t.openIdle(ctx, t.Idle, func() (err error) {
		after, err = t.server.Stats(true)
		return err
	})
	n := float64(t.Idle)
	return []float64{
		float64(after.Goroutines-before.Goroutines) / n,
		(float64(after.Bytes) - float64(before.Bytes)) / 1024 / n,
	}, err
}

// openIdle opens n connections, calls look, and closes them.
func (t turn) openIdle(ctx context.Context, n int, look func() error) (err error) {
	received := make(chan error, n)
	var conns []peer.Conn
	defer func() {
		for _, conn := range conns {
			err = errors.Join(err, conn.Close())
		}
		for range conns {
			<-received // the connection was closed
		}
	}()
	ready := make(chan struct{}, n)
	for range n {
		conn, err := t.open(ctx, peer.Idle)
		if err != nil {
			return err
		}
		conns = append(conns, conn)
		go func() {
			received <- conn.Receive(func([]byte) error {
				ready <- struct{}{}
				return nil
			})
		}()
		select {
		case <-ready:
		case err := <-received:
			received <- err
			return errors.Join(errors.New("the connection ended early"), err)
		}
	}
	return look()
}
