package main

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/bytedance/sonic"
	"github.com/goccy/go-json"
	"github.com/mailru/easyjson"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/internal/bench/jsoncase"
	"github.com/aip-go/aip/internal/bench/report"
	"github.com/aip-go/aip/messages"
)

const jsonBaseline = "encoding/json"

// libraries are those that this program contains.
func libraries() []jsoncase.Library {
	return []jsoncase.Library{
		{Name: jsonBaseline, Marshal: stdjson.Marshal, Unmarshal: stdjson.Unmarshal},
		{
			Name:      "goccy",
			Marshal:   func(m any) ([]byte, error) { return json.Marshal(m) },
			Unmarshal: func(text []byte, m any) error { return json.Unmarshal(text, m) },
		},
		{Name: "sonic", Marshal: sonic.Marshal, Unmarshal: sonic.Unmarshal},
		{
			Name:      "easyjson",
			Marshal:   func(m any) ([]byte, error) { return easyjson.Marshal(m.(easyjson.Marshaler)) },
			Unmarshal: func(text []byte, m any) error { return easyjson.Unmarshal(text, m.(easyjson.Unmarshaler)) },
		},
	}
}

// jsonGroups are the two ways to treat free-form values.
var jsonGroups = []struct {
	report.Group
	leave bool
}{
	{report.Group{
		Name: "json", Title: "JSON, free-form values parsed by the peers", Baseline: jsonBaseline,
		About: "One goroutine, for half a turn. The peers read free-form values into maps and slices, as most programs do; the codec leaves them as text, after it has checked it. The codec also checks what the protocol demands of a message, which the peers do not.",
	}, false},
	{report.Group{
		Name: "json-raw", Title: "JSON, free-form values left as text", Baseline: jsonBaseline,
		About: "As above, but the peers leave free-form values as text too, as json.RawMessage.",
	}, true},
}

// runJSON measures the codec and the JSON libraries.
func runJSON(ctx context.Context, plan Plan, selected Selection, jsonv2 string) (groups []report.Group, measures []report.Measure, series []report.Series, err error) {
	var other *jsonProcess
	if jsonv2 != "" && matches(selected.Peers, jsonv2Name) {
		if other, err = startJSON(jsonv2); err != nil {
			return nil, nil, nil, err
		}
		defer func() { err = errors.Join(err, other.close()) }()
	}
	for _, g := range jsonGroups {
		groups = append(groups, g.Group)
		for _, c := range jsoncase.All(plan.ResultSize) {
			for _, encode := range []bool{true, false} {
				of := jsonMeasures(g.Group, c, encode)
				if !matches(selected.Measures, of[0].Name) {
					continue
				}
				contestants, err := jsonContestants(plan, selected, other, c, g.leave, encode)
				if err != nil {
					return nil, nil, nil, err
				}
				fmt.Fprintln(os.Stderr, of[0].Title)
				taken, err := takeTurns(ctx, plan.Rounds, of, contestants)
				if err != nil {
					return nil, nil, nil, err
				}
				measures, series = append(measures, of...), append(series, taken...)
			}
		}
	}
	return groups, measures, series, nil
}

// jsonMeasures are the time and the allocations of encoding or decoding.
func jsonMeasures(g report.Group, c jsoncase.Case, encode bool) []report.Measure {
	name, title := g.Name+"-"+c.Name+"-decode", "Decode a "+c.Title
	if encode {
		name, title = g.Name+"-"+c.Name+"-encode", "Encode a "+c.Title
	}
	return []report.Measure{
		{Name: name, Title: title, Group: g.Name, Unit: "ns", Lower: true},
		{Name: name + "-allocs", Title: title + ", allocations", Group: g.Name, Unit: "allocations", Lower: true, Minor: true},
	}
}

func jsonContestants(plan Plan, selected Selection, other *jsonProcess, c jsoncase.Case, leave, encode bool) ([]contestant, error) {
	var all []contestant
	add := func(name string, ours bool, step func() error) {
		all = append(all, contestant{name, ours, func(context.Context) ([]float64, error) {
			figures, err := jsoncase.Take(step, plan.Turn/2)
			return []float64{figures.Time, figures.Allocs}, err
		}})
	}
	for _, l := range libraries() {
		if !matches(selected.Peers, l.Name) {
			continue
		}
		step, err := l.Step(c, leave, encode)
		if err == nil {
			err = l.Verify(c, leave)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", l.Name, c.Name, err)
		}
		add(l.Name, false, step)
	}
	if other != nil {
		request := jsoncase.Request{Case: c.Name, Size: plan.ResultSize, Leave: leave, Encode: encode, Turn: plan.Turn / 2}
		all = append(all, contestant{jsonv2Name, false, func(context.Context) ([]float64, error) {
			figures, err := other.take(request)
			return []float64{figures.Time, figures.Allocs}, err
		}})
	}
	if matches(selected.Peers, codecName) {
		step, err := codecStep(c, encode)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", codecName, c.Name, err)
		}
		add(codecName, true, step)
	}
	return all, nil
}

const (
	codecName  = "aip codec"
	jsonv2Name = "encoding/json/v2"
)

// codecStep returns one encoding or decoding by the SDK's codec, verified.
func codecStep(c jsoncase.Case, encode bool) (func() error, error) {
	model := func() any {
		if c.Server {
			return new(messages.ServerMessage)
		}
		return new(messages.ClientMessage)
	}
	m := model()
	if err := (codec.JSON{}).Decode(c.Text, m); err != nil {
		return nil, err
	}
	buffer, err := codec.JSON{}.Append(nil, m)
	if err != nil {
		return nil, err
	}
	if err := jsoncase.Same(buffer, c.Text); err != nil {
		return nil, err
	}
	if !encode {
		return func() error { return codec.JSON{}.Decode(c.Text, model()) }, nil
	}
	return func() (err error) {
		buffer, err = codec.JSON{}.Append(buffer[:0], m)
		return err
	}, nil
}

// jsonProcess takes turns in another program.
type jsonProcess struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	replies *stdjson.Decoder
}

func startJSON(program string) (*jsonProcess, error) {
	p := &jsonProcess{cmd: exec.Command(program)}
	p.cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", maxProcs))
	p.cmd.Stderr = os.Stderr
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.replies = stdjson.NewDecoder(stdout)
	return p, p.cmd.Start()
}

func (p *jsonProcess) take(r jsoncase.Request) (jsoncase.Figures, error) {
	if err := stdjson.NewEncoder(p.stdin).Encode(r); err != nil {
		return jsoncase.Figures{}, err
	}
	var answer jsoncase.Reply
	err := p.replies.Decode(&answer)
	if err == nil && answer.Error != "" {
		err = errors.New(answer.Error)
	}
	return answer.Figures, err
}

func (p *jsonProcess) close() error {
	err := p.stdin.Close()
	overdue := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() }) // Wait reports it
	defer overdue.Stop()
	return errors.Join(err, p.cmd.Wait())
}
