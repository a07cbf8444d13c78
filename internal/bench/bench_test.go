package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/aip-go/aip/internal/bench/report"
)

// pythonLibraries is where "make python" installs what the tests need.
var pythonLibraries = filepath.Join("..", "interop", ".python")

// TestEverythingIsMeasured takes the quick turns of every peer in everything
// that is measured. A turn fails if a message is lost or comes back as another.
func TestEverythingIsMeasured(t *testing.T) {
	folder := t.TempDir()
	c := command{
		results: filepath.Join(folder, "results.json"),
		page:    filepath.Join(folder, "performance.md"),
	}
	c.libraries = pythonLibraries
	c.complete(true)
	var out strings.Builder
	if err := c.run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	results := read(t, c.results)
	if !results.Quick {
		t.Error("the results do not say that the run was a quick one")
	}
	for _, s := range scenarios(new(python)) {
		for _, c := range s.contenders {
			for _, m := range s.measures {
				expectFigures(t, results, m.Name, c.name)
			}
		}
	}
	for _, measure := range []string{"json-heartbeat-encode", "json-raw-result-decode"} {
		for _, name := range []string{"encoding/json", "goccy", "sonic", "easyjson", "aip codec"} {
			expectFigures(t, results, measure, name)
		}
	}
	page, err := os.ReadFile(c.page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range results.Measures {
		if !strings.Contains(string(page), "### "+m.Title+"\n") || !strings.Contains(out.String(), m.Title) {
			t.Errorf("%s is missing from the page or the output", m.Name)
		}
		svg, err := os.ReadFile(filepath.Join(folder, "performance", m.Name+".svg"))
		if m.Minor {
			continue
		}
		if err != nil || !bytes.Contains(svg, []byte("<svg")) || !strings.Contains(string(page), "(performance/"+m.Name+".svg)") {
			t.Errorf("%s has no plot: %v", m.Name, err)
		}
	}
}

func read(t *testing.T, path string) *report.Results {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	results, err := report.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func expectFigures(t *testing.T, results *report.Results, measure, name string) {
	t.Helper()
	figures := results.Find(measure, name)
	if len(figures) != quickPlan.Rounds {
		t.Errorf("%s of %s has the figures %v, want one per round", measure, name, figures)
	}
	for _, figure := range figures {
		// What is counted can be nothing, and memory can shrink.
		counted := strings.HasSuffix(measure, "-allocs") || strings.HasPrefix(measure, "idle-") || strings.HasSuffix(measure, "-sender")
		if figure <= 0 && !counted {
			t.Errorf("%s of %s has the figure %v", measure, name, figure)
		}
	}
}

func TestPageFromResults(t *testing.T) {
	folder := t.TempDir()
	measured := command{results: filepath.Join(folder, "results.json"), page: filepath.Join(folder, "first.md")}
	measured.selected = Selection{Peers: regexp.MustCompile("nhooyr|memory"), Measures: regexp.MustCompile("^echo-128$")}
	measured.complete(true)
	if err := measured.run(t.Context(), new(strings.Builder)); err != nil {
		t.Fatal(err)
	}
	again := command{from: measured.results, results: filepath.Join(folder, "again.json"), page: filepath.Join(folder, "again", "first.md")}
	if err := os.Mkdir(filepath.Dir(again.page), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := again.run(t.Context(), new(strings.Builder)); err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]string{
		{measured.results, again.results},
		{measured.page, again.page},
		{filepath.Join(folder, "first", "echo-128.svg"), filepath.Join(folder, "again", "first", "echo-128.svg")},
	} {
		first, err := os.ReadFile(pair[0])
		if err != nil {
			t.Fatal(err)
		}
		second, err := os.ReadFile(pair[1])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s is written in two ways", filepath.Base(pair[0]))
		}
	}
}

func TestTurnsAreTakenInTurns(t *testing.T) {
	var order []string
	contestants := make([]contestant, 3)
	for i, name := range []string{"a", "b", "c"} {
		contestants[i] = contestant{name, i == 0, func(context.Context) ([]float64, error) {
			order = append(order, name)
			return []float64{float64(len(order)), 10 * float64(len(order))}, nil
		}}
	}
	measures := []report.Measure{{Name: "first"}, {Name: "second"}}
	series, err := takeTurns(t.Context(), 2, measures, contestants)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, ""); got != "abcbca" {
		t.Errorf("the turns were %s, want abcbca", got)
	}
	if len(series) != 6 {
		t.Fatalf("%d series, want one per measure and contestant", len(series))
	}
	a := series[3]
	if a.Measure != "second" || a.Peer != "a" || !a.Ours || !slices.Equal(a.Values, []float64{10, 60}) {
		t.Errorf("the second measure of a is %+v", a)
	}
}

