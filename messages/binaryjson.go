package messages

import (
	"encoding/json"
	"slices"
)

// The binary models marshal with encoding/json as other structs do, with the
// members of Extra behind the declared fields, and unmarshal what they do not
// declare into Extra.

// The fields that each of them declares.
var (
	binaryMetadataFields       = []string{"type", "filename", "mime_type", "size", "checksum", "session_id", "description", "timestamp"}
	fileTransferStartFields    = []string{"type", "filename", "size", "chunk_size", "total_chunks", "mime_type", "session_id", "description"}
	fileTransferCompleteFields = []string{"type", "filename", "total_chunks", "checksum", "session_id"}
	chunkMetadataFields        = []string{"chunk_num", "chunk_size", "checksum"}
)

// MarshalJSON returns the declared fields that are set, then those of Extra.
func (m BinaryMetadata) MarshalJSON() ([]byte, error) {
	type declared BinaryMetadata
	return marshalWithExtra(declared(m), m.Extra, binaryMetadataFields)
}

// UnmarshalJSON stores the fields of the JSON object in data, those that are
// not declared in Extra.
func (m *BinaryMetadata) UnmarshalJSON(data []byte) error {
	type declared BinaryMetadata
	extra, err := unmarshalWithExtra(data, (*declared)(m), binaryMetadataFields)
	m.Extra = extra
	return err
}

// MarshalJSON returns the declared fields that are set, then those of Extra.
func (m FileTransferStart) MarshalJSON() ([]byte, error) {
	type declared FileTransferStart
	return marshalWithExtra(declared(m), m.Extra, fileTransferStartFields)
}

// UnmarshalJSON stores the fields of the JSON object in data, those that are
// not declared in Extra.
func (m *FileTransferStart) UnmarshalJSON(data []byte) error {
	type declared FileTransferStart
	extra, err := unmarshalWithExtra(data, (*declared)(m), fileTransferStartFields)
	m.Extra = extra
	return err
}

// MarshalJSON returns the declared fields that are set, then those of Extra.
func (m FileTransferComplete) MarshalJSON() ([]byte, error) {
	type declared FileTransferComplete
	return marshalWithExtra(declared(m), m.Extra, fileTransferCompleteFields)
}

// UnmarshalJSON stores the fields of the JSON object in data, those that are
// not declared in Extra.
func (m *FileTransferComplete) UnmarshalJSON(data []byte) error {
	type declared FileTransferComplete
	extra, err := unmarshalWithExtra(data, (*declared)(m), fileTransferCompleteFields)
	m.Extra = extra
	return err
}

// MarshalJSON returns the declared fields that are set, then those of Extra.
func (m ChunkMetadata) MarshalJSON() ([]byte, error) {
	type declared ChunkMetadata
	return marshalWithExtra(declared(m), m.Extra, chunkMetadataFields)
}

// UnmarshalJSON stores the fields of the JSON object in data, those that are
// not declared in Extra.
func (m *ChunkMetadata) UnmarshalJSON(data []byte) error {
	type declared ChunkMetadata
	extra, err := unmarshalWithExtra(data, (*declared)(m), chunkMetadataFields)
	m.Extra = extra
	return err
}

// marshalWithExtra returns the JSON object that declared marshals as, with the
// members of extra behind its own, less those that are named as a field is.
func marshalWithExtra(declared any, extra Object, fields []string) ([]byte, error) {
	text, err := json.Marshal(declared)
	if err != nil {
		return nil, err
	}
	_, others := extra.split(fields)
	return append(others.appendMembers(text[:len(text)-1]), '}'), nil
}

// unmarshalWithExtra unmarshals into declared the members of data that are
// named as a field is, in the same case, and returns the others.
func unmarshalWithExtra(data []byte, declared any, fields []string) (Object, error) {
	var all Object
	if err := all.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	known, others := all.split(fields)
	return others, json.Unmarshal(known.append(nil), declared)
}

// split returns the members whose key is one of keys, and the others.
func (o Object) split(keys []string) (found, others Object) {
	for _, member := range o {
		if slices.Contains(keys, member.Key) {
			found = append(found, member)
		} else {
			others = append(others, member)
		}
	}
	return found, others
}
