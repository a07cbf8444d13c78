package endpoint

import (
	"strings"

	"github.com/aip-go/aip/messages"
)

// maxTaskName is the longest task name that is kept, in bytes. Names may
// become file names, which few systems allow to be longer than 255 bytes.
const maxTaskName = 200

// SafeTaskName returns name in the form in which servers keep it (spec section
// 5.8): every character outside [A-Za-z0-9._-] becomes "_", leading dots go,
// what is over 200 bytes is cut off, and an empty result becomes a fresh id.
func SafeTaskName(name string) string {
	safe := strings.TrimLeft(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		default:
			return '_'
		}
	}, name), ".")
	if len(safe) > maxTaskName {
		safe = safe[:maxTaskName]
	}
	if safe == "" {
		return messages.NewID()
	}
	return safe
}
