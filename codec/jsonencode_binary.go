package codec

import (
	"cmp"
	"slices"

	"github.com/aip-go/aip/internal/jsonscan"
	"github.com/aip-go/aip/messages"
)

// openBinary begins one of the binary models, which the reference writes in a
// layout of their own and without unset fields.
func (e *encoder) openBinary() {
	e.nulls = false
	if e.reference {
		e.layout = jsonscan.Layout{Spaced: true, ASCII: true}
	}
	e.open()
}

// extra writes the undeclared fields, and passes over those named as one of
// the declared, which must not be there twice.
func (e *encoder) extra(extra messages.Object, declared ...string) {
	for _, member := range extra {
		if slices.Contains(declared, member.Key) {
			continue
		}
		e.separate()
		e.dst = e.layout.AppendString(e.dst, member.Key)
		e.dst = append(e.dst, ':')
		if e.layout.Spaced {
			e.dst = append(e.dst, ' ')
		}
		e.anything(member.Value)
	}
}

func (e *encoder) binaryMetadata(m *messages.BinaryMetadata) bool {
	e.openBinary()
	e.requiredText(`,"type":`, cmp.Or(m.Type, messages.BinaryDataType))
	e.text(`,"filename":`, m.Filename)
	e.text(`,"mime_type":`, m.MIMEType)
	e.integer(`,"size":`, m.Size)
	e.text(`,"checksum":`, m.Checksum)
	e.text(`,"session_id":`, m.SessionID)
	e.text(`,"description":`, m.Description)
	e.text(`,"timestamp":`, m.Timestamp)
	e.extra(m.Extra, "type", "filename", "mime_type", "size", "checksum", "session_id", "description", "timestamp")
	return e.close()
}

func (e *encoder) fileTransferStart(m *messages.FileTransferStart) bool {
	e.openBinary()
	e.requiredText(`,"type":`, cmp.Or(m.Type, messages.FileTransferStartType))
	e.requiredText(`,"filename":`, m.Filename)
	e.integer(`,"size":`, m.Size)
	e.integer(`,"chunk_size":`, m.ChunkSize)
	e.integer(`,"total_chunks":`, m.TotalChunks)
	e.nulls = e.reference
	e.text(`,"mime_type":`, m.MIMEType)
	e.nulls = false
	e.text(`,"session_id":`, m.SessionID)
	e.text(`,"description":`, m.Description)
	e.extra(m.Extra, "type", "filename", "size", "chunk_size", "total_chunks", "mime_type", "session_id", "description")
	return e.close()
}

func (e *encoder) fileTransferComplete(m *messages.FileTransferComplete) bool {
	e.openBinary()
	e.requiredText(`,"type":`, cmp.Or(m.Type, messages.FileTransferCompleteType))
	e.requiredText(`,"filename":`, m.Filename)
	e.integer(`,"total_chunks":`, m.TotalChunks)
	e.text(`,"checksum":`, m.Checksum)
	e.text(`,"session_id":`, m.SessionID)
	e.extra(m.Extra, "type", "filename", "total_chunks", "checksum", "session_id")
	return e.close()
}

func (e *encoder) chunkMetadata(m *messages.ChunkMetadata) bool {
	e.openBinary()
	e.integer(`,"chunk_num":`, m.ChunkNum)
	e.integer(`,"chunk_size":`, m.ChunkSize)
	e.text(`,"checksum":`, m.Checksum)
	e.extra(m.Extra, "chunk_num", "chunk_size", "checksum")
	return e.close()
}
