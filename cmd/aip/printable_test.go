package main

import (
	"strings"
	"testing"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"grüß dich, 世界 👋":  "grüß dich, 世界 👋",
		"a\nb\tc\r":        `a\u000ab\u0009c\u000d`,
		"\x1b[31m\u009b":   `\u001b[31m\u009b`,
		"\u202eevil\u2066": `\u202eevil\u2066`,
		"\U000E0041":       `\udb40\udc41`,
	} {
		if got := printable(text, ""); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := printable("a\nb\x1b", "\n"); got != "a\nb\\u001b" {
		t.Errorf("%q", got)
	}
}

func TestShorten(t *testing.T) {
	if got := shorten(strings.Repeat("ü", 200)); got != strings.Repeat("ü", 200) {
		t.Errorf("%q", got)
	}
	if got := shorten(strings.Repeat("ü", 201)); got != strings.Repeat("ü", 200)+"…" {
		t.Errorf("%q", got)
	}
}
