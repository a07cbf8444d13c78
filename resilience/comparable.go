package resilience

import (
	"reflect"

	"github.com/aip-go/aip/transport"
)

// identified is a connection of a type whose values cannot be compared.
type identified struct{ transport.Transport }

// Unwrap returns the connection itself.
func (i *identified) Unwrap() transport.Transport { return i.Transport }

// identify returns t, or what can be told from other connections in its place.
func identify(t transport.Transport) transport.Transport {
	if reflect.ValueOf(t).Comparable() {
		return t
	}
	return &identified{t}
}
