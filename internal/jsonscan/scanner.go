// Package jsonscan reads JSON text in place, strictly: RFC 8259 and nothing
// else, in valid UTF-8, without half surrogate pairs, to a limited depth. It
// also writes JSON strings and rewrites JSON values in another layout.
//
// It exists because encoding/json matches keys without regard to case,
// replaces bad UTF-8 silently, and parses through reflection.
package jsonscan

import (
	"errors"
	"strconv"
	"unicode/utf8"
)

// ErrDepth is the error of a Scanner that met more nesting than it allows.
var ErrDepth = errors.New("jsonscan: nested too deeply")

// SyntaxError says where and why the text is not JSON.
type SyntaxError struct {
	Offset int // the byte at which reading failed, from 0
	Reason string
}

// Error holds nothing of the text.
func (e *SyntaxError) Error() string {
	return "jsonscan: " + e.Reason + " at byte " + strconv.Itoa(e.Offset)
}

// Scanner reads one JSON text from front to back. A method that meets an error
// notes it and moves to the end of the text, so that every later call fails
// too and only [Scanner.Err] needs a look at the end.
type Scanner struct {
	data  []byte
	pos   int
	key   []byte
	err   error
	depth int  // containers open
	limit int  // how many may be that hold something, negative for any number
	first bool // the innermost container was just opened
}

// New returns a scanner of data, which it keeps and does not change. A value
// that lies in more than limit containers is an error, unless limit is
// negative: so there may be one more, as long as it is empty.
func New(data []byte, limit int) Scanner {
	s := Scanner{data: data, limit: limit}
	if !utf8.Valid(data) {
		for size := 1; ; s.pos += size {
			var r rune
			if r, size = utf8.DecodeRune(data[s.pos:]); r == utf8.RuneError && size <= 1 {
				break
			}
		}
		s.fail("invalid UTF-8")
	}
	return s
}

// Err returns the first error, nil if there was none.
func (s *Scanner) Err() error { return s.err }

// Kind skips white space and returns the first byte of what comes next, 0 at
// the end: a quote, a brace, a bracket, n, t, f, a minus or a digit starts a
// value. It does not move past that byte and reports no error.
func (s *Scanner) Kind() byte {
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		if c > ' ' || (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
			return c
		}
		s.pos++
	}
	return 0
}

// Open enters the object or array that comes next: Kind is a brace or bracket.
func (s *Scanner) Open() {
	s.Kind()
	s.pos++
	s.first = true
	if s.depth++; s.depth > s.limit && s.limit >= 0 {
		if c := s.Kind(); c != '}' && c != ']' {
			s.stop(ErrDepth)
		}
	}
}

// NextKey moves to the next member of the open object and reports whether
// there is one. The caller then reads [Scanner.Key] and the member's value. At
// the end of the object it closes it.
func (s *Scanner) NextKey() bool {
	c := s.Kind()
	switch {
	case c == '}':
		s.close()
		return false
	case s.first:
	case c == ',':
		s.pos++
	default:
		s.failHere("a comma or } is needed")
		return false
	}
	s.first = false
	return s.memberName()
}

// memberName reads a key and the colon behind it.
func (s *Scanner) memberName() bool {
	if s.Kind() != '"' {
		s.failHere("a key in double quotes is needed")
		return false
	}
	raw, escaped := s.text()
	if s.Kind() != ':' {
		s.failHere("a colon is needed")
		return false
	}
	s.pos++
	s.key = raw
	if escaped {
		s.key = appendUnescaped(nil, raw)
	}
	return true
}

// Key returns the key that NextKey moved to, without escapes. The bytes are
// good until the next call of NextKey.
func (s *Scanner) Key() []byte { return s.key }

// NextElement moves to the next element of the open array and reports whether
// there is one, which the caller then reads. At the end of the array it closes
// it.
func (s *Scanner) NextElement() bool {
	c := s.Kind()
	switch {
	case c == ']':
		s.close()
		return false
	case s.first && c != 0:
	case c == ',':
		s.pos++
	default:
		s.failHere("a comma or ] is needed")
		return false
	}
	s.first = false
	return true
}

// close leaves the innermost container at its last byte.
func (s *Scanner) close() {
	s.pos++
	s.depth--
	s.first = false
}

// End checks that nothing but white space is left, and returns Err.
func (s *Scanner) End() error {
	if s.Kind() != 0 || s.pos < len(s.data) {
		s.failHere("more text after the end of the value")
	}
	return s.err
}

// String reads the string that comes next and returns a copy without escapes:
// Kind is a quote.
func (s *Scanner) String() string {
	s.Kind()
	raw, escaped := s.text()
	if escaped {
		return string(appendUnescaped(make([]byte, 0, len(raw)), raw))
	}
	return string(raw)
}

// Text reads the string that comes next: Kind is a quote. The bytes are
// without escapes, and good as long as the text of the scanner is.
func (s *Scanner) Text() []byte {
	s.Kind()
	raw, escaped := s.text()
	if escaped {
		return appendUnescaped(make([]byte, 0, len(raw)), raw)
	}
	return raw
}

// Raw reads the value that comes next, whatever it is, and returns its text.
// The bytes are part of the scanner's text.
func (s *Scanner) Raw() []byte {
	s.Kind()
	start := s.pos
	s.Skip()
	if s.err != nil {
		return nil
	}
	return s.data[start:s.pos]
}

// fail notes that the text is not JSON.
func (s *Scanner) fail(reason string) {
	s.stop(&SyntaxError{Offset: s.pos, Reason: reason})
}

// failHere notes that something else is needed than what comes next.
func (s *Scanner) failHere(reason string) {
	if s.pos >= len(s.data) {
		reason = "the text ends too early"
	}
	s.fail(reason)
}

// stop notes the first error and ends the scan.
func (s *Scanner) stop(err error) {
	if s.err == nil {
		s.err = err
	}
	s.pos = len(s.data)
	s.first = false
}
