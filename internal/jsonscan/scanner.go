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
// too and only [Scanner.Err] needs a look at the end. The text is checked where
// it is read: all of it is good if [Scanner.End] says so.
type Scanner struct {
	data    []byte
	pos     int
	key     []byte
	err     error
	depth   int  // containers open
	limit   int  // how many may be that hold something, negative for any number
	first   bool // the innermost container was just opened
	trusted bool // the text is known to be UTF-8, or that it is not does not matter
}

// New returns a scanner of data, which it keeps and does not change. A value
// that lies in more than limit containers is an error, unless limit is
// negative: so there may be one more, as long as it is empty.
//
// If the text is not UTF-8, that is the error, whatever else is wrong with it
// and wherever the scanner comes upon it.
func New(data []byte, limit int) Scanner { return Scanner{data: data, limit: limit} }

// Err returns the first error, nil if there was none.
func (s *Scanner) Err() error { return s.err }

// Kind skips white space and returns the first byte of what comes next, 0 at
// the end: a quote, a brace, a bracket, n, t, f, a minus or a digit starts a
// value. It does not move past that byte and reports no error.
func (s *Scanner) Kind() byte {
	for ; uint(s.pos) < uint(len(s.data)); s.pos++ {
		if c := s.data[s.pos]; c > ' ' || (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
			return c
		}
	}
	return 0
}

// next returns where the white space at b[i] ends, and the byte there, 0 at the
// end of b.
func next(b []byte, i int) (int, byte) {
	if uint(i) < uint(len(b)) && b[i] > ' ' {
		return i, b[i]
	}
	return nextSpaced(b, i)
}

// nextSpaced is next where there is white space, or nothing.
func nextSpaced(b []byte, i int) (int, byte) {
	for ; uint(i) < uint(len(b)); i++ {
		if c := b[i]; c > ' ' || (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
			return i, c
		}
	}
	return i, 0
}

// Open enters the object or array that comes next: Kind is a brace or bracket.
func (s *Scanner) Open() {
	s.Kind()
	s.pos = min(s.pos+1, len(s.data)) // nothing comes next after an error
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
	// The usual key has no escapes, and no white space around it.
	b, i := s.data, s.pos
	comma := !s.first
	if comma {
		i++
	}
	if byteAt(b, i) == '"' && (!comma || b[i-1] == ',') {
		if end := plainTextEnd(b, i+1); byteAt(b, end) == ':' {
			s.key = b[i+1 : end-1]
			s.pos = end + 1
			s.first = false
			return true
		}
	}
	return s.nextKey()
}

// nextKey is NextKey for whatever comes next.
func (s *Scanner) nextKey() bool {
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
	raw, escaped := s.RawText()
	if s.Kind() != ':' {
		s.failHere("a colon is needed")
		return false
	}
	s.pos++
	s.key = raw
	if escaped {
		s.key = AppendUnescaped(nil, raw)
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
func (s *Scanner) String() string { return string(s.Text()) }

// Text reads the string that comes next: Kind is a quote. The bytes are
// without escapes, and good as long as the text of the scanner is.
func (s *Scanner) Text() []byte {
	raw, escaped := s.RawText()
	if escaped {
		return AppendUnescaped(make([]byte, 0, len(raw)), raw)
	}
	return raw
}

// Left returns how many bytes of the text have not been read.
func (s *Scanner) Left() int { return len(s.data) - s.pos }

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
		if s.err = CheckUTF8(s.data); s.err == nil {
			s.err = err
		}
	}
	s.pos = len(s.data)
	s.first = false
}

// CheckUTF8 returns nil if data is UTF-8, and else a *[SyntaxError] that says
// where it is not for the first time. It is the error that a scanner of data
// returns if it comes to know it, or anything else that is wrong.
func CheckUTF8(data []byte) error {
	for i, size := 0, 0; i < len(data); i += size {
		var r rune
		if r, size = utf8.DecodeRune(data[i:]); r == utf8.RuneError && size == 1 {
			return &SyntaxError{Offset: i, Reason: "invalid UTF-8"}
		}
	}
	return nil
}
