package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads a string and returns what is between its quotes, and whether
// there are escapes in it, which are checked.
func (s *Scanner) text() (raw []byte, escaped bool) {
	s.pos++ // the quote
	start := s.pos
	for {
		s.pos += plainLen(s.data[s.pos:])
		if s.pos >= len(s.data) {
			s.failHere("a string does not end")
			return nil, false
		}
		switch s.data[s.pos] {
		case '"':
			s.pos++
			return s.data[start : s.pos-1], escaped
		case '\\':
			if !s.escape() {
				return nil, false
			}
			escaped = true
		default:
			s.fail("a control character in a string must be escaped")
			return nil, false
		}
	}
}

// escape reads one escape, or the two that make a surrogate pair.
func (s *Scanner) escape() bool {
	if s.pos+1 >= len(s.data) {
		s.pos = len(s.data)
		s.failHere("a string does not end")
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
	tops   = 0x80 * ones
	spaces = ' ' * ones
	quotes = '"' * ones
	slants = '\\' * ones
	dels   = 0x7f * ones
)

// special returns a word whose lowest set bit is the top bit of the first byte
// of w that is a quote, a backslash or a control character; 0 if there is none.
// Each of the three differences borrows into the top bit of a byte that is too
// small; bytes with a top bit of their own are left out.
func special(w uint64) uint64 {
	return ((w - spaces) | ((w ^ quotes) - ones) | ((w ^ slants) - ones)) &^ w & tops
}

// plainLen returns how many bytes at the start of b are no quote, backslash or
// control character.
func plainLen(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if found := special(binary.LittleEndian.Uint64(b[i:])); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c == '"' || c == '\\' {
			break
		}
	}
	return i
}

// plainASCIILen returns a length at which s can be cut so that the first part
// is printable ASCII without quote or backslash. It is all of s if s is.
func plainASCIILen(s string) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		del := (w ^ dels) - ones
		if (special(w)|w|del)&tops != 0 {
			return i
		}
	}
	for ; i < len(s) && s[i] < 0x7f && asIs[s[i]]; i++ {
	}
	return i
}

// appendUnescaped appends to dst what raw, a checked string without its
// quotes, stands for.
func appendUnescaped(dst, raw []byte) []byte {
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
