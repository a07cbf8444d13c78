package main

import (
	"context"
	"errors"
	"time"

	"github.com/aip-go/aip/internal/bench/report"
	"github.com/aip-go/aip/internal/bench/stack"
)

// typedGroup is about what the protocol adds to the transport.
var typedGroup = report.Group{
	Name: "typed", Title: "Typed messages", Baseline: "aip transport",
	About: "A call of package protocol (encode, send, receive, decode, validate, dispatch, and the same for its reply) beside the transport alone, which sends frames of the same sizes, and nothing else. " +
		"In both, one caller waits for its reply before it sends the next message.",
}

func typedScenarios() []scenario {
	measure := of(typedGroup)
	// call opens a connection of either kind.
	type open func(ctx context.Context, addr string) (stack.Call, func() error, error)
	bytes := func(texts func() (message, answer []byte, err error), callers int) open {
		return func(ctx context.Context, addr string) (stack.Call, func() error, error) {
			message, answer, err := texts()
			if err != nil {
				return nil, nil, err
			}
			return stack.OpenBytes(ctx, addr, message, answer, callers)
		}
	}
	drive := func(callers int, open open) func(context.Context, turn) ([]float64, error) {
		return func(ctx context.Context, t turn) ([]float64, error) {
			f, err := t.drive(ctx, callers, open)
			return []float64{f.Rate}, err
		}
	}
	both := func(name, title string, callers int, texts func() (message, answer []byte, err error), typed open) scenario {
		return scenario{
			measures: []report.Measure{measure(name, title, "calls/s")},
			contenders: []contender{
				ours("aip transport", stack.TypedService, drive(callers, bytes(texts, callers))),
				ours("aip protocol", stack.TypedService, drive(callers, typed)),
			},
		}
	}
	return []scenario{
		both("typed-heartbeat", "Heartbeat and reply, one caller", 1, stack.HeartbeatBytes, stack.OpenHeartbeats),
		both("typed-command", "Command and results, one caller", 1, stack.CommandBytes, stack.OpenCommands),
		both("typed-command-16", "Command and results, 16 callers on one connection", 16, stack.CommandBytes, stack.OpenCommands),
	}
}

// drive opens a connection and calls for a turn, after the warm-up.
func (t turn) drive(ctx context.Context, callers int, open func(ctx context.Context, addr string) (stack.Call, func() error, error)) (stack.Figures, error) {
	call, end, err := open(ctx, t.server.Addr())
	if err != nil {
		return stack.Figures{}, err
	}
	begin := time.Now().Add(t.warm())
	f, err := stack.Drive(callers, begin, begin.Add(t.Turn), func(int) error { return call() })
	return f, errors.Join(err, end())
}
