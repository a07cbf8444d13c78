package websocket

import "unicode/utf8"

// textChecker checks a text that comes in pieces. The zero value is ready.
type textChecker struct {
	begun [utf8.UTFMax]byte // a character whose end is to come
	n     int
}

// add reports whether the text can still become UTF-8.
func (c *textChecker) add(piece []byte) bool {
	for c.n > 0 && len(piece) > 0 {
		c.begun[c.n] = piece[0]
		c.n, piece = c.n+1, piece[1:]
		if utf8.FullRune(c.begun[:c.n]) {
			if !utf8.Valid(c.begun[:c.n]) {
				return false
			}
			c.n = 0
		}
	}
	whole := len(piece)
	for i := 1; i < utf8.UTFMax && i <= len(piece); i++ {
		if last := piece[len(piece)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				whole -= i
				c.n = copy(c.begun[:], last)
			}
			break
		}
	}
	return utf8.Valid(piece[:whole])
}

// complete reports whether the text ends with a whole character.
func (c *textChecker) complete() bool { return c.n == 0 }
