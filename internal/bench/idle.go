package main

import (
	"context"
	"errors"

	"github.com/aip-go/aip/internal/bench/peer"
	"github.com/aip-go/aip/internal/bench/report"
	"github.com/aip-go/aip/internal/bench/stack"
)

// idleGroup is about connections over which nothing goes.
var idleGroup = report.Group{
	Name: "idle", Title: "Idle connections", Baseline: "nhooyr",
	About: "The server's process after two collections of garbage, before and while there are 100 connections, opened to a fresh server. " +
		"*aip device* is a registered endpoint.Device, with the session that outlives its connection, which it asks for by default, and heartbeats, of which the server has answered one at least; *without session* asks for none.",
}

func idleScenarios() []scenario {
	measure := of(idleGroup)
	device := func(name string, noSession bool) contender {
		return ours(name, stack.DefaultsService, func(ctx context.Context, t turn) ([]float64, error) {
			return t.idle(ctx, func(ctx context.Context, t turn, n int, look func() error) error {
				_, end, err := stack.OpenDevices(ctx, t.server.Addr(), n, stack.DeviceOptions{Heartbeats: t.Heartbeats, NoSession: noSession})
				if err != nil {
					return err
				}
				return errors.Join(look(), end())
			})
		})
	}
	return []scenario{{
		measures: []report.Measure{
			less(measure("idle-goroutines", "Idle connection, goroutines of the server", "goroutines per connection"), ""),
			less(measure("idle-memory", "Idle connection, heap and stacks of the server", "KiB per connection"), "After a collection of garbage."),
		},
		contenders: append(
			peers(func(p peer.Peer) bool { return !p.InProcess }, func(ctx context.Context, t turn) ([]float64, error) {
				return t.idle(ctx, func(ctx context.Context, t turn, n int, look func() error) error { return t.openIdle(ctx, n, look) })
			}),
			device("aip device", false), device("aip device without session", true)),
	}}
}

// idle returns the goroutines and the KiB that an idle connection costs the
// server. open opens connections, calls look, and closes them.
func (t turn) idle(ctx context.Context, open func(ctx context.Context, t turn, n int, look func() error) error) (_ []float64, err error) {
	if t.Fresh {
		if t.server, err = startProcess(t.serves, ""); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, t.server.Close()) }()
	}
	if err := open(ctx, t, 1, nothing); err != nil { // what is made once
		return nil, err
	}
	before, err := t.server.Stats(true)
	if err != nil {
		return nil, err
	}
	var after Stats
	err = open(ctx, t, t.Idle, func() (err error) {
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
