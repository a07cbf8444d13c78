package protocol

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/aip-go/aip/messages"
)

const (
	fileExtensionV = 1
	fileResumeType = "file_transfer_resume"
	sha256Key      = "sha256"
	// maxTransferID is the longest id that is repeated to the peer.
	maxTransferID = 128
)

// extension is the object under [FileExtension]. Which members are set depends
// on the frame.
type extension struct {
	V       int    `json:"v"`
	ID      string `json:"id,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
	Resume  bool   `json:"resume,omitempty"`
	Offset  int64  `json:"offset,omitempty"`
	Aborted bool   `json:"aborted,omitempty"`
}

// extensionOf returns the extension object of a frame. One that is absent, of
// another version or not understood is ignored, as any unknown key is.
func extensionOf(o messages.Object) extension {
	var e extension
	v, _ := o.Get(FileExtension)
	if !v.IsObject() || v.Decode(&e) != nil || e.V != fileExtensionV || len(e.ID) > maxTransferID {
		return extension{}
	}
	return e
}

// value returns e as a JSON value.
func (e extension) value() messages.Value {
	e.V = fileExtensionV
	v, err := messages.NewValue(e)
	if err != nil {
		panic("protocol: encoding numbers and strings failed: " + err.Error())
	}
	return v
}

// frame is what a text frame is in a file transfer.
type frame uint8

const (
	frameForeign frame = iota
	frameStart
	frameChunk
	frameComplete
)

// frameOf returns what the unit is in a file transfer.
func frameOf(kind unitKind, o messages.Object) frame {
	if kind == unitBinary {
		if number, _ := o.Get("chunk_num"); number.IsNull() {
			return frameForeign
		}
		return frameChunk
	}
	switch kind, _, _ := stringField(o, "type"); kind {
	case messages.FileTransferStartType:
		return frameStart
	case messages.FileTransferCompleteType:
		return frameComplete
	default:
		return frameForeign
	}
}

// isSHA256 reports whether s has the form of a SHA-256 in hexadecimal.
func isSHA256(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 64
}

// chunksOf returns the number of chunks of a file (spec section 1.7).
func chunksOf(size, chunkSize int64) int64 {
	n := size / chunkSize
	if size%chunkSize != 0 {
		n++
	}
	return n
}

// startKeys are the keys of an announcement.
var startKeys = []string{"type", "filename", "size", "chunk_size", "total_chunks", "mime_type", "session_id", "description"}

// parseStart reads an announcement and checks it against itself.
func parseStart(o messages.Object) (messages.FileTransferStart, error) {
	var (
		start messages.FileTransferStart
		err   error
	)
	if start.Filename, err = requireString(o, "filename"); err != nil {
		return start, err
	}
	for _, field := range []struct {
		key  string
		into *int64
	}{{"size", &start.Size}, {"chunk_size", &start.ChunkSize}, {"total_chunks", &start.TotalChunks}} {
		if *field.into, err = requireInt(o, field.key); err != nil {
			return start, err
		}
	}
	for _, field := range []struct {
		key  string
		into *string
	}{{"mime_type", &start.MIMEType}, {"session_id", &start.SessionID}, {"description", &start.Description}} {
		if *field.into, _, err = stringField(o, field.key); err != nil {
			return start, err
		}
	}
	start.Type = messages.FileTransferStartType
	start.Extra = extraOf(o, startKeys)
	switch {
	case start.Size < 0:
		return start, fmt.Errorf("%w: size is %d", ErrSize, start.Size)
	case start.ChunkSize <= 0:
		return start, fmt.Errorf("%w: chunk_size is %d", ErrSize, start.ChunkSize)
	case start.TotalChunks != chunksOf(start.Size, start.ChunkSize):
		return start, fmt.Errorf("%w: total_chunks is %d, but %d bytes in chunks of %d are %d", ErrSize,
			start.TotalChunks, start.Size, start.ChunkSize, chunksOf(start.Size, start.ChunkSize))
	}
	return start, nil
}

// extraOf returns the members of o whose keys are not among the known ones.
func extraOf(o messages.Object, known []string) messages.Object {
	var extra messages.Object
	for _, member := range o {
		if !slices.Contains(known, member.Key) {
			extra = append(extra, member)
		}
	}
	return extra
}

// newOffer checks an announcement against the limits and names the file.
func newOffer(start messages.FileTransferStart, opts *ReceiveFileOptions) (FileOffer, error) {
	offer := FileOffer{FileTransferStart: start, Name: opts.Name}
	switch {
	case start.Size > opts.MaxSize:
		return offer, fmt.Errorf("%w: %d bytes, at most %d are taken (MaxSize)", ErrLimit, start.Size, opts.MaxSize)
	case min(start.ChunkSize, start.Size) > opts.MaxChunkSize:
		return offer, fmt.Errorf("%w: chunks of %d bytes, at most %d are taken (MaxChunkSize)", ErrLimit, start.ChunkSize, opts.MaxChunkSize)
	case start.TotalChunks > opts.MaxChunks:
		return offer, fmt.Errorf("%w: %d chunks, at most %d are taken (MaxChunks)", ErrLimit, start.TotalChunks, opts.MaxChunks)
	}
	if offer.Name == "" {
		name, err := SafeName(start.Filename)
		if err != nil {
			return offer, err
		}
		offer.Name = name
	}
	if opts.Accept != nil {
		if err := opts.Accept(offer); err != nil {
			return offer, fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	return offer, nil
}
