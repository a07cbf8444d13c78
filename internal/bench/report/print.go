package report

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Print writes medians and ratios for a terminal.
func (r *Results) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, m := range r.Measures {
		all := r.of(m.Name)
		if len(all) == 0 {
			continue
		}
		fmt.Fprintf(t, "\n%s\t%s\tratio\n", m.Title, m.Unit)
		for _, s := range all {
			fmt.Fprintf(t, "  %s\t%s\t%s\n", s.Peer, number(Median(s.Values)), times(r.Ratio(m, s)))
		}
	}
	return t.Flush()
}
