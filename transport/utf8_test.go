package transport

import (
	"testing"
	"unicode/utf8"
)

// FuzzUTF8Checker: however a text is cut into pieces, the checker says what
// utf8.Valid says of the whole, and never rejects a beginning that can go on.
func FuzzUTF8Checker(f *testing.F) {
	for _, seed := range []string{"", "plain", "é€😀", "\xff", "a\xe2\x82", "\xe2\x82\xac\xe2", "\xf0\x9f\x98\x80\x80", "\xed\xa0\x80", "\xc0\x80"} {
		f.Add([]byte(seed), uint8(1), uint8(2))
		f.Add([]byte(seed), uint8(3), uint8(0))
	}
	f.Fuzz(func(t *testing.T, text []byte, first, then uint8) {
		var checker utf8Checker
		ok := true
		rest, size := text, int(first)
		for len(rest) > size && ok {
			ok = checker.add(rest[:size], false)
			rest = rest[size:]
			size = int(then)%7 + 1
		}
		ok = ok && checker.add(rest, true)
		if want := utf8.Valid(text); ok != want {
			t.Errorf("%q in pieces of %d and %d: %v, want %v", text, first, then%7+1, ok, want)
		}
	})
}
