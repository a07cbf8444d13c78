package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"runtime"
	"time"

	"github.com/aip-go/aip/internal/bench/report"
)

// Selection says which peers and measures are taken; nil is all of them.
type Selection struct{ Peers, Measures *regexp.Regexp }

func matches(r *regexp.Regexp, name string) bool { return r == nil || r.MatchString(name) }

// contestant is what takes a turn.
type contestant struct {
	name string
	ours bool
	take func(ctx context.Context) ([]float64, error)
}

// runScenarios takes the turns of all scenarios.
func runScenarios(ctx context.Context, plan Plan, selected Selection, scenarios []scenario) (measures []report.Measure, series []report.Series, err error) {
	servers := make(map[string]Server)
	defer func() {
		for name, server := range servers {
			if closing := server.Close(); closing != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", name, closing))
			}
		}
	}()
	for _, s := range scenarios {
		if !matches(selected.Measures, s.measures[0].Name) {
			continue
		}
		var contestants []contestant
		for _, c := range s.contenders {
			if !matches(selected.Peers, c.name) {
				continue
			}
			if c.serves != "" && servers[c.serves] == nil {
				server, err := c.start(plan.Profiles)
				if err != nil {
					return nil, nil, fmt.Errorf("%s: %w", c.serves, err)
				}
				servers[c.serves] = server
			}
			t := turn{plan, c.serves, c.peer, servers[c.serves]}
			contestants = append(contestants, contestant{c.name, c.ours, func(ctx context.Context) ([]float64, error) { return c.take(ctx, t) }})
		}
		began := time.Now()
		taken, err := takeTurns(ctx, plan.Rounds, s.measures, contestants)
		if err != nil {
			return nil, nil, err
		}
		fmt.Fprintf(os.Stderr, "%s: %.1f s\n", s.measures[0].Title, time.Since(began).Seconds())
		measures, series = append(measures, s.measures...), append(series, taken...)
	}
	return measures, series, nil
}

// takeTurns has every contestant take its turn in every round, each round
// beginning with another one.
func takeTurns(ctx context.Context, rounds int, measures []report.Measure, contestants []contestant) ([]report.Series, error) {
	n := len(measures)
	series := make([]report.Series, n*len(contestants))
	for i, c := range contestants {
		for k, m := range measures {
			series[k*len(contestants)+i] = report.Series{Measure: m.Name, Peer: c.name, Ours: c.ours}
		}
	}
	for round := range rounds {
		for k := range contestants {
			i := (round + k) % len(contestants)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			runtime.GC() // what the one before left
			figures, err := inTime(ctx, contestants[i].take)
			if err == nil && len(figures) != n {
				err = fmt.Errorf("%d figures for %d measures", len(figures), n)
			}
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", contestants[i].name, measures[0].Name, err)
			}
			for k, figure := range figures {
				s := &series[k*len(contestants)+i]
				s.Values = append(s.Values, digits(figure))
			}
		}
	}
	return series, nil
}

// maxTurn bounds a turn, whatever it waits for.
const maxTurn = 15 * time.Second

// inTime gives up a turn that takes too long, or when the context ends. What
// the turn has begun is left to the end of the program.
func inTime(ctx context.Context, take func(context.Context) ([]float64, error)) ([]float64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, maxTurn, errors.New("the turn does not end"))
	defer cancel()
	var figures []float64
	taken := make(chan error, 1)
	go func() {
		got, err := take(ctx)
		figures = got
		taken <- err
	}()
	select {
	case err := <-taken:
		return figures, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// digits rounds to five significant digits, which is more than is known.
func digits(f float64) float64 {
	if f == 0 || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0
	}
	unit := math.Pow(10, 4-math.Floor(math.Log10(math.Abs(f))))
	return math.Round(f*unit) / unit
}
