package protocol

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/aip-go/aip/messages"
)

// The defaults of file transfers.
const (
	// DefaultChunkSize is the length of a chunk in bytes. The reference's is 1
	// MiB; the size is the sender's choice, and both sides hold whole chunks.
	DefaultChunkSize = 128 << 10
	// DefaultMaxFileSize is the largest file that is received, in bytes.
	DefaultMaxFileSize = 1 << 30
	// DefaultMaxChunkSize is the largest chunk that is received, in bytes.
	DefaultMaxChunkSize = 16 << 20
	// DefaultMaxChunks is the largest number of chunks that is received.
	DefaultMaxChunks = 1 << 20
	// DefaultStallTimeout is how long the peer may take for one chunk.
	DefaultStallTimeout = time.Minute
	// DefaultResumeWait is how long a sender waits to hear where to go on.
	DefaultResumeWait = 10 * time.Second
	// DefaultPartialAge is how long the content of an interrupted transfer is
	// kept.
	DefaultPartialAge = 24 * time.Hour
	// DefaultMaxPartial is how many interrupted transfers are kept.
	DefaultMaxPartial = 16
)

// FileProgress is how far a file transfer has come.
type FileProgress struct {
	// Name is the file's name as the sender gave it.
	Name string
	// Done and Size are in bytes; Done counts what was there already.
	Done, Size int64
	// Chunks is the number of chunks done, of TotalChunks.
	Chunks, TotalChunks int64
	// Resumed is how much of Done was there already, in bytes.
	Resumed int64
}

// FileOffer is the announcement of a file that a peer wants to send, checked
// against the limits.
type FileOffer struct {
	messages.FileTransferStart
	// Name is the name the file is to get: [ReceiveFileOptions.Name], or the
	// sender's made safe (see [SafeName]). Filename is the sender's own.
	Name string
}

// FileResult is a finished file transfer.
type FileResult struct {
	// Path is where the file is: the received one, or the one sent, if it was
	// sent from a path.
	Path string
	// Name is the file's name as the sender gave it, and Size its length in
	// bytes.
	Name string
	Size int64
	// MD5 and SHA256 are the checksums of the content, in lower-case
	// hexadecimal. A sender computes those only that it sends.
	MD5, SHA256 string
	// Verified: the sender gave at least one checksum, and all it gave are
	// right. For the sender: it gave one.
	Verified bool
	// Chunks is the number of chunks of the file, Resumed the number of bytes
	// that did not have to be sent again.
	Chunks, Resumed int64
	// Offer is the announcement.
	Offer FileOffer
}

// ReceiveFileOptions configures the receiving of files. Nil and zero values
// mean the defaults. Functions are called by the goroutine that receives, one
// at a time, and the transfer waits for them.
type ReceiveFileOptions struct {
	// Name is the final name inside the directory. Empty: the sender's name,
	// made safe by [SafeName].
	Name string
	// Existing says what to do when that name is taken.
	Existing OnExisting
	// MaxSize, MaxChunkSize (bytes) and MaxChunks limit what is accepted;
	// negative means no limit. The chunk size counts only as far as the file
	// is long.
	MaxSize, MaxChunkSize, MaxChunks int64
	// StallTimeout bounds the wait for each frame after the first; negative
	// means no bound. In [AIPProtocol.Run] the wait begins anew when it ended
	// while a handler was at work, because the frame may have been there.
	StallTimeout time.Duration
	// Accept, if set, is asked before anything is written. An error refuses
	// the file; it is wrapped in one that matches [ErrRefused].
	Accept func(FileOffer) error
	// Progress, if set, is told of the start and of every chunk.
	Progress func(FileProgress)
	// Resume keeps the content of a transfer that is interrupted by the loss
	// of the connection, by a timeout, by this side's context or by the
	// sender, if the sender asked for that, and offers it when the same file
	// comes again. It is kept in the directory ".aip-partial" inside the
	// target directory, and the file is verified as a whole in the end.
	Resume bool
	// PartialAge is how long such content is kept, and MaxPartial how many
	// files of it; the oldest go first. Negative means no bound.
	PartialAge time.Duration
	MaxPartial int
}

// Checksums says which checksums a sender puts at the end of a file.
type Checksums int

