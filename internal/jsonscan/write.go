package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Layout is a way of writing JSON.
type Layout struct {
	Spaced bool // a space behind every comma and colon
	ASCII  bool // \uXXXX for everything that is not printable ASCII
}

const hexDigits = "0123456789abcdef"

// AppendString appends s to dst as a JSON string: non-ASCII characters as they
// are, and what is not UTF-8 as U+FFFD.
func AppendString(dst []byte, s string) []byte {
	return Layout{}.AppendString(dst, s)
}

// AppendString appends s to dst as a JSON string. What is not UTF-8 becomes
// U+FFFD.
func (l Layout) AppendString(dst []byte, s string) []byte {
	return l.AppendMember(dst, "", s)
}

// AppendKey appends the key of a member, which is passed with the comma before
// it or the brace in its place, its quotes and its colon: `,"name":`.
func (l Layout) AppendKey(dst []byte, key string) []byte {
	if !l.Spaced || key == "" {
		return append(dst, key...)
	}
	dst = append(dst, key[0])
	if key[0] == ',' {
		dst = append(dst, ' ')
	}
	dst = append(dst, key[1:]...)
	return append(dst, ' ')
}

// AppendMember appends a key as AppendKey does, and s as AppendString does. What
// most strings are, ASCII without escapes, is looked at while it is copied.
func (l Layout) AppendMember(dst []byte, key, s string) []byte {
	if l != (Layout{}) {
		dst = append(l.AppendKey(dst, key), '"')
		return l.appendSpecial(dst, s, plainASCIILen(s))
	}
	start := len(dst) + len(key) + 1
	end := start + len(s) + 1
	if cap(dst) < end {
		dst = slices.Grow(dst, end-len(dst))
	}
	copy(dst[len(dst):end], key)
	dst = dst[:end]
	dst[start-1] = '"'
	b := dst[start:]
	b[len(s)] = '"'
	b = b[:len(s)]
	if len(s) < 8 {
		for i := range len(s) {
			c := s[i]
			if c >= utf8.RuneSelf || !asIs[c] {
				return l.appendSpecial(dst[:start], s, i)
			}
			b[i] = c
		}
		return dst
	}
	for i := 0; i <= len(s)-8; i += 8 {
		w := word(s[i:])
		if specialOrTop(w) != 0 {
			return l.appendSpecial(dst[:start], s, i)
		}
		binary.LittleEndian.PutUint64(b[i:], w)
	}
	last := len(s) - 8 // some of it once more
	w := word(s[last:])
	if specialOrTop(w) != 0 {
		return l.appendSpecial(dst[:start], s, last)
	}
	binary.LittleEndian.PutUint64(b[last:], w)
	return dst
}

// appendSpecial appends s, of which at least a part that is not the first plain
// bytes needs a closer look, and the quote behind it.
func (l Layout) appendSpecial(dst []byte, s string, plain int) []byte {
	start := 0
	for i := plain; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if asIs[c] && (c != 0x7f || !l.ASCII) {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, c)
			start = i + 1
			i = start + plainASCIILen(s[start:])
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if l.ASCII || (r == utf8.RuneError && size == 1) {
			dst = append(dst, s[start:i]...)
			dst = l.appendRune(dst, r)
			start = i + size
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendRune appends one character of a string.
func (l Layout) appendRune(dst []byte, r rune) []byte {
	switch {
	case r < utf8.RuneSelf && asIs[r] && (r != 0x7f || !l.ASCII):
		return append(dst, byte(r))
	case r < utf8.RuneSelf:
		return appendEscape(dst, byte(r))
	case !l.ASCII:
		return utf8.AppendRune(dst, r)
	case r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return appendUnit(appendUnit(dst, high), low)
	}
	return appendUnit(dst, r)
}

// asIs tells the ASCII characters that a JSON string may hold unescaped.
var asIs = func() (table [utf8.RuneSelf]bool) {
	for c := range table {
		table[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return table
}()

// appendEscape appends the shortest escape of an ASCII character.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return appendUnit(dst, rune(c))
}

// appendUnit appends \uXXXX.
func appendUnit(dst []byte, unit rune) []byte {
	return append(dst, '\\', 'u', hexDigits[unit>>12&15], hexDigits[unit>>8&15], hexDigits[unit>>4&15], hexDigits[unit&15])
}

// AppendValue appends raw, the text of one valid JSON value, to dst in this
// layout. Numbers keep their digits, except that one with a fraction or an
// exponent becomes null when it is beyond a float64, as it does for the
// reference implementation.
func (l Layout) AppendValue(dst, raw []byte) []byte {
	s := Scanner{data: raw, limit: -1, trusted: true}
	for {
		switch c := s.Kind(); {
		case c == 0:
			return dst
		case c == '"':
			dst = l.appendText(dst, &s)
		case c == '-' || (c >= '0' && c <= '9'):
			dst = appendNumber(dst, s.Number())
		case c == ',' || c == ':':
			dst = append(dst, c)
			if l.Spaced {
				dst = append(dst, ' ')
			}
			s.pos++
		default: // a bracket, or a letter of a literal
			dst = append(dst, c)
			s.pos++
		}
	}
}

// appendText appends the string that comes next in s.
func (l Layout) appendText(dst []byte, s *Scanner) []byte {
	raw, escaped := s.RawText()
	dst = append(dst, '"')
	if !escaped && !l.ASCII {
		dst = append(dst, raw...)
		return append(dst, '"')
	}
	for size := 0; len(raw) > 0; raw = raw[size:] {
		var r rune
		switch {
		case raw[0] == '\\':
			r, size = unescape(raw)
			dst = l.appendRune(dst, r)
		case l.ASCII:
			r, size = utf8.DecodeRune(raw)
			dst = l.appendRune(dst, r)
		default:
			size = plainLen(raw)
			dst = append(dst, raw[:size]...)
		}
	}
	return append(dst, '"')
}

// appendNumber appends a number, or null in place of an infinite one.
func appendNumber(dst, raw []byte) []byte {
	if bytes.ContainsAny(raw, ".eE") {
		if f, _ := strconv.ParseFloat(string(raw), 64); math.IsInf(f, 0) {
			return append(dst, "null"...)
		}
	}
	return append(dst, raw...)
}
