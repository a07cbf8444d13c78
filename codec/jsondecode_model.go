package codec

import (
	"fmt"

	"github.com/aip-go/aip/messages"
)

// model reads the one value of the text into what m points to, which it leaves
// alone if anything is wrong. Each model is decoded into a local first and
// by a direct call, so that nothing but the message's parts is allocated.
func (d *decoder) model(m any) error {
	switch m := m.(type) {
	case *messages.ClientMessage:
		var out messages.ClientMessage
		if m != nil && d.isObject() {
			d.clientMessage(&out)
		}
		return finish(d, "ClientMessage", m, &out)
	case *messages.ServerMessage:
		var out messages.ServerMessage
		if m != nil && d.isObject() {
			d.serverMessage(&out)
		}
		return finish(d, "ServerMessage", m, &out)
	case *messages.Command:
		var out messages.Command
		if m != nil && d.isObject() {
			d.command(&out)
		}
		return finish(d, "Command", m, &out)
	case *messages.Result:
		var out messages.Result
		if m != nil && d.isObject() {
			d.result(&out)
		}
		return finish(d, "Result", m, &out)
	case *messages.Rect:
		var out messages.Rect
		if m != nil && d.isObject() {
			d.rect(&out)
		}
		return finish(d, "Rect", m, &out)
	case *messages.ControlInfo:
		var out messages.ControlInfo
		if m != nil && d.isObject() {
			d.controlInfo(&out)
		}
		return finish(d, "ControlInfo", m, &out)
	case *messages.WindowInfo:
		var out messages.WindowInfo
		if m != nil && d.isObject() {
			d.windowInfo(&out)
		}
		return finish(d, "WindowInfo", m, &out)
	case *messages.AppWindowControlInfo:
		var out messages.AppWindowControlInfo
		if m != nil && d.isObject() {
			d.appWindowControlInfo(&out)
		}
		return finish(d, "AppWindowControlInfo", m, &out)
	case *messages.MCPToolInfo:
		var out messages.MCPToolInfo
		if m != nil && d.isObject() {
			d.mcpToolInfo(&out)
		}
		return finish(d, "MCPToolInfo", m, &out)
	case *messages.BinaryMetadata:
		var out messages.BinaryMetadata
		if m != nil && d.isObject() {
			d.binaryMetadata(&out)
		}
		return finish(d, "BinaryMetadata", m, &out)
	case *messages.FileTransferStart:
		var out messages.FileTransferStart
		if m != nil && d.isObject() {
			d.fileTransferStart(&out)
		}
		return finish(d, "FileTransferStart", m, &out)
	case *messages.FileTransferComplete:
		var out messages.FileTransferComplete
		if m != nil && d.isObject() {
			d.fileTransferComplete(&out)
		}
		return finish(d, "FileTransferComplete", m, &out)
	case *messages.ChunkMetadata:
		var out messages.ChunkMetadata
		if m != nil && d.isObject() {
			d.chunkMetadata(&out)
		}
		return finish(d, "ChunkMetadata", m, &out)
	}
	return fmt.Errorf("%w: %T", ErrModel, m)
}

// finish checks that the text ends here, and gives m what was read. Else it
// returns what is wrong with the text or, if nothing, with the model.
func finish[M any](d *decoder, model string, m, out *M) error {
	if m == nil {
		return fmt.Errorf("%w: %T", ErrModel, m)
	}
	if err := d.s.End(); err != nil {
		return publicError(err)
	}
	if len(d.wrong) > 0 {
		return &messages.ValidationError{Model: model, Fields: appendFaults(nil, "", d.wrong)}
	}
	*m = *out
	return nil
}