func TestFailuresAreReported(t *testing.T) {
	broken := errors.New("broken")
	measures := []report.Measure{{Name: "echo"}}
	for name, take := range map[string]func(context.Context) ([]float64, error){
		"error":   func(context.Context) ([]float64, error) { return nil, broken },
		"figures": func(context.Context) ([]float64, error) { return []float64{1, 2}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := takeTurns(t.Context(), 1, measures, []contestant{{"p", false, take}})
			if err == nil || !strings.HasPrefix(err.Error(), "p, echo: ") {
				t.Errorf("got the error %v", err)
			}
			if name == "error" && !errors.Is(err, broken) {
				t.Errorf("the error %v does not say why", err)
			}
		})
	}
}

func TestATurnEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	defer close(release)
	_, err := inTime(ctx, func(context.Context) ([]float64, error) {
		cancel()
		<-release
		return nil, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got the error %v", err)
	}
}

func TestDigits(t *testing.T) {
	for given, want := range map[float64]float64{0: 0, 123456: 123460, -0.00123456: -0.0012346, 1: 1} {
		if got := digits(given); got != want {
			t.Errorf("%v becomes %v, want %v", given, got, want)
		}
	}
}

// Without the libraries there is no figure of what is in Python, and the page
// says why.
func TestPythonIsLeftOut(t *testing.T) {
	c := command{libraries: t.TempDir()}
	c.selected = Selection{Measures: regexp.MustCompile("^whole-heartbeat$")}
	c.complete(true)
	results, err := c.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := results.Find("whole-heartbeat", pythonName); got != nil {
		t.Errorf("its figures are %v", got)
	}
	expectFigures(t, results, "whole-heartbeat", "aip endpoint")
	if page := results.Page("performance", ""); !strings.Contains(page, "- "+pythonName+": ") || !strings.Contains(page, "make python") {
		t.Errorf("the page does not say why:\n%s", page)
	}
}

func TestProfiles(t *testing.T) {
	c := command{profiles: t.TempDir(), libraries: t.TempDir()}
	c.selected = Selection{Measures: regexp.MustCompile("^typed-command$")}
	c.complete(true)
	if _, err := c.get(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{c.profiles, filepath.Join(c.profiles, "protocol")} {
		for _, name := range []string{"cpu", "allocs", "heap", "block", "mutex"} {
			info, err := os.Stat(filepath.Join(folder, name+".pprof"))
			if err != nil || info.Size() == 0 {
				t.Errorf("there is no profile %s in %s: %v", name, folder, err)
			}
		}
	}
}

func TestWatchSeesThePeak(t *testing.T) {
	const size = 8 << 20
	w := startWatch()
	block := make([]byte, size)
	block[0] = 1
	if got := w.stop(); got < size || got > 2*size {
		t.Errorf("the heap grew by %d bytes, of a block of %d", got, size)
	}
	runtime.KeepAlive(block)
}

func TestServeRefusesAnUnknownPeer(t *testing.T) {
	if err := serve("nobody", strings.NewReader(""), new(strings.Builder)); err == nil {
		t.Error("it serves a peer that does not exist")
	}
}
