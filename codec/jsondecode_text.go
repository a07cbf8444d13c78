package codec

import (
	"strings"

	"github.com/aip-go/aip/internal/jsonscan"
)

const (
	// maxShared is the length of the longest string that shares memory with
	// others, in bytes: longer ones are rarer, and worth their own.
	maxShared = 64

	// sharedSize is how much memory strings share at most, in bytes: to keep
	// one of them is to keep all of it.
	sharedSize = 512
)

// sharedText keeps short strings one behind the other, so that a message of
// many takes few allocations.
type sharedText struct {
	kept strings.Builder
}

// keep returns a copy of text, which is not longer than sharedSize. left is the
// length of what will be read after it: about two thirds of that, at most, are
// strings, the rest is keys and punctuation.
func (t *sharedText) keep(text []byte, left int) string {
	if len(text) == 0 {
		return ""
	}
	if t.kept.Cap()-t.kept.Len() < len(text) {
		t.kept.Reset()
		t.kept.Grow(min(len(text)+left*2/3, sharedSize))
	}
	start := t.kept.Len()
	t.kept.Write(text)
	return t.kept.String()[start:]
}

// string reads a string: Kind is a quote.
func (d *decoder) string() string {
	raw, escaped := d.s.RawText()
	if len(raw) > maxShared {
		if escaped {
			raw = jsonscan.AppendUnescaped(make([]byte, 0, len(raw)), raw)
		}
		return string(raw)
	}
	if escaped {
		var short [maxShared]byte
		raw = jsonscan.AppendUnescaped(short[:0], raw)
	}
	return d.shared.keep(raw, d.s.Left())
}
