// Package report keeps the figures of a run, and writes them as tables and
// plots.
package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Results are all figures of a run.
type Results struct {
	Header
	Series []Series
}

// Header says what was measured, and how.
type Header struct {
	Date    string // of the run, as in 2006-01-02
	Quick   bool   // too short to say anything about speed
	Rounds  int
	Turn    string // how long a turn lasts
	Machine Machine
	// Versions are those of the peers' modules.
	Versions []Version
	Groups   []Group
	Measures []Measure
	// Notes say what was not measured, and why.
	Notes []string `json:",omitempty"`
}

// Machine says what was measured on, without names.
type Machine struct {
	OS, Arch, CPU, Go string
	CPUs, MaxProcs    int
}

// Version is the version of a module.
type Version struct{ Module, Version string }

// Group is a set of measures of the same peers.
type Group struct {
	Name, Title string
	// Baseline is the peer that the others are compared with.
	Baseline string
	// About says how it was measured.
	About string
}

// Measure is one thing that is measured.
type Measure struct {
	Name, Title, Group, Unit string
	// Lower marks figures of which the lower ones are better.
	Lower bool
	// Minor keeps it out of summaries, and without a plot.
	Minor bool `json:",omitempty"`
	// About says what else there is to know.
	About string `json:",omitempty"`
}

// Series are the figures of one peer for one measure, one per round.
type Series struct {
	Measure, Peer string
	Ours          bool `json:",omitempty"`
	Values        []float64
}

// Parse reads results and checks that they are complete.
func Parse(data []byte) (*Results, error) {
	r := new(Results)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, err
	}
	return r, r.Check()
}

// Encode writes results, one series a line.
func (r *Results) Encode() ([]byte, error) {
	head, err := json.MarshalIndent(r.Header, "", "\t")
	if err != nil {
		return nil, err
	}
	out := append(bytes.TrimSuffix(head, []byte("\n}")), ",\n\t\"Series\": ["...)
	for i, s := range r.Series {
		if i > 0 {
			out = append(out, ',')
		}
		line, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		out = append(append(out, "\n\t\t"...), line...)
	}
	return append(out, "\n\t]\n}\n"...), nil
}

// Check reports what is missing: every series has a figure for every round.
func (r *Results) Check() error {
	var errs []error
	if len(r.Series) == 0 {
		errs = append(errs, errors.New("report: there are no figures"))
	}
	for _, s := range r.Series {
		if len(s.Values) != r.Rounds {
			errs = append(errs, fmt.Errorf("report: %s of %s has %d figures, there were %d rounds", s.Measure, s.Peer, len(s.Values), r.Rounds))
		}
		if !slices.ContainsFunc(r.Measures, func(m Measure) bool { return m.Name == s.Measure }) {
			errs = append(errs, fmt.Errorf("report: nothing says what %q is", s.Measure))
		}
	}
	return errors.Join(errs...)
}
