package main

import (
	"context"
	"time"

	"github.com/aip-go/aip/internal/bench/jsoncase"
	"github.com/aip-go/aip/internal/bench/peer"
	"github.com/aip-go/aip/internal/bench/report"
)

// Plan says how much is measured.
type Plan struct {
	Rounds int
	Turn   time.Duration
	// Connections is how many connections echo at the same time, and Large the
	// size of the largest message, in bytes: 64 and 1 MiB but in a quick run.
	Connections, Large int
	// Idle is how many idle connections are opened.
	Idle int
	// Fresh has idle connections opened to a new server, which holds nothing else.
	Fresh bool
	// Frames is how many messages are read for the processor time of one.
	Frames int
	// ResultSize is the size of the largest JSON message, in bytes.
	ResultSize int
}

// The plans: a run to publish, and one that only shows that everything works.
var (
	fullPlan  = Plan{Rounds: 7, Turn: 200 * time.Millisecond, Connections: 64, Large: 1 << 20, Idle: 100, Fresh: true, Frames: 100_000, ResultSize: jsoncase.ResultSize}
	quickPlan = Plan{Rounds: 2, Turn: time.Millisecond, Connections: 4, Large: 128 << 10, Idle: 4, Frames: 500, ResultSize: 8 << 10}
)

// turn is one turn of one peer.
type turn struct {
	Plan
	peer   peer.Peer
	server Server
}

// scenario measures one thing or more at once.
type scenario struct {
	measures []report.Measure
	// fits reports whether the peer can be measured; nil if all can.
	fits func(peer.Peer) bool
	// take takes a turn, and returns a figure per measure.
	take func(ctx context.Context, t turn) ([]float64, error)
}

const (
	perSecond = "messages/s"
	mebibytes = "MiB/s"
)

// wireScenarios are all that measure peers of package peer.
func wireScenarios() []scenario {
	measure := func(name, title, unit string) report.Measure {
		return report.Measure{Name: name, Title: title, Unit: unit, Group: wireGroup.Name}
	}
	less := func(m report.Measure, about string) report.Measure {
		m.Lower, m.About = true, about
		return m
	}
	allocs := less(measure("echo-256-allocs", "Echo of 256 B, allocations", "allocations per echo"),
		"Of both sides together, four steps in all: the message is sent and received twice.")
	allocs.Minor = true
	return []scenario{
		{
			measures: []report.Measure{less(measure("echo-128", "Echo of 128 B, median round trip", "µs"), "")},
			take:     func(ctx context.Context, t turn) ([]float64, error) { return t.echoTime(ctx, 128) },
		},
		{
			measures: []report.Measure{measure("echo-256", "Echo of 256 B", perSecond), allocs},
			take:     func(ctx context.Context, t turn) ([]float64, error) { return t.echoAllocs(ctx, 256) },
		},
		{
			measures: []report.Measure{measure("echo-64k", "Echo of 64 KiB", perSecond)},
			take:     func(ctx context.Context, t turn) ([]float64, error) { return t.echoRate(ctx, 64<<10) },
		},
		{
			measures: []report.Measure{measure("echo-1m", "Echo of 1 MiB", perSecond)},
			take:     func(ctx context.Context, t turn) ([]float64, error) { return t.echoRate(ctx, t.Large) },
		},
		{
			measures: []report.Measure{measure("callers-16", "16 callers on one connection, echo of 256 B", perSecond)},
			take:     func(ctx context.Context, t turn) ([]float64, error) { return t.callers(ctx, 16, 256) },
		},
		{
			measures: []report.Measure{measure("connections-64", "64 connections, echo of 256 B", perSecond)},
			take:     func(ctx context.Context, t turn) ([]float64, error) { return t.connections(ctx, t.Connections, 256) },
		},
		{
			measures: []report.Measure{measure("oneway-256", "One way, 256 B, one sender", perSecond)},
			take:     func(ctx context.Context, t turn) ([]float64, error) { return t.up(ctx, 1, 256, 1) },
		},
		{
			measures: []report.Measure{measure("senders-16", "One way, 256 B, 16 senders on one connection", perSecond)},
			take:     func(ctx context.Context, t turn) ([]float64, error) { return t.up(ctx, 16, 256, 1) },
		},
		{
			measures: []report.Measure{measure("oneway-64k", "One way, 64 KiB, client to server", mebibytes)},
			take:     func(ctx context.Context, t turn) ([]float64, error) { return t.up(ctx, 1, 64<<10, 1.0/16) },
		},
		{
			measures: []report.Measure{measure("oneway-1m-up", "One way, 1 MiB, client to server", mebibytes)},
			take:     func(ctx context.Context, t turn) ([]float64, error) { return t.up(ctx, 1, t.Large, 1) },
		},
		{
			measures: []report.Measure{measure("oneway-1m-down", "One way, 1 MiB, server to client", mebibytes)},
			take:     func(ctx context.Context, t turn) ([]float64, error) { return t.down(ctx, t.Large, 1) },
		},
		{
			measures: []report.Measure{less(measure("read-256", "Processor time to read a message of 256 B", "ns"),
				"A client reads unmasked messages from memory, so that no system call is part of it.")},
			fits: func(p peer.Peer) bool { return p.Bytes },
			take: func(ctx context.Context, t turn) ([]float64, error) { return t.readTime(ctx, 256) },
		},
		{
			measures: []report.Measure{
				less(measure("idle-goroutines", "Idle connection, goroutines of the server", "goroutines per connection"), ""),
				less(measure("idle-memory", "Idle connection, heap and stacks of the server", "KiB per connection"), "After a collection of garbage."),
			},
			fits: func(p peer.Peer) bool { return !p.InProcess },
			take: func(ctx context.Context, t turn) ([]float64, error) { return t.idle(ctx) },
		},
	}
}

var wireGroup = report.Group{
	Name:     "wire",
	Title:    "Messages",
	Baseline: "nhooyr",
	About: "Two processes over the loopback, the client and the server of the same peer, but for the memory pair, whose sides are in one process. " +
		"Every turn opens its own connections and warms up for a fifth of its time.",
}
