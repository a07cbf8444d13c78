package adapters

import (
	"errors"
	"fmt"
)

// UnsupportedError is a value that is not a connection of a library that this
// package knows. It matches [errors.ErrUnsupported].
type UnsupportedError struct {
	// Type is the value's type.
	Type string
}

// Error names the type and says what is supported.
func (e *UnsupportedError) Error() string {
	return "adapters: cannot use a " + e.Type + " as a WebSocket; give a *websocket.Conn of nhooyr.io/websocket, github.com/coder/websocket or github.com/gorilla/websocket, or an adapters.Conn"
}

// Is matches [errors.ErrUnsupported].
func (e *UnsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }

// Detect returns the adapter of an open connection: a *websocket.Conn of one of
// the three libraries, or a [Conn], which is returned as it is. Any other value
// is an [*UnsupportedError]. From then on the connection belongs to the
// adapter: its handlers and limits are replaced, and nothing else may use it.
func Detect(conn any) (Conn, error) {
	if conn, ok := conn.(Conn); ok {
		return conn, nil
	}
	for _, detect := range []func(any) (Conn, bool){detectNhooyr, detectCoder, detectGorilla} {
		if found, ok := detect(conn); ok {
			return found, nil
		}
	}
	return nil, &UnsupportedError{Type: fmt.Sprintf("%T", conn)}
}
