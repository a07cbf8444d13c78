package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// printable returns text with everything that is no graphic character and not
// in keep as JSON escapes it, so that what others say cannot move the cursor of
// a terminal or begin a new line. JSON text remains the same JSON.
func printable(text, keep string) string {
	harmless := func(r rune) bool { return unicode.IsGraphic(r) || strings.ContainsRune(keep, r) }
	if strings.IndexFunc(text, func(r rune) bool { return !harmless(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if harmless(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// shorten returns the beginning of a text of others, for a line.
func shorten(text string) string {
	const most = 200
	n := 0
	for i := range text {
		if n++; n > most {
			return text[:i] + "…"
		}
	}
	return text
}
