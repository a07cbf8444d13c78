package main

import (
	"context"

	"github.com/aip-go/aip/internal/bench/report"
	"github.com/aip-go/aip/internal/bench/stack"
)

// toolsGroup is about the calls of tools.
var toolsGroup = report.Group{
	Name: "tools", Title: "Tool calls", Baseline: "MCP",
	About: "A tool that returns its parameters, a text of 62 bytes; both sides describe and check them by the schema of the same Go type. " +
		"*MCP* is github.com/modelcontextprotocol/go-sdk over streamable HTTP with its defaults: each connection is a session of its own, whose client calls the server's tool. *MCP, plain JSON* answers without events, and keeps no stream of them open. " +
		"*aip endpoint* is an endpoint.Server of which one task per connection calls the tool of an endpoint.Device with Task.Do. " +
		"In both, the one that calls is where an agent would run, and the tool is in the other process.",
}

func toolsScenarios() []scenario {
	measure := of(toolsGroup)
	with := func(connections func(turn) int, figure func(stack.Figures) float64) []contender {
		mcp := func(plainJSON bool) func(context.Context, turn) ([]float64, error) {
			return func(ctx context.Context, t turn) ([]float64, error) {
				f, err := stack.MCPTools(ctx, t.server.Addr(), connections(t), plainJSON, t.warm(), t.Turn)
				return []float64{figure(f)}, err
			}
		}
		return []contender{
			theirs("MCP", stack.MCPService, mcp(false)),
			theirs("MCP, plain JSON", stack.MCPService, mcp(true)),
			ours("aip endpoint", stack.EndpointService, func(ctx context.Context, t turn) ([]float64, error) {
				f, err := stack.Tools(ctx, t.server.Addr(), connections(t), t.warm(), t.Turn)
				return []float64{figure(f)}, err
			}),
		}
	}
	return []scenario{
		{
			measures:   []report.Measure{less(measure("tool-1", "Tool call, one connection, median time", "µs"), "")},
			contenders: with(func(turn) int { return 1 }, func(f stack.Figures) float64 { return f.Median }),
		},
		{
			measures:   []report.Measure{measure("tool-64", "Tool calls, 64 connections", "calls/s")},
			contenders: with(func(t turn) int { return t.Connections }, func(f stack.Figures) float64 { return f.Rate }),
		},
	}
}
