package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/aip-go/aip/internal/utf8text"
)

// RawText reads the string that comes next: Kind is a quote. It returns what is
// between the quotes, and whether there are escapes in it, which are checked
// and which [AppendUnescaped] replaces. The bytes are part of the scanner's
// text.
func (s *Scanner) RawText() (raw []byte, escaped bool) {
	s.Kind()
	start := s.pos + 1
	end := plainTextEnd(s.data, start)
	if end < 0 {
		if end, escaped = s.textEnd(start); end < 0 {
			return nil, false
		}
	}
	s.pos = end
	return s.data[start : end-1], escaped
}

// textEnd returns where the string whose text starts at start ends, behind its
// quote, and whether there are escapes in it, which are checked. It returns a
// negative number if it has noted an error.
func (s *Scanner) textEnd(start int) (end int, escaped bool) {
	s.pos = start
	for high := uint64(0); ; {
		pos, more := plainEnd(s.data, s.pos)
		high |= more
		s.pos = pos
		switch byteAt(s.data, pos) {
		case '"':
			if high != 0 && !s.trusted && !utf8text.Valid(s.data[start:pos]) {
				s.fail("invalid UTF-8")
				return -1, false
			}
			return pos + 1, escaped
		case '\\':
			if !s.escape() {
				return -1, false
			}
			escaped = true
		default:
			return s.failAt(pos, "a control character in a string must be escaped"), false
		}
	}
}

// escape reads one escape, or the two that make a surrogate pair.
func (s *Scanner) escape() bool {
	if s.pos+1 >= len(s.data) {
		s.failAt(len(s.data), "a string does not end")
		return false
	}
	switch s.data[s.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return true
	case 'u':
	default:
		s.fail("an unknown escape in a string")
		return false
	}
	unit, ok := hexUnit(s.data[s.pos:])
	if !ok {
		s.fail("\\u needs four hex digits")
		return false
	}
	if utf16.IsSurrogate(unit) {
		low, ok := hexUnit(s.data[s.pos+6:])
		if !ok || utf16.DecodeRune(unit, low) == utf8.RuneError {
			s.fail("half of a surrogate pair")
			return false
		}
		s.pos += 6
	}
	s.pos += 6
	return true
}

// hexUnit returns the UTF-16 unit of the escape \uXXXX at the start of b.
func hexUnit(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var unit rune
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		unit = unit<<4 | rune(c)
	}
	return unit, true
}

// The patterns by which eight characters are looked at together.
const (
	ones   = 0x0101010101010101
	twos   = 2 * ones
	tops   = 0x80 * ones
	belows = (' ' + 1) * ones
	slants = '\\' * ones
	dels   = 0x7f * ones
	zeros  = '0' * ones

	overNines = (0x80 - 10) * ones // what takes a byte above 9 to its top bit
)

// special returns a word whose lowest set bit is the top bit of the first byte
// of w that is a quote, a backslash or a control character; 0 if there is none.
// A quote is above the control characters, but for the space between, with
// which the second bit changes its place. Each difference borrows into the top
// bit of a byte that is too small; bytes with a top bit of their own are left
// out.
func special(w uint64) uint64 {
	return (((w ^ twos) - belows) | ((w ^ slants) - ones)) &^ w & tops
}

// specialOrTop is special, but takes bytes with a top bit of their own, too.
func specialOrTop(w uint64) uint64 {
	return (((w ^ twos) - belows) | ((w ^ slants) - ones) | w) & tops
}

// word returns the first eight characters of s as [special] takes them.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// plainTextEnd returns where the string whose text starts at i ends, behind its
// quote, if it is ASCII without escapes: there is nothing to check in it. It
// returns a negative number if not. i is not negative.
func plainTextEnd(b []byte, i int) int {
	for i = max(i, 0); i <= len(b)-8; i += 8 { // max tells the compiler
		w := binary.LittleEndian.Uint64(b[i:])
		if found := specialOrTop(w); found != 0 {
			if i += bits.TrailingZeros64(found) / 8; b[i] == '"' {
				return i + 1
			}
			return -1
		}
	}
	for ; i < len(b) && b[i] < utf8.RuneSelf && asIs[b[i]]; i++ {
	}
	if byteAt(b, i) == '"' {
		return i + 1
	}
	return -1
}

// plainEnd returns where the first quote, backslash or control character of
// b[i:] is, len(b) if there is none. high is 0 if all before it is ASCII. i is
// not negative.
func plainEnd(b []byte, i int) (end int, high uint64) {
	for i = max(i, 0); i <= len(b)-8; i += 8 { // max tells the compiler
		w := binary.LittleEndian.Uint64(b[i:])
		high |= w
		if found := special(w); found != 0 {
			return i + bits.TrailingZeros64(found)/8, high & tops
		}
	}
	for ; i < len(b); i++ {
		c := b[i]
		if c < ' ' || c == '"' || c == '\\' {
			break
		}
		high |= uint64(c)
	}
	return i, high & tops
}

// plainLen returns how many bytes at the start of b are no quote, backslash or
// control character.
func plainLen(b []byte) int {
	n, _ := plainEnd(b, 0)
	return n
}

// plainASCIILen returns a length at which s can be cut so that the first part
// is printable ASCII without quote or backslash. It is all of s if s is.
func plainASCIILen(s string) int {
	i := 0
	if len(s) < 8 {
		for ; i < len(s) && s[i] < 0x7f && asIs[s[i]]; i++ {
		}
		return i
	}
	for ; i < len(s); i += 8 {
		w := word(s[min(i, len(s)-8):]) // at the end some of it once more
		del := (w ^ dels) - ones
		if specialOrTop(w)|del&tops != 0 {
			return i
		}
	}
	return len(s)
}

// AppendUnescaped appends to dst what raw, a checked string without its quotes,
// stands for. That is not longer than raw.
func AppendUnescaped(dst, raw []byte) []byte {
	for len(raw) > 0 {
		if n := plainLen(raw); n > 0 {
			dst = append(dst, raw[:n]...)
			raw = raw[n:]
			continue
		}
		r, n := unescape(raw)
		dst = utf8.AppendRune(dst, r)
		raw = raw[n:]
	}
	return dst
}

// unescape returns the character that the checked escape at the start of raw
// stands for, and the escape's length.
func unescape(raw []byte) (r rune, n int) {
	switch c := raw[1]; c {
	case 'u':
		unit, _ := hexUnit(raw)
		if utf16.IsSurrogate(unit) {
			low, _ := hexUnit(raw[6:])
			return utf16.DecodeRune(unit, low), 12
		}
		return unit, 6
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	default: // a quote, a backslash or a slash stands for itself
		return rune(c), 2
	}
}