// The checksums of a file.
const (
	// ChecksumsBoth: the MD5 under "checksum", as in AIP, and the SHA-256
	// under "sha256", which a peer that does not know it ignores.
	ChecksumsBoth Checksums = iota
	// ChecksumsMD5: the MD5 alone.
	ChecksumsMD5
	// ChecksumsNone: none; the receiver cannot verify the content.
	ChecksumsNone
)

// SendFileOptions configures the sending of a file. Nil and zero values mean
// the defaults. Functions are called by the goroutine that sends.
type SendFileOptions struct {
	// ChunkSize is the length of every chunk but the last, in bytes; zero means
	// [DefaultChunkSize]. It has to be within the transport's and the receiver's
	// limits. What the sender needs grows with it, and a multiple of that is what
	// the receiver needs.
	ChunkSize int64
	// Checksums says which checksums are sent.
	Checksums Checksums
	// MIMEType, SessionID and Description go into the announcement. Without a
	// MIMEType it is told from the name.
	MIMEType, SessionID, Description string
	// Extra is added to the announcement. Its keys must not be those of the
	// protocol.
	Extra messages.Object
	// StallTimeout bounds the sending of each chunk; negative means no bound.
	StallTimeout time.Duration
	// Progress, if set, is told of the start and of every chunk.
	Progress func(FileProgress)
	// Resume asks the receiver what it has of the file already, and sends the
	// rest. It needs a file or another [io.Seeker], which is read twice. To a
	// peer that does not know of it, which is the reference, the transfer
	// begins after ResumeWait; see [FileExtension].
	Resume bool
	// ResumeWait is how long to wait for the answer.
	ResumeWait time.Duration
}

// withDefaults returns a copy of o with its defaults filled in.
func (o *SendFileOptions) withDefaults() (SendFileOptions, error) {
	var out SendFileOptions
	if o != nil {
		out = *o
	}
	switch {
	case out.ChunkSize < 0:
		return out, fmt.Errorf("%w: ChunkSize is %d", ErrInvalidOptions, out.ChunkSize)
	case out.Checksums < ChecksumsBoth || out.Checksums > ChecksumsNone:
		return out, fmt.Errorf("%w: Checksums is %d", ErrInvalidOptions, out.Checksums)
	case out.ResumeWait < 0:
		return out, fmt.Errorf("%w: ResumeWait is %v; the wait cannot be without a bound", ErrInvalidOptions, out.ResumeWait)
	}
	for _, member := range out.Extra {
		if slices.Contains(startKeys, member.Key) || member.Key == FileExtension {
			return out, fmt.Errorf("%w: Extra has the protocol's key %q", ErrInvalidOptions, member.Key)
		}
	}
	if out.ChunkSize == 0 {
		out.ChunkSize = DefaultChunkSize
	}
	if out.ResumeWait == 0 {
		out.ResumeWait = DefaultResumeWait
	}
	out.StallTimeout = limitOr(out.StallTimeout, DefaultStallTimeout)
	return out, nil
}

// withDefaults returns a copy of o with its defaults filled in.
func (o *ReceiveFileOptions) withDefaults() (ReceiveFileOptions, error) {
	var out ReceiveFileOptions
	if o != nil {
		out = *o
	}
	if out.Existing < ExistingFails || out.Existing > ExistingKept {
		return out, fmt.Errorf("%w: Existing is %d", ErrInvalidOptions, out.Existing)
	}
	if out.Name != "" {
		safe, err := SafeName(out.Name)
		if err != nil {
			return out, err
		}
		if safe != out.Name {
			return out, fmt.Errorf("%w: %q; use %q", ErrUnsafeName, out.Name, safe)
		}
	}
	out.MaxSize = limitOr(out.MaxSize, DefaultMaxFileSize)
	out.MaxChunkSize = limitOr(out.MaxChunkSize, DefaultMaxChunkSize)
	out.MaxChunks = limitOr(out.MaxChunks, DefaultMaxChunks)
	out.StallTimeout = limitOr(out.StallTimeout, DefaultStallTimeout)
	out.PartialAge = limitOr(out.PartialAge, DefaultPartialAge)
	out.MaxPartial = int(min(limitOr(int64(out.MaxPartial), DefaultMaxPartial), math.MaxInt))
	return out, nil
}

// limitOr returns the limit that an option's value means: the default for
// zero, the greatest value for a negative one.
func limitOr[T ~int64](value, standard T) T {
	switch {
	case value == 0:
		return standard
	case value < 0:
		return math.MaxInt64
	default:
		return value
	}
}
