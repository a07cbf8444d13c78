package report

import (
	"math"
	"slices"
)

// Median returns the median of the values; not a number if there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Ratio returns the median, over the rounds, of how many times better than the
// baseline the peer was in the same round; not a number if that cannot be said.
func Ratio(values, baseline []float64, lower bool) float64 {
	var ratios []float64
	for i := range min(len(values), len(baseline)) {
		of, to := values[i], baseline[i]
		if lower {
			of, to = to, of
		}
		if of > 0 && to > 0 {
			ratios = append(ratios, of/to)
		}
	}
	return Median(ratios)
}

// Find returns the figures of a peer for a measure; nil if there are none.
func (r *Results) Find(measure, peer string) []float64 {
	for _, s := range r.Series {
		if s.Measure == measure && s.Peer == peer {
			return s.Values
		}
	}
	return nil
}

// of returns the measure's series that have figures, in the order of the peers.
func (r *Results) of(measure string) []Series {
	var all []Series
	for _, s := range r.Series {
		if s.Measure == measure {
			all = append(all, s)
		}
	}
	return all
}

// Ratio returns the ratio of a series to its group's baseline.
func (r *Results) Ratio(m Measure, s Series) float64 {
	for _, g := range r.Groups {
		if g.Name == m.Group {
			return Ratio(s.Values, r.Find(m.Name, g.Baseline), m.Lower)
		}
	}
	return math.NaN()
}
