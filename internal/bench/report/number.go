package report

import (
	"math"
	"strconv"
	"strings"
)

// number writes a figure with three significant digits at least, and a space
// between thousands; – if it is none.
func number(f float64) string {
	switch {
	case math.IsNaN(f):
		return "–"
	case f != 0 && math.Abs(f) < 10:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case math.Abs(f) < 100:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	digits := strconv.FormatFloat(math.Abs(significant(f)), 'f', 0, 64)
	var b strings.Builder
	if f < 0 {
		b.WriteByte('-')
	}
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(digit)
	}
	return b.String()
}

// significant rounds to three digits.
func significant(f float64) float64 {
	if f == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(f)))-2)
	return math.Round(f/unit) * unit
}

// times writes a ratio.
func times(f float64) string {
	if math.IsNaN(f) {
		return "–"
	}
	return strconv.FormatFloat(f, 'f', 2, 64) + " ×"
}
