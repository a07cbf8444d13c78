package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"sync/atomic"
)

// DefaultChunkSize is the default size of a chunk's frame, in bytes.
const DefaultChunkSize = 1 << 20

// The header of a chunk's frame.
const (
	chunkVersion    = 1
	chunkHeaderSize = 36
)

// chunkMagic begins every chunk's frame. Its first byte occurs in no UTF-8
// text and begins neither gzip nor zstd data.
var chunkMagic = []byte{0xc1, 'A', 'I', 'P'}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Errors of chunks, besides [ErrTooLarge] for a message beyond the limit. All
// but those about options come wrapped in a [*ChunkError], which says where.
var (
	// ErrNotChunk says that a frame is no chunk: it is shorter than a chunk's
	// header or does not begin as one.
	ErrNotChunk = errors.New("codec: the frame is not a chunk: ask IsChunk first")
	// ErrChunkVersion says that a chunk's header is of another version, or
	// uses bytes that this version reserves.
	ErrChunkVersion = errors.New("codec: the chunk's header is not of version 1: the sender needs to use this version")
	// ErrChunkSize says that a chunk does not fit the size of its message:
	// it reaches beyond the end, or is empty though the message is not.
	ErrChunkSize = errors.New("codec: the chunk does not fit the size of its message: have the message sent again")
	// ErrChunkMissing says that a chunk is not the next one of its message,
	// but a later one; or it belongs to a message that is not known, as its
	// first chunk was lost or it was given up.
	ErrChunkMissing = errors.New("codec: a chunk is missing before this one: have the message sent again, over a transport that keeps the order")
	// ErrChunkRepeated says that a chunk repeats bytes that its message
	// already has.
	ErrChunkRepeated = errors.New("codec: the chunk repeats an earlier one: have the message sent again, under another id")
	// ErrChunkMismatch says that a chunk's total size or checksum differs
	// from what its message's first chunk said.
	ErrChunkMismatch = errors.New("codec: the chunk contradicts the first one of its message: have the message sent again, under an id of its own")
	// ErrChunkChecksum says that a message is complete but not what was sent.
	ErrChunkChecksum = errors.New("codec: the message's checksum is wrong: have it sent again")
	// ErrChunkLimit says that there are too many unfinished messages, or that
	// they hold too many bytes.
	ErrChunkLimit = errors.New("codec: too much is unfinished: have the message sent again once others are complete, or raise MaxMessages or MaxBuffered")
	// ErrChunkTimeout says that a message was given up because no chunk of it
	// came for too long.
	ErrChunkTimeout = errors.New("codec: the message stayed unfinished for too long: have it sent again")
	// ErrChunkOptions says that options are invalid.
	ErrChunkOptions = errors.New("codec: invalid chunk options")
)

// ChunkError is the error of a chunk. Err matches [ErrTooLarge] or one of the
// errors above.
type ChunkError struct {
	ID     uint64 // the message's id, zero if it is not known
	Offset uint64 // where in the message the chunk begins, in bytes; for ErrChunkTimeout where the next would
	Err    error  // what is wrong
}

func (e *ChunkError) Error() string {
	return fmt.Sprintf("%v (message %d, at byte %d)", e.Err, e.ID, e.Offset)
}

// Unwrap returns the error's cause.
func (e *ChunkError) Unwrap() error { return e.Err }

// ChunkerOptions configures a [Chunker]. Nil is all defaults.
type ChunkerOptions struct {
	// ChunkSize is the largest size of a frame in bytes, the 36 of the header
	// included. Zero is [DefaultChunkSize]; less than 37 is invalid.
	ChunkSize int
}

