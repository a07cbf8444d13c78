package codec

import (
	"strconv"

	"github.com/aip-go/aip/internal/jsonscan"
	"github.com/aip-go/aip/messages"
)

// encoder writes models as JSON text: its methods append to dst and return what
// came of it. Keys are passed with the comma before them, or the opening brace
// in its place, their quotes and their colon.
type encoder struct {
	reference bool            // write as the reference does
	nulls     bool            // write unset fields as null
	layout    jsonscan.Layout // zero in all but the reference's binary models
}

// model writes the model that m points to. It returns nil if that is none.
func (e *encoder) model(dst []byte, m any) []byte {
	switch m := m.(type) {
	case *messages.ClientMessage:
		if m != nil {
			return e.clientMessage(dst, m)
		}
	case *messages.ServerMessage:
		if m != nil {
			return e.serverMessage(dst, m)
		}
	case *messages.Command:
		if m != nil {
			return e.command(dst, m)
		}
	case *messages.Result:
		if m != nil {
			return e.result(dst, m)
		}
	case *messages.Rect:
		if m != nil {
			return e.rect(dst, m)
		}
	case *messages.ControlInfo:
		if m != nil {
			return e.controlInfo(dst, m)
		}
	case *messages.WindowInfo:
		if m != nil {
			return e.windowInfo(dst, m)
		}
	case *messages.AppWindowControlInfo:
		if m != nil {
			return e.appWindowControlInfo(dst, m)
		}
	case *messages.MCPToolInfo:
		if m != nil {
			return e.mcpToolInfo(dst, m)
		}
	case *messages.BinaryMetadata:
		if m != nil {
			return e.binaryMetadata(dst, m)
		}
	case *messages.FileTransferStart:
		if m != nil {
			return e.fileTransferStart(dst, m)
		}
	case *messages.FileTransferComplete:
		if m != nil {
			return e.fileTransferComplete(dst, m)
		}
	case *messages.ChunkMetadata:
		if m != nil {
			return e.chunkMetadata(dst, m)
		}
	}
	return nil
}

// comma writes the comma before an element of that index.
func comma(dst []byte, i int) []byte {
	if i == 0 {
		return dst
	}
	return append(dst, ',')
}

// key writes a key.
func (e *encoder) key(dst []byte, key string) []byte { return e.layout.AppendKey(dst, key) }

// unset writes null for a field that is not set, where that is wanted.
func (e *encoder) unset(dst []byte, key string) []byte {
	if e.nulls {
		dst = append(e.key(dst, key), "null"...)
	}
	return dst
}

// text writes an optional string.
func (e *encoder) text(dst []byte, key, value string) []byte {
	if value == "" {
		return e.unset(dst, key)
	}
	return e.requiredText(dst, key, value)
}

// requiredText writes a string, empty or not.
func (e *encoder) requiredText(dst []byte, key, value string) []byte {
	return e.layout.AppendMember(dst, key, value)
}

// integer writes a required integer.
func (e *encoder) integer(dst []byte, key string, value int64) []byte {
	return strconv.AppendInt(e.key(dst, key), value, 10)
}

// optionalInteger writes an optional integer.
func (e *encoder) optionalInteger(dst []byte, key string, value *int64) []byte {
	if value == nil {
		return e.unset(dst, key)
	}
	return e.integer(dst, key, *value)
}

// boolean writes an optional boolean.
func (e *encoder) boolean(dst []byte, key string, value *bool) []byte {
	if value == nil {
		return e.unset(dst, key)
	}
	return strconv.AppendBool(e.key(dst, key), *value)
}

// value writes an optional free-form value.
func (e *encoder) value(dst []byte, key string, value messages.Value) []byte {
	if value.IsZero() {
		return e.unset(dst, key)
	}
	return e.anything(e.key(dst, key), value)
}

// anything writes a free-form value, null if it is unset.
func (e *encoder) anything(dst []byte, value messages.Value) []byte {
	if e.reference && !value.IsZero() {
		return e.layout.AppendValue(dst, value.Bytes())
	}
	return value.AppendTo(dst)
}
