package jsonscan

import (
	"encoding/json"
	"errors"
	"math/bits"
	"strings"
	"testing"
	"unicode/utf8"
)

// valid reports what encoding/json and unicode/utf8 say of data, and whether
// all of its surrogates are in pairs.
func valid(data string) bool {
	return json.Valid([]byte(data)) && utf8.ValidString(data) && surrogate.MatchString(strings.ReplaceAll(data, "\n", " "))
}

// places are where a string or a number may be.
var places = []struct{ before, after string }{
	{``, ``}, {`[`, `]`}, {`[[1],`, ` ]`}, {`[`, `,2]`}, {`{"k":`, `}`}, {`{"k":`, ` ,"l":2}`}, {` {"k":[`, `]} `}, {"[\n", "\n]"},
}

// Eight characters are looked at together. What ends a string, is not allowed
// in one or needs a closer look is seen wherever it is, among those eight and
// at the end of the text.
func TestSpecialAtEveryPosition(t *testing.T) {
	specials := []string{
		``, `\"`, `\\`, `\/`, `\n`, `\u00e9`, `\ud83d\ude00`, "\x7f", "~", "é", "名", "😀", "\u0080", // good
		`"`, `\`, `\x`, `\u12`, `\ud800`, `\ude00`, "\x00", "\x01", "\n", "\x1f", // bad
		"\x80", "\xc3", "\xc0\x80", "\xe5\x90", "\xed\xa0\x80", "\xf0\x9f\x98", "\xf4\x90\x80\x80", "\xff",
	}
	for _, special := range specials {
		for at := range 17 {
			for _, after := range []int{0, 1, 2, 6, 7, 8, 9, 16} {
				text := `"` + strings.Repeat("a", at) + special + strings.Repeat("b", after) + `"`
				for _, place := range places {
					check(t, place.before+text+place.after)
				}
				check(t, `{`+text+`:1}`)
				check(t, `[{"k":1,`+text+` : [] } ]`)
				check(t, `[`+text)
				check(t, text[:len(text)-1])
			}
		}
	}
}

// The same of what ends a number.
func TestNumberOfEveryLength(t *testing.T) {
	for digits := range 20 {
		for _, first := range []string{"", "-", "0", "-0", "0.", "1.", "1e", "1E+", "1e-", "12.5e", "/", ":"} {
			for _, last := range []string{"", "0", ".", ".5", "e", "e5", "E-5", "-", "+", "/", ":", "x", "\x00", "\xb5", "\x05", "é", `"`} {
				text := first + strings.Repeat("7", digits) + last
				for _, place := range places {
					check(t, place.before+text+place.after)
				}
			}
		}
	}
}

// check checks that text is skipped and walked through if it is valid, and
// refused either way if not.
func check(t *testing.T, text string) {
	t.Helper()
	want := valid(text)
	if err := whole([]byte(text), -1); (err == nil) != want {
		t.Fatalf("%q skipped: %v, want valid %v", text, err, want)
	}
	s := New([]byte(text), -1)
	walk(&s)
	if err := s.End(); (err == nil) != want {
		t.Fatalf("%q walked through: %v, want valid %v", text, err, want)
	}
}

// walk enters all that Skip passes over.
func walk(s *Scanner) {
	switch c := s.Kind(); c {
	case '{':
		for s.Open(); s.NextKey(); {
			walk(s)
		}
	case '[':
		for s.Open(); s.NextElement(); {
			walk(s)
		}
	default:
		s.Skip()
	}
}

// Of eight bytes the first that is looked for is found, whatever the others are.
func TestFirstOfEightBytes(t *testing.T) {
	isSpecial := func(c byte) bool { return c < ' ' || c == '"' || c == '\\' }
	for _, test := range []struct {
		name string
		word func(uint64) uint64
		is   func(byte) bool
	}{
		{"special", special, isSpecial},
		{"specialOrTop", specialOrTop, func(c byte) bool { return isSpecial(c) || c >= 0x80 }},
		{"notDigits", notDigits, func(c byte) bool { return c < '0' || c > '9' }},
	} {
		for c := range 256 {
			for other := range 256 {
				for at := range 8 {
					var w uint64
					want := -1
					for i := 7; i >= 0; i-- {
						b := byte(other) // behind
						switch {
						case i == at:
							b = byte(c)
						case i < at:
							b = '5'
						}
						if w = w<<8 | uint64(b); test.is(b) {
							want = i
						}
					}
					found := test.word(w)
					if got := bits.TrailingZeros64(found); (want < 0 && found != 0) || (want >= 0 && got != want*8+7) {
						t.Fatalf("%s(%#x) = %#x, want the byte %d", test.name, w, found, want)
					}
				}
			}
		}
	}
}

// Text that is not UTF-8 is told as that, whatever else is wrong with it.
func TestInvalidUTF8First(t *testing.T) {
	for _, test := range []struct {
		text   string
		offset int
	}{
		{"[x,\"\xff\"]", 4}, {"[1\xff", 2}, {"{\"a\":1,}\xc3\x28", 8}, {"[[[[1]]]]\xff", 9}, {"\"\n\xff", 2},
		{"[\"\\ud800\",\"\xed\xa0\x80\"]", 11}, {"\"a\xffb\\x", 2}, {"[01,\"é\xe5\x90\"", 7}, {"\xff", 0}, {"1 \xff", 2},
	} {
		for _, read := range []func(*Scanner){(*Scanner).Skip, walk} {
			s := New([]byte(test.text), 2)
			read(&s)
			var syntax *SyntaxError
			if err := s.End(); !errors.As(err, &syntax) || syntax.Offset != test.offset || syntax.Reason != "invalid UTF-8" {
				t.Errorf("%q: %v, want invalid UTF-8 at byte %d", test.text, err, test.offset)
			}
		}
	}
}

func TestCheckUTF8(t *testing.T) {
	for _, text := range []string{"", "a", "é名😀\ufffd", "\x00\x7f"} {
		if err := CheckUTF8([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, offset := range map[string]int{"\x80": 0, "a\xff": 1, "\ufffd\xf0\x9f\x98": 3, "é\xed\xa0\x80": 2} {
		var syntax *SyntaxError
		if err := CheckUTF8([]byte(text)); !errors.As(err, &syntax) || syntax.Offset != offset {
			t.Errorf("%q: %v, want byte %d", text, err, offset)
		}
	}
}
