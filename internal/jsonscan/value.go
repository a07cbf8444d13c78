package jsonscan

// Skip reads the value that comes next and checks it, whatever it is. It works
// without recursion, so depth costs no stack.
func (s *Scanner) Skip() {
	if c := s.Kind(); c != '{' && c != '[' {
		s.scalar(c)
		return
	}
	outer := s.depth
	var closers = make([]byte, 0, 64) // what ends each container, innermost last
	for {
		// A value comes next.
		switch c := s.Kind(); c {
		case '{', '[':
			s.Open()
			if c == '{' {
				c = '}'
			} else {
				c = ']'
			}
			closers = append(closers, c)
			if s.Kind() == c {
				break
			}
			if c == '}' {
				s.memberName()
			}
			if s.err != nil {
				return
			}
			continue
		default:
			s.scalar(c)
		}
		// A value has ended, or an empty container is about to.
		for more := false; !more; {
			if s.err != nil || s.depth == outer {
				return
			}
			closer := closers[len(closers)-1]
			switch c := s.Kind(); {
			case c == closer:
				s.close()
				closers = closers[:len(closers)-1]
			case c == ',':
				s.pos++
				if closer == '}' {
					s.memberName()
				}
				more = true
			case closer == '}':
				s.failHere("a comma or } is needed")
			default:
				s.failHere("a comma or ] is needed")
			}
		}
	}
}

// scalar reads a value that is no container and starts with c.
func (s *Scanner) scalar(c byte) {
	switch {
	case c == '"':
		s.text()
	case c == '-' || (c >= '0' && c <= '9'):
		s.Number()
	case c == 'n':
		s.literal("null")
	case c == 't':
		s.literal("true")
	case c == 'f':
		s.literal("false")
	default:
		s.failHere("a value is needed")
	}
}

// literal reads word.
func (s *Scanner) literal(word string) {
	end := s.pos + len(word)
	if end > len(s.data) || string(s.data[s.pos:end]) != word {
		s.failHere("a value is needed")
		return
	}
	s.pos = end
}

// Number reads the number that comes next and returns its text: Kind is a
// minus or a digit. The bytes are part of the scanner's text.
func (s *Scanner) Number() []byte {
	s.Kind()
	start := s.pos
	if s.at('-') {
		s.pos++
	}
	if s.at('0') {
		s.pos++
	} else if !s.digits() {
		return nil
	}
	if s.at('.') {
		s.pos++
		if !s.digits() {
			return nil
		}
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if !s.digits() {
			return nil
		}
	}
	return s.data[start:s.pos]
}

// at reports whether the next byte is c.
func (s *Scanner) at(c byte) bool {
	return s.pos < len(s.data) && s.data[s.pos] == c
}

// digits reads one or more digits.
func (s *Scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos]-'0' <= 9 {
		s.pos++
	}
	if s.pos == start {
		s.failHere("a digit is needed")
		return false
	}
	return true
}