// Chunker splits messages into chunks, for an [Assembler] at the other end.
//
// Each chunk is one binary frame: a header of 36 bytes, then a part of the
// message up to the frame's end. Numbers are big-endian.
//
//	bytes   field
//	 0– 3   C1 41 49 50 ("AIP" behind a byte that no UTF-8 text has)
//	 4      version, 1
//	 5– 7   reserved, 0
//	 8–15   id of the message, which no other unfinished one has
//	16–23   offset of this part in the message
//	24–31   size of the whole message
//	32–35   CRC-32C (Castagnoli, RFC 3720 appendix B.4) of the whole message
//
// The chunks of a message are sent in order, the first at offset 0, each where
// the one before it ends; size and checksum are the same in all. An empty
// message is one chunk without a part. Chunks of several messages, and other
// frames, may be sent between them. The checksum finds accidents; it is no
// protection against forgery.
//
// A Chunker numbers its messages from 1, so that there must be only one for
// each direction of a connection. It may be used by any number of goroutines
// at once.
type Chunker struct {
	size int
	id   atomic.Uint64 // of the last message
}

// NewChunker returns a Chunker, or an error matching [ErrChunkOptions].
func NewChunker(opts *ChunkerOptions) (*Chunker, error) {
	c := &Chunker{size: DefaultChunkSize}
	if opts != nil && opts.ChunkSize != 0 {
		c.size = opts.ChunkSize
	}
	if c.size <= chunkHeaderSize {
		return nil, fmt.Errorf("%w: ChunkSize is %d, want at least %d", ErrChunkOptions, c.size, chunkHeaderSize+1)
	}
	return c, nil
}

// Frames returns the frames of a message, to be sent in this order, each as
// one binary message of the transport. All are written into the same buffer:
// each is the caller's only until the next one is asked for. The message must
// not change meanwhile. Ranging over the sequence again sends the message
// again, under a new id.
func (c *Chunker) Frames(message []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		h := chunkHeader{
			id:       c.id.Add(1),
			size:     uint64(len(message)),
			checksum: crc32.Checksum(message, castagnoli),
		}
		room := min(c.size-chunkHeaderSize, len(message))
		frame := make([]byte, 0, chunkHeaderSize+room)
		for {
			part := message[h.offset:min(h.offset+uint64(room), h.size)]
			frame = append(h.appendTo(frame[:0]), part...)
			h.offset += uint64(len(part))
			if !yield(frame) || h.offset == h.size {
				return
			}
		}
	}
}

// IsChunk reports whether a frame begins as a chunk does, so that a receiver
// can tell chunks from other binary frames.
func IsChunk(frame []byte) bool {
	return bytes.HasPrefix(frame, chunkMagic)
}

// chunkHeader is what a chunk's header says.
type chunkHeader struct {
	id, offset, size uint64
	checksum         uint32
}

func (h chunkHeader) appendTo(dst []byte) []byte {
	dst = append(dst, chunkMagic...)
	dst = append(dst, chunkVersion, 0, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, h.id)
	dst = binary.BigEndian.AppendUint64(dst, h.offset)
	dst = binary.BigEndian.AppendUint64(dst, h.size)
	return binary.BigEndian.AppendUint32(dst, h.checksum)
}

// parseChunk returns a frame's header and its part of the message, which
// aliases the frame. The error is one of the sentinels, bare.
func parseChunk(frame []byte) (h chunkHeader, part []byte, err error) {
	if len(frame) < chunkHeaderSize || !IsChunk(frame) {
		return h, nil, ErrNotChunk
	}
	if !bytes.Equal(frame[4:8], []byte{chunkVersion, 0, 0, 0}) {
		return h, nil, ErrChunkVersion
	}
	h.id = binary.BigEndian.Uint64(frame[8:])
	h.offset = binary.BigEndian.Uint64(frame[16:])
	h.size = binary.BigEndian.Uint64(frame[24:])
	h.checksum = binary.BigEndian.Uint32(frame[32:])
	part = frame[chunkHeaderSize:]
	if h.offset > h.size || uint64(len(part)) > h.size-h.offset || (len(part) == 0) != (h.size == 0) {
		return h, nil, ErrChunkSize
	}
	return h, part, nil
}
