package messages

import (
	"encoding/json"
	"slices"
)

// The binary models marshal with encoding/json as other structs do, with the
// members of Extra behind the declared fields, and unmarshal what they do not
// declare into Extra.

// MarshalJSON returns the declared fields that are set, then those of Extra.
func (m BinaryMetadata) MarshalJSON() ([]byte, error) {
	type declared BinaryMetadata
	return marshalWithExtra(declared(m), m.Extra)
}

// UnmarshalJSON stores the fields of the JSON object in data, those that are
// not declared in Extra.
func (m *BinaryMetadata) UnmarshalJSON(data []byte) error {
	type declared BinaryMetadata
	extra, err := unmarshalWithExtra(data, (*declared)(m), "type", "filename", "mime_type", "size", "checksum", "session_id", "description", "timestamp")
	m.Extra = extra
	return err
}

// MarshalJSON returns the declared fields that are set, then those of Extra.
func (m FileTransferStart) MarshalJSON() ([]byte, error) {
	type declared FileTransferStart
	return marshalWithExtra(declared(m), m.Extra)
}

// UnmarshalJSON stores the fields of the JSON object in data, those that are
// not declared in Extra.
func (m *FileTransferStart) UnmarshalJSON(data []byte) error {
	type declared FileTransferStart
	extra, err := unmarshalWithExtra(data, (*declared)(m), "type", "filename", "size", "chunk_size", "total_chunks", "mime_type", "session_id", "description")
	m.Extra = extra
	return err
}

// MarshalJSON returns the declared fields that are set, then those of Extra.
func (m FileTransferComplete) MarshalJSON() ([]byte, error) {
	type declared FileTransferComplete
	return marshalWithExtra(declared(m), m.Extra)
}

// UnmarshalJSON stores the fields of the JSON object in data, those that are
// not declared in Extra.
func (m *FileTransferComplete) UnmarshalJSON(data []byte) error {
	type declared FileTransferComplete
	extra, err := unmarshalWithExtra(data, (*declared)(m), "type", "filename", "total_chunks", "checksum", "session_id")
	m.Extra = extra
	return err
}

// MarshalJSON returns the declared fields that are set, then those of Extra.
func (m ChunkMetadata) MarshalJSON() ([]byte, error) {
	type declared ChunkMetadata
	return marshalWithExtra(declared(m), m.Extra)
}

// UnmarshalJSON stores the fields of the JSON object in data, those that are
// not declared in Extra.
func (m *ChunkMetadata) UnmarshalJSON(data []byte) error {
	type declared ChunkMetadata
	extra, err := unmarshalWithExtra(data, (*declared)(m), "chunk_num", "chunk_size", "checksum")
	m.Extra = extra
	return err
}

// marshalWithExtra returns the JSON object that declared marshals as, with the
// members of extra behind its own.
func marshalWithExtra(declared any, extra Object) ([]byte, error) {
	text, err := json.Marshal(declared)
	if err != nil || len(extra) == 0 {
		return text, err
	}
	return append(extra.appendMembers(text[:len(text)-1]), '}'), nil
}

// unmarshalWithExtra unmarshals data into declared and returns the members of
// data that are none of names.
func unmarshalWithExtra(data []byte, declared any, names ...string) (Object, error) {
	if err := json.Unmarshal(data, declared); err != nil {
		return nil, err
	}
	var all Object
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	extra := slices.DeleteFunc(all, func(member Member) bool {
		return slices.Contains(names, member.Key)
	})
	if len(extra) == 0 {
		return nil, nil
	}
	return extra, nil
}
