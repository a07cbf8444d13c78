package protocol

import (
	"io"
	"strings"

	"github.com/aip-go/aip/messages"
)

// FileExtension is the key of this package's addition to file transfers: to
// take an interrupted one up again, and to say that one was given up.
//
// A sender whose user asks for it adds one key to the announcement, which a
// peer that does not know it ignores (spec section 1.7):
//
//	{"type": "file_transfer_start", "filename": "f.bin", "size": 5000000,
//	 "chunk_size": 1048576, "total_chunks": 5, "mime_type": null,
//	 "io.aip.file": {"v": 1, "id": "<of this attempt>",
//	                 "sha256": "<of the whole file>", "resume": true}}
//
// It then waits, for a bounded time, for this text frame, which only a peer
// that knows the key sends, and only to one that asked:
//
//	{"type": "file_transfer_resume", "filename": "f.bin",
//	 "io.aip.file": {"v": 1, "id": "<the same>", "offset": 2097152,
//	                 "sha256": "<of the first offset bytes>"}}
//
// The offset is a multiple of the announcement's chunk_size; absent or 0 means
// from the start. The sender compares the checksum with that of its own first
// bytes. If they agree, it goes on with the chunk number offset/chunk_size; if
// not, or if no answer came in time, it begins with chunk 0, and the receiver,
// seeing that, forgets what it had. Chunk numbers and total_chunks count the
// whole file in either case, and the checksums at the end are of the whole
// file.
//
// The receiver keeps what it has of a file under its name, size and SHA-256:
// another content under the same name begins afresh.
//
// A sender that gives up says so, whether it asked for a resume or not, by
//
//	{"type": "file_transfer_complete", "filename": "f.bin",
//	 "total_chunks": <sent so far>, "io.aip.file": {"v": 1, "aborted": true}}
//
// which is an error to every receiver.
const FileExtension = "io.aip.file"

// resumeReply returns the answer to an announcement.
func resumeReply(filename string, e extension) messages.Object {
	if e.Offset == 0 {
		e.SHA256 = ""
	}
	return messages.Object{
		{Key: "type", Value: textValue(fileResumeType)},
		{Key: "filename", Value: textValue(filename)},
		{Key: FileExtension, Value: e.value()},
	}
}

// resumable reports whether both sides want to resume this transfer.
func (r *fileReceiver) resumable() bool {
	return r.opts.Resume && r.ext.Resume && isSHA256(r.ext.SHA256)
}

// key is the identity under which content is kept.
func (r *fileReceiver) key() string {
	return partialKey(strings.ToLower(r.ext.SHA256), r.offer.Size, r.offer.Name)
}

// takeUp goes on from what is kept of the file, in whole chunks. Whatever goes
// wrong, the transfer just begins from the start.
func (r *fileReceiver) takeUp() {
	length, err := r.store.take(r.key(), r.opts.PartialAge)
	if err != nil {
		return
	}
	chunks := min(length, r.offer.Size) / r.offer.ChunkSize
	if err := r.rehash(chunks * r.offer.ChunkSize); err != nil || chunks == 0 {
		r.md5.Reset()
		r.sha256.Reset()
		_ = r.store.drop()
		return
	}
	r.next, r.offered = chunks, chunks
	r.done = chunks * r.offer.ChunkSize
	r.resumed = r.done
}

// rehash cuts what is kept to length and computes its checksums.
func (r *fileReceiver) rehash(length int64) error {
	file := r.store.file
	if err := file.Truncate(length); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	n, err := io.Copy(io.MultiWriter(r.md5, r.sha256), file)
	if err == nil && n != length {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// rewind forgets what was kept.
func (r *fileReceiver) rewind() error {
	r.md5.Reset()
	r.sha256.Reset()
	r.next, r.offered, r.done, r.resumed = 0, 0, 0, 0
	return r.rehash(0)
}
