package codec

import (
	"errors"
	"fmt"

	"github.com/aip-go/aip/internal/jsonscan"
)

// ErrStyle is matched by the error for a [Style] that does not exist.
var ErrStyle = errors.New("codec: no such style")

// SyntaxError says where and why a text is not JSON.
type SyntaxError struct {
	Offset int    // the byte at which reading failed, from 0
	Reason string // what is needed there; it holds nothing of the text
}

// Error holds nothing of the text.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("codec: not JSON: %s at byte %d", e.Reason, e.Offset)
}

// publicError returns the error of a scanner in this package's terms.
func publicError(err error) error {
	var syntax *jsonscan.SyntaxError
	if errors.As(err, &syntax) {
		return &SyntaxError{Offset: syntax.Offset, Reason: syntax.Reason}
	}
	return ErrTooDeep
}
