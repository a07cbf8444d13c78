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
	// Content is the size of what is sent as a stream, in bytes.
	Content int64
	// Idle is how many idle connections are opened, and Heartbeats the time
	// between those of idle devices.
	Idle       int
	Heartbeats time.Duration
	// Fresh has idle connections opened to a new server, which holds nothing else.
	Fresh bool
	// Frames is how many messages are read for the processor time of one.
	Frames int
	// ResultSize is the size of the largest JSON message, in bytes.
	ResultSize int
	// Profiles is the folder for the profiles of what serves; "" is for none.
	Profiles string
}

// The plans: a run to publish, and one that only shows that everything works.
var (
	fullPlan  = Plan{Rounds: 9, Turn: 150 * time.Millisecond, Connections: 64, Large: 1 << 20, Content: 100 << 20, Idle: 400, Heartbeats: 300 * time.Millisecond, Fresh: true, Frames: 100_000, ResultSize: jsoncase.ResultSize}
	quickPlan = Plan{Rounds: 2, Turn: time.Millisecond, Connections: 4, Large: 128 << 10, Content: 3 << 20, Idle: 4, Heartbeats: 10 * time.Millisecond, Frames: 500, ResultSize: 8 << 10}
)

// turn is one turn of one contender, whose serves and peer it has.
type turn struct {
	Plan
	serves string
	peer   peer.Peer
	server Server
}

// contender takes turns.
type contender struct {
	name string
	ours bool
	// serves is the peer or the service that its other side is; "" if there is
	// none in another process.
	serves string
	// take takes a turn, and returns a figure per measure.
	take func(ctx context.Context, t turn) ([]float64, error)
	// peer is what serves, if that is a peer.
	peer peer.Peer
}

// scenario measures one thing or more at once.
type scenario struct {
	measures   []report.Measure
	contenders []contender
}

// ours is a contender of this project, which a service serves.
func ours(name, serves string, take func(ctx context.Context, t turn) ([]float64, error)) contender {
	return contender{name: name, ours: true, serves: serves, take: take}
}

// theirs is one of others. serves may be "".
func theirs(name, serves string, take func(ctx context.Context, t turn) ([]float64, error)) contender {
	return contender{name: name, serves: serves, take: take}
}

// peers returns the peers that fit, or all of them if fits is nil.
func peers(fits func(peer.Peer) bool, take func(ctx context.Context, t turn) ([]float64, error)) []contender {
	var all []contender
	for _, p := range peer.All() {
		if fits == nil || fits(p) {
			all = append(all, contender{p.Name, p.Ours, p.Name, take, p})
		}
	}
	return all
}

// of returns what makes measures of a group.
func of(g report.Group) func(name, title, unit string) report.Measure {
	return func(name, title, unit string) report.Measure {
		return report.Measure{Name: name, Title: title, Unit: unit, Group: g.Name}
	}
}

// less returns the measure as one of which lower figures are better.
func less(m report.Measure, about string) report.Measure {
	m.Lower, m.About = true, about
	return m
}

const (
	perSecond = "messages/s"
	mebibytes = "MiB/s"
)

// wireScenarios are all that measure peers of package peer.
func wireScenarios() []scenario {
	measure := of(wireGroup)
	allocs := less(measure("echo-256-allocs", "Echo of 256 B, allocations", "allocations per echo"),
		"Of both sides together, four steps in all: the message is sent and received twice.")
	allocs.Minor = true
	return []scenario{
		{
			measures:   []report.Measure{less(measure("echo-128", "Echo of 128 B, median round trip", "µs"), "")},
			contenders: peers(nil, func(ctx context.Context, t turn) ([]float64, error) { return t.echoTime(ctx, 128) }),
		},
		{
			measures:   []report.Measure{measure("echo-256", "Echo of 256 B", perSecond), allocs},
			contenders: peers(nil, func(ctx context.Context, t turn) ([]float64, error) { return t.echoAllocs(ctx, 256) }),
		},
		{
			measures:   []report.Measure{measure("echo-64k", "Echo of 64 KiB", perSecond)},
			contenders: peers(nil, func(ctx context.Context, t turn) ([]float64, error) { return t.echoRate(ctx, 64<<10) }),
		},
		{
			measures:   []report.Measure{measure("echo-1m", "Echo of 1 MiB", perSecond)},
			contenders: peers(nil, func(ctx context.Context, t turn) ([]float64, error) { return t.echoRate(ctx, t.Large) }),
		},
		{
			measures:   []report.Measure{measure("callers-16", "16 callers on one connection, echo of 256 B", perSecond)},
			contenders: peers(nil, func(ctx context.Context, t turn) ([]float64, error) { return t.callers(ctx, 16, 256) }),
		},
		{
			measures:   []report.Measure{measure("connections-64", "64 connections, echo of 256 B", perSecond)},
			contenders: peers(nil, func(ctx context.Context, t turn) ([]float64, error) { return t.connections(ctx, t.Connections, 256) }),
		},
		{
			measures:   []report.Measure{measure("oneway-256", "One way, 256 B, one sender", perSecond)},
			contenders: peers(nil, func(ctx context.Context, t turn) ([]float64, error) { return t.up(ctx, 1, 256, 1) }),
		},
		{
			measures:   []report.Measure{measure("senders-16", "One way, 256 B, 16 senders on one connection", perSecond)},
			contenders: peers(nil, func(ctx context.Context, t turn) ([]float64, error) { return t.up(ctx, 16, 256, 1) }),
		},
		{
			measures:   []report.Measure{measure("oneway-64k", "One way, 64 KiB, client to server", mebibytes)},
			contenders: peers(nil, func(ctx context.Context, t turn) ([]float64, error) { return t.up(ctx, 1, 64<<10, 1.0/16) }),
		},
		{
			measures:   []report.Measure{measure("oneway-1m-up", "One way, 1 MiB, client to server", mebibytes)},
			contenders: peers(nil, func(ctx context.Context, t turn) ([]float64, error) { return t.up(ctx, 1, t.Large, 1) }),
		},
		{
			measures:   []report.Measure{measure("oneway-1m-down", "One way, 1 MiB, server to client", mebibytes)},
			contenders: peers(nil, func(ctx context.Context, t turn) ([]float64, error) { return t.down(ctx, t.Large, 1) }),
		},
		{
			measures: []report.Measure{less(measure("read-256", "Processor time to read a message of 256 B", "ns"),
				"A client reads unmasked messages from memory, so that no system call is part of it.")},
			contenders: peers(func(p peer.Peer) bool { return p.Bytes },
				func(ctx context.Context, t turn) ([]float64, error) { return t.readTime(ctx, 256) }),
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
