package codec

import (
	"cmp"
	"slices"

	"github.com/aip-go/aip/internal/jsonscan"
	"github.com/aip-go/aip/messages"
)

// beginBinary prepares for one of the binary models, which the reference writes
// in a layout of their own and without unset fields.
func (e *encoder) beginBinary() {
	e.nulls = false
	if e.reference {
		e.layout = jsonscan.Layout{Spaced: true, ASCII: true}
	}
}

// extra writes the undeclared fields, and passes over those named as one of
// the declared, which must not be there twice.
func (e *encoder) extra(dst []byte, extra messages.Object, declared ...string) []byte {
	for _, member := range extra {
		if slices.Contains(declared, member.Key) {
			continue
		}
		if dst = append(dst, ','); e.layout.Spaced {
			dst = append(dst, ' ')
		}
		dst = append(e.layout.AppendString(dst, member.Key), ':')
		if e.layout.Spaced {
			dst = append(dst, ' ')
		}
		dst = e.anything(dst, member.Value)
	}
	return dst
}

func (e *encoder) binaryMetadata(dst []byte, m *messages.BinaryMetadata) []byte {
	e.beginBinary()
	dst = e.requiredText(dst, `{"type":`, cmp.Or(m.Type, messages.BinaryDataType))
	dst = e.text(dst, `,"filename":`, m.Filename)
	dst = e.text(dst, `,"mime_type":`, m.MIMEType)
	dst = e.integer(dst, `,"size":`, m.Size)
	dst = e.text(dst, `,"checksum":`, m.Checksum)
	dst = e.text(dst, `,"session_id":`, m.SessionID)
	dst = e.text(dst, `,"description":`, m.Description)
	dst = e.text(dst, `,"timestamp":`, m.Timestamp)
	dst = e.extra(dst, m.Extra, "type", "filename", "mime_type", "size", "checksum", "session_id", "description", "timestamp")
	return append(dst, '}')
}

func (e *encoder) fileTransferStart(dst []byte, m *messages.FileTransferStart) []byte {
	e.beginBinary()
	dst = e.requiredText(dst, `{"type":`, cmp.Or(m.Type, messages.FileTransferStartType))
	dst = e.requiredText(dst, `,"filename":`, m.Filename)
	dst = e.integer(dst, `,"size":`, m.Size)
	dst = e.integer(dst, `,"chunk_size":`, m.ChunkSize)
	dst = e.integer(dst, `,"total_chunks":`, m.TotalChunks)
	e.nulls = e.reference
	dst = e.text(dst, `,"mime_type":`, m.MIMEType)
	e.nulls = false
	dst = e.text(dst, `,"session_id":`, m.SessionID)
	dst = e.text(dst, `,"description":`, m.Description)
	dst = e.extra(dst, m.Extra, "type", "filename", "size", "chunk_size", "total_chunks", "mime_type", "session_id", "description")
	return append(dst, '}')
}

func (e *encoder) fileTransferComplete(dst []byte, m *messages.FileTransferComplete) []byte {
	e.beginBinary()
	dst = e.requiredText(dst, `{"type":`, cmp.Or(m.Type, messages.FileTransferCompleteType))
	dst = e.requiredText(dst, `,"filename":`, m.Filename)
	dst = e.integer(dst, `,"total_chunks":`, m.TotalChunks)
	dst = e.text(dst, `,"checksum":`, m.Checksum)
	dst = e.text(dst, `,"session_id":`, m.SessionID)
	dst = e.extra(dst, m.Extra, "type", "filename", "total_chunks", "checksum", "session_id")
	return append(dst, '}')
}

func (e *encoder) chunkMetadata(dst []byte, m *messages.ChunkMetadata) []byte {
	e.beginBinary()
	dst = e.integer(dst, `{"chunk_num":`, m.ChunkNum)
	dst = e.integer(dst, `,"chunk_size":`, m.ChunkSize)
	dst = e.text(dst, `,"checksum":`, m.Checksum)
	dst = e.extra(dst, m.Extra, "chunk_num", "chunk_size", "checksum")
	return append(dst, '}')
}
