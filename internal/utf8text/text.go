// Package utf8text checks that texts are UTF-8 (RFC 3629): whole ones, as
// unicode/utf8 does but faster where they are not ASCII, and ones that come in
// pieces.
package utf8text

// Valid reports whether p is UTF-8, as [utf8.Valid] does.
func Valid(p []byte) bool { return whole.after(p) == whole }

// Checker checks a text that comes in pieces. The zero value is ready.
type Checker struct {
	state state
}

// Add takes the next piece and reports whether the text can still become UTF-8.
// Once it cannot, it never can again.
func (c *Checker) Add(piece []byte) bool {
	c.state = c.state.after(piece)
	return c.state != broken
}

// Complete reports whether the text is UTF-8 if it ends here.
func (c *Checker) Complete() bool { return c.state == whole }
