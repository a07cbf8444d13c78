package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Page writes the results as a page of Markdown. plots is the folder of the
// plots, as the page links to it; notes is Markdown to end with.
func (r *Results) Page(plots, notes string) string {
	var b strings.Builder
	b.WriteString("# Performance\n\n")
	if r.Quick {
		b.WriteString("> **These figures are of a quick run, which only shows that everything works. They say nothing about speed.**\n\n")
	}
	b.WriteString("This page and its plots are written by `make bench` from `internal/bench/results.json`, which has the figure of every round.\n\n")
	fmt.Fprintf(&b, "Measured on %s with %d processors (%s, %s/%s, %s, GOMAXPROCS=%d for each process). ",
		r.Date, r.Machine.CPUs, r.Machine.CPU, r.Machine.OS, r.Machine.Arch, r.Machine.Go, r.Machine.MaxProcs)
	fmt.Fprintf(&b, "There were %d rounds; in each, every peer had one turn of %s per measure, each round beginning with another peer, so that what else the machine did met all of them alike. ", r.Rounds, r.Turn)
	b.WriteString("Figures are medians over the rounds. A ratio is the median of the ratios to the baseline within the same round, and above 1 the peer is better than the baseline, whether more or less is better.\n")
	for _, g := range r.Groups {
		r.group(&b, g, plots)
	}
	if len(r.Notes) > 0 {
		b.WriteString("\n## Not measured\n\n")
		for _, note := range r.Notes {
			b.WriteString("- " + note + "\n")
		}
	}
	if len(r.Versions) > 0 {
		b.WriteString("\n## Versions\n\n| module | version |\n|---|---|\n")
		for _, v := range r.Versions {
			fmt.Fprintf(&b, "| %s | %s |\n", v.Module, v.Version)
		}
	}
	if notes = strings.TrimSpace(notes); notes != "" {
		b.WriteString("\n" + notes + "\n")
	}
	return b.String()
}

// group writes a summary of all peers, then a table and a plot per measure.
func (r *Results) group(b *strings.Builder, g Group, plots string) {
	var measures []Measure
	for _, m := range r.Measures {
		if m.Group == g.Name && len(r.of(m.Name)) > 0 {
			measures = append(measures, m)
		}
	}
	if len(measures) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n%s The baseline is %s.\n\n", g.Title, g.About, g.Baseline)
	r.summary(b, measures)
	for _, m := range measures {
		fmt.Fprintf(b, "\n### %s\n\n", m.Title)
		if m.About != "" {
			b.WriteString(m.About + "\n\n")
		}
		if !m.Minor {
			fmt.Fprintf(b, "![%s](%s/%s.svg)\n\n", m.Title, plots, m.Name)
		}
		fmt.Fprintf(b, "| peer | median, %s | lowest | highest | ratio |\n|---|---:|---:|---:|---:|\n", m.Unit)
		for _, s := range r.of(m.Name) {
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", name(s),
				number(Median(s.Values)), number(slices.Min(s.Values)), number(slices.Max(s.Values)), times(r.Ratio(m, s)))
		}
	}
}

// summary writes the ratios of all measures and peers.
func (r *Results) summary(b *strings.Builder, measures []Measure) {
	var peers []Series
	for _, m := range measures {
		for _, s := range r.of(m.Name) {
			if !slices.ContainsFunc(peers, func(p Series) bool { return p.Peer == s.Peer }) {
				peers = append(peers, s)
			}
		}
	}
	b.WriteString("| ratio |")
	for _, s := range peers {
		b.WriteString(" " + name(s) + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(peers)) + "\n")
	for _, m := range measures {
		if m.Minor {
			continue
		}
		b.WriteString("| " + m.Title + " |")
		for _, p := range peers {
			ratio := math.NaN()
			if values := r.Find(m.Name, p.Peer); values != nil {
				ratio = r.Ratio(m, Series{Peer: p.Peer, Values: values})
			}
			b.WriteString(" " + strings.TrimSuffix(times(ratio), " ×") + " |")
		}
		b.WriteByte('\n')
	}
}

// name writes a peer's name, ours in bold.
func name(s Series) string {
	if s.Ours {
		return "**" + s.Peer + "**"
	}
	return s.Peer
}
