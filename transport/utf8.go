package transport

import "unicode/utf8"

// utf8Checker checks a text that comes in pieces. The zero value is ready.
type utf8Checker struct {
	rest [utf8.UTFMax]byte // the beginning of a character whose end is to come
	n    int
}

// add reports whether the text can still be UTF-8 or, after its last piece,
// whether it is.
func (c *utf8Checker) add(piece []byte, last bool) bool {
	for c.n > 0 && len(piece) > 0 && !utf8.FullRune(c.rest[:c.n]) {
		c.rest[c.n] = piece[0]
		c.n, piece = c.n+1, piece[1:]
	}
	if c.n > 0 && utf8.FullRune(c.rest[:c.n]) {
		if !utf8.Valid(c.rest[:c.n]) {
			return false
		}
		c.n = 0
	}
	end := len(piece)
	for start := end - 1; start >= 0 && start > end-utf8.UTFMax; start-- {
		if utf8.RuneStart(piece[start]) {
			if !utf8.FullRune(piece[start:]) {
				end = start
			}
			break
		}
	}
	if !utf8.Valid(piece[:end]) {
		return false
	}
	if end < len(piece) {
		c.n = copy(c.rest[:], piece[end:])
	}
	return !last || c.n == 0
}
