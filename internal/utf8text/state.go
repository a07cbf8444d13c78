package utf8text

import "encoding/binary"

// state is what a text can go on with. It is a finite automaton's, and the
// number of bits by which a row of its table is shifted to have the next one:
// a step does not branch, so that it takes the same time whatever the text.
type state uint64

// Each state takes six bits of a row.
const (
	whole   state = iota * 6 // a character ends here
	one                      // the last byte of a character
	two                      // the last two
	three                    // the last three
	afterE0                  // the last two, from U+0800
	afterED                  // the last two, up to U+D7FF
	afterF0                  // the last three, from U+10000
	afterF4                  // the last three, up to U+10FFFF
	broken                   // nothing: it is not UTF-8

	bits = 63 // those of a shifted row that are the state
)

// rows are the states after each byte, by the state before it.
var rows = func() (rows [256]uint64) {
	for b := range rows {
		for s := whole; s <= broken; s += one {
			rows[b] |= uint64(s.next(byte(b))) << s
		}
	}
	return rows
}()

// next returns the state after b (RFC 3629, section 4).
func (s state) next(b byte) state {
	if s == whole {
		return first(b)
	}
	if b < 0x80 || b > 0xbf {
		return broken
	}
	switch {
	case s == one:
		return whole
	case s == two, s == afterE0 && b >= 0xa0, s == afterED && b < 0xa0:
		return one
	case s == three, s == afterF0 && b >= 0x90, s == afterF4 && b < 0x90:
		return two
	}
	return broken
}

// first returns the state after the first byte of a character.
func first(b byte) state {
	switch {
	case b < 0x80:
		return whole
	case b < 0xc2:
		return broken
	case b < 0xe0:
		return one
	case b == 0xe0:
		return afterE0
	case b == 0xed:
		return afterED
	case b < 0xf0:
		return two
	case b == 0xf0:
		return afterF0
	case b < 0xf4:
		return three
	case b == 0xf4:
		return afterF4
	}
	return broken
}

const (
	block = 64 // how many bytes are looked at together
	tops  = 0x8080808080808080
)

// after returns the state after p.
func (s state) after(p []byte) state {
	i := 0
	for ; i <= len(p)-block; i += block {
		b := p[i : i+block : i+block]
		if s == whole && ascii(b) {
			continue
		}
		if s = s.afterWords(b); s == broken {
			return broken
		}
	}
	n := len(p) &^ 7
	s = s.afterWords(p[i:n])
	if s == whole && n > 0 && binary.LittleEndian.Uint64(p[len(p)-8:])&tops == 0 {
		return whole // some of the last word was looked at before
	}
	for _, b := range p[n:] {
		s = state(rows[b] >> (s & bits))
	}
	return s & bits
}

// afterWords returns the state after p, which is some words of eight bytes.
func (s state) afterWords(p []byte) state {
	for i := 0; i <= len(p)-8; i += 8 {
		if s&bits == whole && binary.LittleEndian.Uint64(p[i:])&tops == 0 {
			continue
		}
		s = state(rows[p[i]] >> (s & bits))
		s = state(rows[p[i+1]] >> (s & bits))
		s = state(rows[p[i+2]] >> (s & bits))
		s = state(rows[p[i+3]] >> (s & bits))
		s = state(rows[p[i+4]] >> (s & bits))
		s = state(rows[p[i+5]] >> (s & bits))
		s = state(rows[p[i+6]] >> (s & bits))
		s = state(rows[p[i+7]] >> (s & bits))
	}
	return s & bits
}

// ascii reports whether the block is ASCII.
func ascii(b []byte) bool {
	b = b[:block]
	w := binary.LittleEndian.Uint64(b) | binary.LittleEndian.Uint64(b[8:]) |
		binary.LittleEndian.Uint64(b[16:]) | binary.LittleEndian.Uint64(b[24:]) |
		binary.LittleEndian.Uint64(b[32:]) | binary.LittleEndian.Uint64(b[40:]) |
		binary.LittleEndian.Uint64(b[48:]) | binary.LittleEndian.Uint64(b[56:])
	return w&tops == 0
}
