package codec

import (
	"strconv"

	"github.com/aip-go/aip/internal/jsonscan"
	"github.com/aip-go/aip/messages"
)

// encoder writes models as JSON text. Keys are passed with the comma before
// them, their quotes and their colon.
type encoder struct {
	dst       []byte
	reference bool            // write as the reference does
	nulls     bool            // write unset fields as null
	layout    jsonscan.Layout // zero in all but the reference's binary models
}

// model writes the model that m points to and reports whether it is one.
func (e *encoder) model(m any) bool {
	switch m := m.(type) {
	case *messages.ClientMessage:
		return m != nil && e.clientMessage(m)
	case *messages.ServerMessage:
		return m != nil && e.serverMessage(m)
	case *messages.Command:
		return m != nil && e.command(m)
	case *messages.Result:
		return m != nil && e.result(m)
	case *messages.Rect:
		return m != nil && e.rect(m)
	case *messages.ControlInfo:
		return m != nil && e.controlInfo(m)
	case *messages.WindowInfo:
		return m != nil && e.windowInfo(m)
	case *messages.AppWindowControlInfo:
		return m != nil && e.appWindowControlInfo(m)
	case *messages.MCPToolInfo:
		return m != nil && e.mcpToolInfo(m)
	case *messages.BinaryMetadata:
		return m != nil && e.binaryMetadata(m)
	case *messages.FileTransferStart:
		return m != nil && e.fileTransferStart(m)
	case *messages.FileTransferComplete:
		return m != nil && e.fileTransferComplete(m)
	case *messages.ChunkMetadata:
		return m != nil && e.chunkMetadata(m)
	}
	return false
}

// open begins an object.
func (e *encoder) open() { e.dst = append(e.dst, '{') }

// close ends an object. It returns true, for the model method that ends so.
func (e *encoder) close() bool {
	e.dst = append(e.dst, '}')
	return true
}

// separate writes the comma before an element, unless it is the first: no value
// ends in an opening bracket.
func (e *encoder) separate() {
	if last := e.dst[len(e.dst)-1]; last == '{' || last == '[' {
		return
	}
	e.dst = append(e.dst, ',')
	if e.layout.Spaced {
		e.dst = append(e.dst, ' ')
	}
}

// key writes a key, and the comma before it unless it is the first.
func (e *encoder) key(key string) { e.dst = e.appendKey(e.dst, key) }

func (e *encoder) appendKey(dst []byte, key string) []byte {
	if dst[len(dst)-1] == '{' {
		key = key[1:]
	} else if e.layout.Spaced {
		dst = append(dst, ", "...)
		key = key[1:]
	}
	dst = append(dst, key...)
	if e.layout.Spaced {
		dst = append(dst, ' ')
	}
	return dst
}

// unset writes null for a field that is not set, where that is wanted.
func (e *encoder) unset(key string) {
	if e.nulls {
		e.key(key)
		e.dst = append(e.dst, "null"...)
	}
}

// text writes an optional string.
func (e *encoder) text(key, value string) {
	if value == "" {
		e.unset(key)
		return
	}
	e.requiredText(key, value)
}

// requiredText writes a string, empty or not.
func (e *encoder) requiredText(key, value string) {
	e.dst = e.layout.AppendString(e.appendKey(e.dst, key), value)
}

// integer writes a required integer.
func (e *encoder) integer(key string, value int64) {
	e.key(key)
	e.dst = strconv.AppendInt(e.dst, value, 10)
}

// optionalInteger writes an optional integer.
func (e *encoder) optionalInteger(key string, value *int64) {
	if value == nil {
		e.unset(key)
		return
	}
	e.integer(key, *value)
}

// boolean writes an optional boolean.
func (e *encoder) boolean(key string, value *bool) {
	if value == nil {
		e.unset(key)
		return
	}
	e.key(key)
	e.dst = strconv.AppendBool(e.dst, *value)
}

// value writes an optional free-form value.
func (e *encoder) value(key string, value messages.Value) {
	if value.IsZero() {
		e.unset(key)
		return
	}
	e.key(key)
	e.anything(value)
}

// anything writes a free-form value, null if it is unset.
func (e *encoder) anything(value messages.Value) {
	if e.reference && !value.IsZero() {
		e.dst = e.layout.AppendValue(e.dst, value.Bytes())
		return
	}
	e.dst = value.AppendTo(e.dst)
}
