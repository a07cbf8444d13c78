package messages

// The values of the "type" field of the binary models.
const (
	BinaryDataType           = "binary_data"
	FileTransferStartType    = "file_transfer_start"
	FileTransferCompleteType = "file_transfer_complete"
)

// BinaryMetadata is the text frame that announces one binary frame.
type BinaryMetadata struct {
	// Type is [BinaryDataType]; unset means the same.
	Type     string `json:"type,omitzero" validate:"omitempty,eq=binary_data"`
	Filename string `json:"filename,omitzero"`
	MIMEType string `json:"mime_type,omitzero"`
	// Size is the length of the binary frame in bytes.
	Size        int64  `json:"size"`
	Checksum    string `json:"checksum,omitzero"`
	SessionID   string `json:"session_id,omitzero"`
	Description string `json:"description,omitzero"`
	Timestamp   string `json:"timestamp,omitzero"`
	// Extra holds the fields that this struct does not declare; a member named
	// as one that it does is not written.
	Extra Object `json:"-"`
}

// FileTransferStart is the text frame that opens a file transfer.
type FileTransferStart struct {
	// Type is [FileTransferStartType]; unset means the same.
	Type     string `json:"type,omitzero" validate:"omitempty,eq=file_transfer_start"`
	Filename string `json:"filename"`
	// Size is the length of the file, ChunkSize that of every chunk but the
	// last, both in bytes.
	Size        int64  `json:"size"`
	ChunkSize   int64  `json:"chunk_size"`
	TotalChunks int64  `json:"total_chunks"`
	MIMEType    string `json:"mime_type,omitzero"`
	SessionID   string `json:"session_id,omitzero"`
	Description string `json:"description,omitzero"`
	// Extra holds the fields that this struct does not declare; a member named
	// as one that it does is not written.
	Extra Object `json:"-"`
}

// FileTransferComplete is the text frame that ends a file transfer.
type FileTransferComplete struct {
	// Type is [FileTransferCompleteType]; unset means the same.
	Type     string `json:"type,omitzero" validate:"omitempty,eq=file_transfer_complete"`
	Filename string `json:"filename"`
	// TotalChunks is the number of chunks that were sent.
	TotalChunks int64  `json:"total_chunks"`
	Checksum    string `json:"checksum,omitzero"`
	SessionID   string `json:"session_id,omitzero"`
	// Extra holds the fields that this struct does not declare; a member named
	// as one that it does is not written.
	Extra Object `json:"-"`
}

// ChunkMetadata describes one chunk of a file.
type ChunkMetadata struct {
	// ChunkNum counts from 0.
	ChunkNum int64 `json:"chunk_num"`
	// ChunkSize is the length of this chunk in bytes.
	ChunkSize int64  `json:"chunk_size"`
	Checksum  string `json:"checksum,omitzero"`
	// Extra holds the fields that this struct does not declare; a member named
	// as one that it does is not written.
	Extra Object `json:"-"`
}
