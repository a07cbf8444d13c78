package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/aip-go/aip/internal/bench/report"
)

// command is what is to be done.
type command struct {
	plan             Plan
	quick            bool
	selected         Selection
	results, from    string
	page, notes      string
	jsonv2, profiles string
	libraries        string // in Python
}

// complete fills in what was not given.
func (c *command) complete(quick bool) {
	c.quick = quick
	whole := fullPlan
	if quick {
		whole = quickPlan
	}
	if c.plan.Rounds != 0 {
		whole.Rounds = c.plan.Rounds
	}
	if c.plan.Turn != 0 {
		whole.Turn = c.plan.Turn
	}
	whole.Profiles = c.profiles
	c.plan = whole
}

// run measures, or reads what was measured, and writes it.
func (c *command) run(ctx context.Context, out io.Writer) error {
	results, err := c.get(ctx)
	if err != nil {
		return err
	}
	if err := results.Print(out); err != nil {
		return err
	}
	if c.results != "" {
		data, err := results.Encode()
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.results, data, 0o644); err != nil {
			return err
		}
	}
	if c.page == "" {
		return nil
	}
	return writePage(results, c.page, c.notes)
}

func (c *command) get(ctx context.Context) (*report.Results, error) {
	if c.from != "" {
		data, err := os.ReadFile(c.from)
		if err != nil {
			return nil, err
		}
		return report.Parse(data)
	}
	results, err := c.measure(ctx)
	if err != nil {
		return nil, err
	}
	return results, results.Check()
}

// measure takes all turns.
func (c *command) measure(ctx context.Context) (results *report.Results, err error) {
	stop, err := startProfiles(c.profiles)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	results = &report.Results{Header: report.Header{
		Date:    time.Now().UTC().Format(time.DateOnly),
		Quick:   c.quick,
		Rounds:  c.plan.Rounds,
		Turn:    c.plan.Turn.String(),
		Machine: machine(),
		Groups:  []report.Group{wireGroup, typedGroup, contentGroup, idleGroup, toolsGroup, wholeGroup},
	}}
	if c.jsonv2 == "" {
		results.Notes = append(results.Notes, "encoding/json/v2: its program was not given.")
	}
	results.Versions = versions()
	var inPython *python
	if missing := pythonInstalled(c.libraries); missing != nil {
		results.Notes = append(results.Notes, fmt.Sprintf("%s: %v.", pythonName, missing))
	} else {
		if inPython, err = startPython(c.libraries); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, inPython.close()) }()
		results.Versions = append(results.Versions, inPython.versions...)
	}
	results.Measures, results.Series, err = runScenarios(ctx, c.plan, c.selected, scenarios(inPython))
	if err != nil {
		return nil, err
	}
	groups, measures, series, err := runJSON(ctx, c.plan, c.selected, c.jsonv2)
	if err != nil {
		return nil, err
	}
	results.Groups, results.Measures, results.Series = append(results.Groups, groups...), append(results.Measures, measures...), append(results.Series, series...)
	return results, nil
}

// scenarios are all but those of JSON.
func scenarios(inPython *python) []scenario {
	return slices.Concat(wireScenarios(), typedScenarios(), contentScenarios(), idleScenarios(), toolsScenarios(), wholeScenarios(inPython))
}

// writePage writes the page, and its plots to the folder of its name.
func writePage(results *report.Results, page, notes string) error {
	var end []byte
	if notes != "" {
		var err error
		if end, err = os.ReadFile(notes); err != nil {
			return err
		}
	}
	plots := strings.TrimSuffix(page, filepath.Ext(page))
	if err := os.MkdirAll(plots, 0o755); err != nil {
		return err
	}
	for _, m := range results.Measures {
		if m.Minor {
			continue
		}
		svg, err := results.Plot(m)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(plots, m.Name+".svg"), svg, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(page, []byte(results.Page(filepath.Base(plots), string(end))), 0o644)
}

// machine describes this one.
func machine() report.Machine {
	return report.Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPU: processor(), Go: runtime.Version(),
		CPUs: runtime.NumCPU(), MaxProcs: maxProcs,
	}
}

// processor returns the name of the processor where the system tells it.
func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "a processor of unknown name"
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "a processor of unknown name"
}

// modules are those whose versions matter.
var modules = []string{
	"nhooyr.io/websocket", "github.com/coder/websocket", "github.com/gorilla/websocket", "github.com/lxzan/gws",
	"github.com/gobwas/ws", "google.golang.org/grpc", "github.com/quic-go/quic-go", "github.com/nats-io/nats.go",
	"github.com/nats-io/nats-server/v2", "github.com/goccy/go-json", "github.com/bytedance/sonic", "github.com/mailru/easyjson",
	"github.com/modelcontextprotocol/go-sdk",
}

// versions returns those of the modules that this program is made of.
func versions() []report.Version {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	var all []report.Version
	for _, m := range info.Deps {
		if slices.Contains(modules, m.Path) {
			all = append(all, report.Version{Module: m.Path, Version: m.Version})
		}
	}
	return all
}
