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
		if m == nil {
			break
		}
		var out messages.ClientMessage
		if d.isObject() {
			d.clientMessage(&out)
		}
		if err := d.finish("ClientMessage"); err != nil {
			return err
		}
		*m = out
		return nil
	case *messages.ServerMessage:
		if m == nil {
			break
		}
		var out messages.ServerMessage
		if d.isObject() {
			d.serverMessage(&out)
		}
		if err := d.finish("ServerMessage"); err != nil {
			return err
		}
		*m = out
		return nil
	case *messages.Command:
		if m == nil {
			break
		}
		var out messages.Command
		if d.isObject() {
			d.command(&out)
		}
		if err := d.finish("Command"); err != nil {
			return err
		}
		*m = out
		return nil
	case *messages.Result:
		if m == nil {
			break
		}
		var out messages.Result
		if d.isObject() {
			d.result(&out)
		}
		if err := d.finish("Result"); err != nil {
			return err
		}
		*m = out
		return nil
	case *messages.Rect:
		if m == nil {
			break
		}
		var out messages.Rect
		if d.isObject() {
			d.rect(&out)
		}
		if err := d.finish("Rect"); err != nil {
			return err
		}
		*m = out
		return nil
	case *messages.ControlInfo:
		if m == nil {
			break
		}
		var out messages.ControlInfo
		if d.isObject() {
			d.controlInfo(&out)
		}
		if err := d.finish("ControlInfo"); err != nil {
			return err
		}
		*m = out
		return nil
	case *messages.WindowInfo:
		if m == nil {
			break
		}
		var out messages.WindowInfo
		if d.isObject() {
			d.windowInfo(&out)
		}
		if err := d.finish("WindowInfo"); err != nil {
			return err
		}
		*m = out
		return nil
	case *messages.AppWindowControlInfo:
		if m == nil {
			break
		}
		var out messages.AppWindowControlInfo
		if d.isObject() {
			d.appWindowControlInfo(&out)
		}
		if err := d.finish("AppWindowControlInfo"); err != nil {
			return err
		}
		*m = out
		return nil
	case *messages.MCPToolInfo:
		if m == nil {
			break
		}
		var out messages.MCPToolInfo
		if d.isObject() {
			d.mcpToolInfo(&out)
		}
		if err := d.finish("MCPToolInfo"); err != nil {
			return err
		}
		*m = out
		return nil
	case *messages.BinaryMetadata:
		if m == nil {
			break
		}
		var out messages.BinaryMetadata
		if d.isObject() {
			d.binaryMetadata(&out)
		}
		if err := d.finish("BinaryMetadata"); err != nil {
			return err
		}
		*m = out
		return nil
	case *messages.FileTransferStart:
		if m == nil {
			break
		}
		var out messages.FileTransferStart
		if d.isObject() {
			d.fileTransferStart(&out)
		}
		if err := d.finish("FileTransferStart"); err != nil {
			return err
		}
		*m = out
		return nil
	case *messages.FileTransferComplete:
		if m == nil {
			break
		}
		var out messages.FileTransferComplete
		if d.isObject() {
			d.fileTransferComplete(&out)
		}
		if err := d.finish("FileTransferComplete"); err != nil {
			return err
		}
		*m = out
		return nil
	case *messages.ChunkMetadata:
		if m == nil {
			break
		}
		var out messages.ChunkMetadata
		if d.isObject() {
			d.chunkMetadata(&out)
		}
		if err := d.finish("ChunkMetadata"); err != nil {
			return err
		}
		*m = out
		return nil
	}
	return fmt.Errorf("%w: %T", ErrModel, m)
}

// finish checks that the text ends here and returns what was wrong with it or,
// if nothing, with the model.
func (d *decoder) finish(model string) error {
	if err := d.s.End(); err != nil {
		return publicError(err)
	}
	if len(d.wrong) > 0 {
		return &messages.ValidationError{Model: model, Fields: d.wrong}
	}
	return nil
}
