package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// Skip reads the value that comes next and checks it, whatever it is. It works
// without recursion, so depth costs no stack.
func (s *Scanner) Skip() {
	switch c := s.Kind(); {
	case c == '"':
		s.RawText()
	case c == '{' || c == '[':
		s.skipContainer(c)
	case c-'0' <= 9 || c == '-':
		s.Number()
	default:
		if end := s.literalEnd(s.pos, c); end >= 0 {
			s.pos = end
		}
	}
}

// skipContainer is Skip for what starts with c, a brace or a bracket. What is
// plain is read here, because a call would cost as much as reading it.
func (s *Scanner) skipContainer(c byte) {
	var (
		b       = s.data
		i       = s.pos
		stack   [64]byte
		closers = stack[:0] // what ends each container but the innermost
		closer  byte        // what ends the innermost
		name    bool        // a member's name comes next
	)
	for {
		// A value or a name comes next, which starts with c at i.
		switch {
		case c == '"':
			end := i + 1
			for ; end <= len(b)-8; end += 8 {
				if found := specialOrTop(binary.LittleEndian.Uint64(b[end:])); found != 0 {
					end += bits.TrailingZeros64(found) / 8
					break
				}
			}
			if byteAt(b, end) == '"' {
				end++
			} else if end, _ = s.textEnd(i + 1); end < 0 {
				return
			}
			i, c = next(b, end)
			if !name {
				break
			}
			if c != ':' {
				s.failAt(i, "a colon is needed")
				return
			}
			name = false
			i, c = next(b, i+1)
			continue
		case name:
			s.failAt(i, "a key in double quotes is needed")
			return
		case c-'0' <= 9 || c == '-':
			end := i
			if i <= len(b)-8 {
				end += bits.TrailingZeros64(notDigits(binary.LittleEndian.Uint64(b[i:]))) / 8
			}
			// It is a short integer, or else to be looked at closely.
			if after := byteAt(b, end); (after != ',' && after != closer) || (c == '0' && end > i+1) {
				var ok bool
				if end, ok = numberEnd(b, i); !ok {
					s.failAt(end, "a digit is needed")
					return
				}
			}
			i, c = next(b, end)
		case c == '{' || c == '[':
			closers = append(closers, closer)
			closer = c + 2 // both pairs are two apart in ASCII
			i, c = next(b, i+1)
			if s.limit >= 0 && s.depth+len(closers) > s.limit && c != '}' && c != ']' {
				s.stop(ErrDepth)
				return
			}
			if c != closer {
				name = closer == '}'
				continue
			}
		default:
			end := s.literalEnd(i, c)
			if end < 0 {
				return
			}
			i, c = next(b, end)
		}
		// A value has ended, or an empty container is about to.
		for c == closer {
			closer = closers[len(closers)-1]
			closers = closers[:len(closers)-1]
			if len(closers) == 0 {
				s.pos = i + 1
				return
			}
			i, c = next(b, i+1)
		}
		name = closer == '}'
		switch {
		case c == ',':
			i, c = next(b, i+1)
		case name:
			s.failAt(i, "a comma or } is needed")
			return
		default:
			s.failAt(i, "a comma or ] is needed")
			return
		}
	}
}

// literalEnd returns where the literal at i, which starts with c, ends. It
// returns a negative number if it has noted an error.
func (s *Scanner) literalEnd(i int, c byte) int {
	b := s.data[i:]
	switch {
	case c == 'n' && len(b) >= 4 && string(b[:4]) == "null",
		c == 't' && len(b) >= 4 && string(b[:4]) == "true":
		return i + 4
	case c == 'f' && len(b) >= 5 && string(b[:5]) == "false":
		return i + 5
	}
	return s.failAt(i, "a value is needed")
}

// failAt notes that something else is needed than what is at i. It returns a
// negative number.
func (s *Scanner) failAt(i int, reason string) int {
	s.pos = i
	s.failHere(reason)
	return -1
}

// Number reads the number that comes next and returns its text: Kind is a
// minus or a digit. The bytes are part of the scanner's text.
func (s *Scanner) Number() []byte {
	s.Kind()
	start := s.pos
	end, ok := numberEnd(s.data, start)
	s.pos = end
	if !ok {
		s.failHere("a digit is needed")
		return nil
	}
	return s.data[start:end]
}

// numberEnd returns where the number at i ends, or where and that it lacks a
// digit.
func numberEnd(b []byte, i int) (end int, ok bool) {
	if byteAt(b, i) == '-' {
		i++
	}
	if byteAt(b, i) == '0' {
		i++
	} else if i, ok = digitsEnd(b, i); !ok {
		return i, false
	}
	if byteAt(b, i) == '.' {
		if i, ok = digitsEnd(b, i+1); !ok {
			return i, false
		}
	}
	if c := byteAt(b, i); c == 'e' || c == 'E' {
		i++
		if c := byteAt(b, i); c == '+' || c == '-' {
			i++
		}
		return digitsEnd(b, i)
	}
	return i, true
}

// notDigits returns a word whose lowest set bit is the top bit of the first
// byte of w that is no digit; 0 if there is none. The sum takes a byte above 9
// to its top bit, or has it lose that one and carry into what follows.
func notDigits(w uint64) uint64 {
	w ^= zeros
	return ((w + overNines) | w) & tops
}

// digitsEnd returns where the digits at i end, and whether there are any.
func digitsEnd(b []byte, i int) (end int, ok bool) {
	for end = max(i, 0); end <= len(b)-8; end += 8 {
		if found := notDigits(binary.LittleEndian.Uint64(b[end:])); found != 0 {
			end += bits.TrailingZeros64(found) / 8
			return end, end > i
		}
	}
	for byteAt(b, end)-'0' <= 9 {
		end++
	}
	return end, end > i
}

// byteAt returns b[i], 0 if there is none.
func byteAt(b []byte, i int) byte {
	if uint(i) < uint(len(b)) {
		return b[i]
	}
	return 0
}
