package report_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aip-go/aip/internal/bench/report"
)

// sample is a run of three rounds.
func sample() *report.Results {
	return &report.Results{
		Header: report.Header{
			Date: "2026-01-02", Rounds: 3, Turn: "200ms",
			Machine:  report.Machine{OS: "linux", Arch: "amd64", CPU: "a processor", Go: "go1.26", CPUs: 2, MaxProcs: 2},
			Versions: []report.Version{{Module: "example.com/b", Version: "v1.2.3"}},
			Groups:   []report.Group{{Name: "wire", Title: "Messages", Baseline: "b", About: "Over the loopback."}},
			Measures: []report.Measure{
				{Name: "echo", Title: "Echo", Group: "wire", Unit: "messages/s"},
				{Name: "time", Title: "Round trip", Group: "wire", Unit: "µs", Lower: true, About: "It is short."},
				{Name: "allocs", Title: "Allocations", Group: "wire", Unit: "allocations", Lower: true, Minor: true},
			},
			Notes: []string{"c: it is not installed."},
		},
		Series: []report.Series{
			{Measure: "echo", Peer: "a", Ours: true, Values: []float64{2000, 300, 8000}},
			{Measure: "echo", Peer: "b", Values: []float64{1000, 100, 2000}},
			{Measure: "time", Peer: "a", Ours: true, Values: []float64{10, 20, 30}},
			{Measure: "time", Peer: "b", Values: []float64{20, 20, 45}},
			{Measure: "allocs", Peer: "a", Ours: true, Values: []float64{0, 0, 0}},
		},
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{{[]float64{7}, 7}, {[]float64{9, 1, 4}, 4}, {[]float64{9, 1, 4, 2}, 3}} {
		if got := report.Median(test.values); got != test.want {
			t.Errorf("the median of %v is %v, want %v", test.values, got, test.want)
		}
	}
	if got := report.Median(nil); !math.IsNaN(got) {
		t.Errorf("the median of nothing is %v", got)
	}
	values := []float64{3, 1, 2}
	report.Median(values)
	if values[0] != 3 {
		t.Error("the values were sorted")
	}
}

// The ratio is that of the rounds, and not of the medians.
func TestRatio(t *testing.T) {
	for _, test := range []struct {
		of, to []float64
		lower  bool
		want   float64
	}{
		{[]float64{2000, 300, 8000}, []float64{1000, 100, 2000}, false, 3},
		{[]float64{10, 20, 30}, []float64{20, 20, 45}, true, 1.5},
		{[]float64{5}, []float64{5}, true, 1},
	} {
		if got := report.Ratio(test.of, test.to, test.lower); got != test.want {
			t.Errorf("the ratio of %v to %v is %v, want %v", test.of, test.to, got, test.want)
		}
	}
	for _, none := range [][2][]float64{{nil, {1}}, {{1}, nil}, {{0}, {1}}, {{1}, {0}}} {
		if got := report.Ratio(none[0], none[1], true); !math.IsNaN(got) {
			t.Errorf("the ratio of %v to %v is %v", none[0], none[1], got)
		}
	}
}

func TestResultsAreWrittenAndRead(t *testing.T) {
	data, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	results, err := report.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := results.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, again) {
		t.Errorf("written again they are\n%s\nand not\n%s", again, data)
	}
	if got, want := strings.Count(string(data), "\n\t\t{\"Measure\":"), len(sample().Series); got != want {
		t.Errorf("%d lines of figures, want %d", got, want)
	}
}

func TestIncompleteResultsAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*report.Results){
		"round":   func(r *report.Results) { r.Series[1].Values = r.Series[1].Values[1:] },
		"measure": func(r *report.Results) { r.Measures = r.Measures[1:] },
		"figures": func(r *report.Results) { r.Series = nil },
	} {
		t.Run(name, func(t *testing.T) {
			results := sample()
			spoil(results)
			if results.Check() == nil {
				t.Error("they were taken for complete")
			}
		})
	}
}

func TestPage(t *testing.T) {
	got := sample().Page("performance", "## What bounds it\n\nThe wire.\n")
	golden := filepath.Join("testdata", "page.md")
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the page is\n%s\nand not that of %s", got, golden)
	}
	quick := sample()
	quick.Quick = true
	if page := quick.Page("performance", ""); !strings.Contains(page, "quick run") {
		t.Error("the page of a quick run does not say so")
	}
}

func TestPlot(t *testing.T) {
	results := sample()
	first, err := results.Plot(results.Measures[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"<svg", "Round trip", "less is better", ">a<", ">b<"} {
		if !bytes.Contains(first, []byte(text)) {
			t.Errorf("the plot has no %q", text)
		}
	}
	second, err := results.Plot(results.Measures[1])
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the plot is drawn in two ways, %v", err)
	}
}

func TestPrint(t *testing.T) {
	var out strings.Builder
	if err := sample().Print(&out); err != nil {
		t.Fatal(err)
	}
	if want := "\nRound trip  µs    ratio\n  a         20.0  1.50 ×\n  b         20.0  1.00 ×\n"; !strings.Contains(out.String(), want) {
		t.Errorf("got %q, want %q in it", out.String(), want)
	}
}
