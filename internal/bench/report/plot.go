package report

import (
	"bytes"
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

var (
	oursColor  = color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}
	theirColor = color.RGBA{R: 0xb0, G: 0xb0, B: 0xb0, A: 0xff}
)

// Plot draws a measure's medians as bars, ours in blue, as SVG.
func (r *Results) Plot(m Measure) ([]byte, error) {
	all := r.of(m.Name)
	slices.Reverse(all) // the first one is drawn at the bottom
	p := plot.New()
	p.Title.Text = m.Title
	p.X.Label.Text = m.Unit
	if m.Lower {
		p.X.Label.Text += " (less is better)"
	} else {
		p.X.Label.Text += " (more is better)"
	}
	p.X.Min = 0
	ours, theirs := make(plotter.Values, len(all)), make(plotter.Values, len(all))
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.Peer
		if s.Ours {
			ours[i] = Median(s.Values)
		} else {
			theirs[i] = Median(s.Values)
		}
	}
	for _, bars := range []struct {
		values plotter.Values
		color  color.Color
	}{{ours, oursColor}, {theirs, theirColor}} {
		chart, err := plotter.NewBarChart(bars.values, vg.Points(12))
		if err != nil {
			return nil, err
		}
		chart.Horizontal = true
		chart.Color = bars.color
		chart.LineStyle.Width = 0
		p.Add(chart)
	}
	p.NominalY(names...)
	canvas := vgsvg.New(16*vg.Centimeter, vg.Length(len(all))*0.65*vg.Centimeter+2.5*vg.Centimeter)
	p.Draw(draw.New(canvas))
	var out bytes.Buffer
	_, err := canvas.WriteTo(&out)
	return out.Bytes(), err
}
