package utf8text

import (
	"bytes"
	"testing"
	"unicode/utf8"
)

// check checks that Valid says of p what unicode/utf8 says.
func check(t *testing.T, p []byte) {
	t.Helper()
	if got, want := Valid(p), utf8.Valid(p); got != want {
		t.Fatalf("%q: %v, want %v", p, got, want)
	}
}

// Every sequence of two bytes, of three that begin as a longer character does,
// and of four whose last two are at the limits of what they can be: all overlong
// forms, surrogates and points that are too large are among them.
func TestValidShort(t *testing.T) {
	check(t, nil)
	limits := []byte{0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff}
	for a := range 256 {
		check(t, []byte{byte(a)})
		for b := range 256 {
			check(t, []byte{byte(a), byte(b)})
			if a < 0xc0 {
				continue
			}
			for c := range 256 {
				check(t, []byte{byte(a), byte(b), byte(c)})
			}
			for _, c := range limits {
				for _, d := range limits {
					check(t, []byte{byte(a), byte(b), c, d})
				}
			}
		}
	}
}

// parts are characters at the limits of their sizes, and what is none.
var parts = []string{
	"\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff",
	"\x80", "\xbf", "\xc2", "\xe2\x82", "\xf0\x9f\x98", // a part of one
	"\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", // overlong
	"\xed\xa0\x80", "\xed\xbf\xbf", // surrogates
	"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", // too large
	"\xc3\xa9\xa9", "\xe2\x82\xac\xac", "\xe2\xc2\x82", "\xf0\x9f\xe2\x80", "\xc3x", "\xe2\x82x", "\xf0\x9fx", "\xf0\x9f\x98x",
}

// Texts of every length to 200 with something at every place of them.
func TestValidAtEveryPosition(t *testing.T) {
	for _, filler := range []string{"a", "é", "€", "😀"} {
		whole := bytes.Repeat([]byte(filler), 220)
		for size := range 201 {
			check(t, whole[:size])
			for at := 0; at <= size; at += len(filler) {
				for _, part := range parts {
					if at+len(part) > size {
						continue
					}
					p := bytes.Clone(whole[:size])
					copy(p[at:], part)
					check(t, p)
				}
			}
		}
	}
}

// A byte is seen wherever it is.
func TestValidOneByte(t *testing.T) {
	for size := range 201 {
		p := bytes.Repeat([]byte("a"), size)
		for at := range p {
			for _, b := range []byte{0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xc2, 0xe0, 0xf0, 0xff} {
				p[at] = b
				check(t, p)
			}
			p[at] = 'a'
		}
	}
}

// However a text is cut in two, the checker says what unicode/utf8 says of the
// whole, and that it cannot become UTF-8 no sooner and no later than it is so.
func TestCheckerCut(t *testing.T) {
	for _, part := range parts {
		for _, before := range []int{0, 1, 7, 63, 64, 70} {
			for _, after := range []int{0, 1, 8, 64} {
				p := append(bytes.Repeat([]byte("a"), before), part...)
				p = append(p, bytes.Repeat([]byte("b"), after)...)
				for cut := range len(p) + 1 {
					var c Checker
					checkAdd(t, &c, p[:cut], p[:cut])
					checkAdd(t, &c, p[cut:], p)
				}
			}
		}
	}
}

// checkAdd adds a piece, after which all is what the checker has got.
func checkAdd(t *testing.T, c *Checker, piece, all []byte) {
	t.Helper()
	if got, want := c.Add(piece), canBecome(all); got != want {
		t.Fatalf("%q, the last %d bytes of it in a piece: %v, want %v", all, len(piece), got, want)
	}
	if got, want := c.Complete(), utf8.Valid(all); got != want {
		t.Fatalf("%q, the last %d bytes of it in a piece: complete %v, want %v", all, len(piece), got, want)
	}
}

// canBecome reports whether p is UTF-8, but for a last character that may go on.
func canBecome(p []byte) bool {
	for len(p) > 0 {
		if !utf8.FullRune(p) {
			return true
		}
		r, size := utf8.DecodeRune(p)
		if r == utf8.RuneError && size == 1 {
			return false
		}
		p = p[size:]
	}
	return true
}

func FuzzText(f *testing.F) {
	for i, part := range parts {
		f.Add([]byte(part), uint8(i), uint8(1))
		f.Add(append(bytes.Repeat([]byte("aé"), 3*i), part...), uint8(7*i), uint8(i))
	}
	f.Fuzz(func(t *testing.T, p []byte, first, then uint8) {
		check(t, p)
		for _, shift := range []int{1, 61, 64} {
			long := append(bytes.Repeat([]byte("x"), shift), p...)
			check(t, append(long, "and what is behind it"...))
		}
		var c Checker
		for at, size := 0, int(first); at < len(p); size = int(then) + 1 {
			end := min(at+size, len(p))
			checkAdd(t, &c, p[at:end], p[:end])
			at = end
		}
	})
}
