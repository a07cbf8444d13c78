package codec

import (
	"bytes"

	"github.com/aip-go/aip/messages"
)

// extras collects the undeclared fields of a binary model in their order. It
// finds a key given again by looking through a few, and beyond that in a map,
// so that many keys do not cost the square of their number.
type extras struct {
	members messages.Object
	index   map[string]int
}

// maxUnindexed is how many keys are looked through one by one.
const maxUnindexed = 16

// keep reads the current member as an undeclared field.
func (x *extras) keep(d *decoder) {
	key := string(d.s.Key())
	value := messages.TrustedValue(bytes.Clone(d.s.Raw()))
	if x.index == nil {
		if len(x.members) < maxUnindexed {
			x.members.Set(key, value)
			return
		}
		x.index = make(map[string]int, 2*maxUnindexed)
		for i, member := range x.members {
			x.index[member.Key] = i
		}
	}
	if at, ok := x.index[key]; ok {
		x.members[at].Value = value
		return
	}
	x.index[key] = len(x.members)
	x.members = append(x.members, messages.Member{Key: key, Value: value})
}

func (d *decoder) binaryMetadata(m *messages.BinaryMetadata) {
	m.Type = messages.BinaryDataType
	hasSize := false
	var x extras
	start := len(d.wrong)
	d.begin()
	for d.next(start) {
		switch string(d.s.Key()) {
		case "type":
			m.Type = d.constant("type", messages.BinaryDataType)
		case "filename":
			m.Filename = d.text("filename")
		case "mime_type":
			m.MIMEType = d.text("mime_type")
		case "size":
			hasSize = true
			m.Size = d.integer("size")
		case "checksum":
			m.Checksum = d.text("checksum")
		case "session_id":
			m.SessionID = d.text("session_id")
		case "description":
			m.Description = d.text("description")
		case "timestamp":
			m.Timestamp = d.text("timestamp")
		default:
			x.keep(d)
		}
	}
	m.Extra = x.members
	d.required(hasSize, "size")
}

func (d *decoder) fileTransferStart(m *messages.FileTransferStart) {
	m.Type = messages.FileTransferStartType
	hasFilename, hasSize, hasChunkSize, hasTotal := false, false, false, false
	var x extras
	start := len(d.wrong)
	d.begin()
	for d.next(start) {
		switch string(d.s.Key()) {
		case "type":
			m.Type = d.constant("type", messages.FileTransferStartType)
		case "filename":
			hasFilename = true
			m.Filename = d.requiredText("filename")
		case "size":
			hasSize = true
			m.Size = d.integer("size")
		case "chunk_size":
			hasChunkSize = true
			m.ChunkSize = d.integer("chunk_size")
		case "total_chunks":
			hasTotal = true
			m.TotalChunks = d.integer("total_chunks")
		case "mime_type":
			m.MIMEType = d.text("mime_type")
		case "session_id":
			m.SessionID = d.text("session_id")
		case "description":
			m.Description = d.text("description")
		default:
			x.keep(d)
		}
	}
	m.Extra = x.members
	d.required(hasFilename, "filename")
	d.required(hasSize, "size")
	d.required(hasChunkSize, "chunk_size")
	d.required(hasTotal, "total_chunks")
}

func (d *decoder) fileTransferComplete(m *messages.FileTransferComplete) {
	m.Type = messages.FileTransferCompleteType
	hasFilename, hasTotal := false, false
	var x extras
	start := len(d.wrong)
	d.begin()
	for d.next(start) {
		switch string(d.s.Key()) {
		case "type":
			m.Type = d.constant("type", messages.FileTransferCompleteType)
		case "filename":
			hasFilename = true
			m.Filename = d.requiredText("filename")
		case "total_chunks":
			hasTotal = true
			m.TotalChunks = d.integer("total_chunks")
		case "checksum":
			m.Checksum = d.text("checksum")
		case "session_id":
			m.SessionID = d.text("session_id")
		default:
			x.keep(d)
		}
	}
	m.Extra = x.members
	d.required(hasFilename, "filename")
	d.required(hasTotal, "total_chunks")
}

func (d *decoder) chunkMetadata(m *messages.ChunkMetadata) {
	hasNum, hasSize := false, false
	var x extras
	start := len(d.wrong)
	d.begin()
	for d.next(start) {
		switch string(d.s.Key()) {
		case "chunk_num":
			hasNum = true
			m.ChunkNum = d.integer("chunk_num")
		case "chunk_size":
			hasSize = true
			m.ChunkSize = d.integer("chunk_size")
		case "checksum":
			m.Checksum = d.text("checksum")
		default:
			x.keep(d)
		}
	}
	m.Extra = x.members
	d.required(hasNum, "chunk_num")
	d.required(hasSize, "chunk_size")
}
