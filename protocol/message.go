package protocol

import (
	"fmt"

	"github.com/aip-go/aip/messages"
)

// Message is one of AIP's two kinds of message: what clients send or what
// servers send (spec sections 1.3 and 1.4).
type Message interface {
	messages.ClientMessage | messages.ServerMessage
}

// MessageType is the type of a message: a [messages.ClientMessageType] or a
// [messages.ServerMessageType].
type MessageType interface {
	// Valid reports whether the type is one of the declared ones.
	Valid() bool
}

// typeName returns t as it is on the wire, and whether it is a declared type
// of M.
func typeName[M Message](t MessageType) (string, bool) {
	switch any((*M)(nil)).(type) {
	case *messages.ClientMessage:
		name, ok := t.(messages.ClientMessageType)
		return string(name), ok && name.Valid()
	default:
		name, ok := t.(messages.ServerMessageType)
		return string(name), ok && name.Valid()
	}
}

// typeOf returns the type of m as it is on the wire.
func typeOf[M Message](m *M) string {
	switch m := any(m).(type) {
	case *messages.ClientMessage:
		return string(m.Type)
	case *messages.ServerMessage:
		return string(m.Type)
	default:
		return ""
	}
}

// isError reports whether m is an error message.
func isError[M Message](m *M) bool { return typeOf(m) == errorType }

// errorType is the type of error messages, in both directions.
const errorType = string(messages.ClientError)

// validate checks m against its model.
func validate[M Message](m *M) error {
	switch m := any(m).(type) {
	case *messages.ClientMessage:
		return m.Validate()
	case *messages.ServerMessage:
		return m.Validate()
	default:
		return fmt.Errorf("protocol: %T is not a message", m)
	}
}
