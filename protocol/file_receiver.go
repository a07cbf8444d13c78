package protocol

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"path/filepath"
	"strings"

	"github.com/aip-go/aip/messages"
)

// fileReceiver takes in one file, unit by unit, whoever reads them. It writes
// to a temporary file and gives it its name when everything is verified. It
// holds no content in memory, trusts no number of the sender, and starts no
// goroutine. It is not safe for concurrent use.
type fileReceiver struct {
	dir   string
	opts  ReceiveFileOptions
	store *store
	phase phase
	err   error // what ended the transfer in failure

	offer FileOffer
	ext   extension // of the announcement

	next    int64 // number of the chunk that is due
	offered int64 // the chunk that the sender was offered to go on with
	first   bool  // no chunk has come yet
	done    int64 // bytes
	resumed int64 // bytes of done that were there already

	md5, sha256 hash.Hash
}

// phase is what a fileReceiver waits for.
type phase uint8

const (
	phaseStart phase = iota
	phaseChunks
	phaseOver
)

// fileStep is what a unit has brought about.
type fileStep struct {
	// reply, if not nil, is to be sent to the sender of the file.
	reply messages.Object
	// result is set when the file is complete, verified and in place.
	result *FileResult
}

// newFileReceiver returns a receiver of one file into the directory dir. It
// has to be ended, by a result, by fail or by a failing feed.
func newFileReceiver(dir string, opts *ReceiveFileOptions) (*fileReceiver, error) {
	o, err := opts.withDefaults()
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return nil, &TransferError{Stage: StageOpen, Err: err}
	}
	s, err := openStore(dir)
	if err != nil {
		return nil, &TransferError{Stage: StageOpen, Err: err}
	}
	return &fileReceiver{dir: dir, opts: o, store: s, md5: md5.New(), sha256: sha256.New()}, nil
}

// feed takes in a unit: its metadata and, of a binary message, its data, which
// it does not keep. The error is a *TransferError. It ends the transfer,
// unless it matches errNotTransfer, which leaves everything as it was.
func (r *fileReceiver) feed(kind unitKind, o messages.Object, data []byte) (fileStep, error) {
	return r.feedFrame(frameOf(kind, o), o, chunkInfo{}, data)
}

// feedChunk is feed for a chunk whose metadata was read already.
func (r *fileReceiver) feedChunk(c chunkInfo, data []byte) (fileStep, error) {
	return r.feedFrame(frameChunk, nil, c, data)
}

func (r *fileReceiver) feedFrame(what frame, o messages.Object, c chunkInfo, data []byte) (fileStep, error) {
	if r.phase == phaseOver {
		return fileStep{}, r.wrap(StageComplete, fmt.Errorf("%w: the transfer is over", errNotTransfer))
	}
	var (
		step  fileStep
		err   error
		stage = StageChunk
	)
	switch {
	case what == frameForeign:
		return fileStep{}, r.wrap(stage, errNotTransfer)
	case r.phase == phaseStart && what == frameStart:
		stage = StageStart
		step.reply, err = r.start(o)
	case r.phase == phaseStart:
		stage, err = StageStart, fmt.Errorf("%w: a transfer begins with %q", ErrOrder, messages.FileTransferStartType)
	case what == frameStart:
		err = fmt.Errorf("%w: another transfer begins after chunk %d of %d", ErrOrder, r.next, r.offer.TotalChunks)
	case what == frameChunk:
		err = r.chunk(o, c, data)
	default:
		stage = StageComplete
		step.result, err = r.complete(o)
	}
	if err != nil {
		return fileStep{}, r.fail(stage, err, errors.Is(err, ErrAborted))
	}
	if r.opts.Progress != nil && what != frameComplete {
		r.opts.Progress(r.progress())
	}
	return step, nil
}

// progress returns how far the transfer has come.
func (r *fileReceiver) progress() FileProgress {
	return FileProgress{
		Name: r.offer.Filename, Done: r.done, Size: r.offer.Size,
		Chunks: r.next, TotalChunks: r.offer.TotalChunks, Resumed: r.resumed,
	}
}

// fail ends the transfer with cause and returns the error for it. What has
// been received is removed, or kept for a resume if keep is set and both sides
// want that. After the end it does nothing but return the error.
func (r *fileReceiver) fail(stage TransferStage, cause error, keep bool) error {
	if r.phase == phaseOver {
		return r.err
	}
	r.phase = phaseOver
	if disk := new(storeError); errors.As(cause, &disk) {
		stage = StageStore
	}
	var cleanup error
	if keep && r.resumable() && r.store.file != nil && r.done > 0 {
		cleanup = r.store.keep(r.key(), r.opts.PartialAge, r.opts.MaxPartial)
	}
	if err := errors.Join(cleanup, r.store.discard()); err != nil {
		cause = errors.Join(cause, err)
	}
	r.err = r.wrap(stage, cause)
	return r.err
}

func (r *fileReceiver) wrap(stage TransferStage, err error) error {
	return &TransferError{Stage: stage, Name: r.offer.Filename, Err: err}
}

// storeError is a failure of this side's disk.
type storeError struct{ error }

func (e *storeError) Unwrap() error { return e.error }

// start takes in the announcement and returns the reply to it, if any.
func (r *fileReceiver) start(o messages.Object) (messages.Object, error) {
	start, err := parseStart(o)
	r.offer.FileTransferStart = start
	if err != nil {
		return nil, err
	}
	if r.offer, err = newOffer(start, &r.opts); err != nil {
		return nil, err
	}
	if r.opts.Existing == ExistingFails && r.store.exists(r.offer.Name) {
		return nil, existsError(r.offer.Name)
	}
	r.ext = extensionOf(o)
	r.phase, r.first = phaseChunks, true
	if r.resumable() {
		r.takeUp()
	}
	if r.store.file == nil {
		if err := r.store.create(); err != nil {
			return nil, &storeError{err}
		}
	}
	if !r.ext.Resume || r.ext.ID == "" {
		return nil, nil
	}
	return resumeReply(r.offer.Filename, extension{ID: r.ext.ID, Offset: r.done, SHA256: r.sum256()}), nil
}

// chunk takes in a chunk, whose metadata is c or, if that is not known, in o.
func (r *fileReceiver) chunk(o messages.Object, c chunkInfo, data []byte) error {
	if !c.known {
		var err error
		if c, err = chunkOf(o); err != nil {
			return err
		}
	}
	number := c.number
	if r.first && r.offered > 0 && number == 0 {
		if err := r.rewind(); err != nil {
			return &storeError{err}
		}
	}
	switch {
	case r.next >= r.offer.TotalChunks:
		return fmt.Errorf("%w: chunk %d after the last of %d", ErrOrder, number, r.offer.TotalChunks)
	case number != r.next:
		return fmt.Errorf("%w: chunk %d where %d is due", ErrOrder, number, r.next)
	}
	r.first = false
	due := min(r.offer.ChunkSize, r.offer.Size-r.done)
	switch {
	case c.size >= 0 && c.size != due:
		return fmt.Errorf("%w: %q of chunk %d is %d, not %d", ErrSize, "size", number, c.size, due)
	case c.length >= 0 && c.length != due:
		return fmt.Errorf("%w: %q of chunk %d is %d, not %d", ErrSize, "chunk_size", number, c.length, due)
	}
	if int64(len(data)) != due {
		return fmt.Errorf("%w: chunk %d has %d bytes, not %d", ErrSize, number, len(data), due)
	}
	if _, err := verifyChecksum(o, data); err != nil {
		return fmt.Errorf("chunk %d: %w", number, err)
	}
	if _, err := r.store.file.Write(data); err != nil {
		return &storeError{err}
	}
	r.hash(data)
	r.next++
	r.done += due
	return nil
}

// complete takes in the end and puts the file in place.
func (r *fileReceiver) complete(o messages.Object) (*FileResult, error) {
	if extensionOf(o).Aborted {
		return nil, ErrAborted
	}
	total, err := requireInt(o, "total_chunks")
	if err != nil {
		return nil, err
	}
	switch {
	case r.next != r.offer.TotalChunks:
		return nil, fmt.Errorf("%w: the end after %d chunks of %d", ErrOrder, r.next, r.offer.TotalChunks)
	case total != r.offer.TotalChunks:
		return nil, fmt.Errorf("%w: total_chunks is %d at the end and was %d at the start", ErrSize, total, r.offer.TotalChunks)
	}
	if name, ok, err := stringField(o, "filename"); err != nil {
		return nil, err
	} else if ok && name != r.offer.Filename {
		return nil, fmt.Errorf("%w: the end of another file", ErrOrder)
	}
	result := &FileResult{
		Name: r.offer.Filename, Size: r.done, MD5: r.sumMD5(), SHA256: r.sum256(),
		Chunks: r.next, Resumed: r.resumed, Offer: r.offer,
	}
	if result.Verified, err = r.verify(o, result); err != nil {
		return nil, err
	}
	name, err := r.store.commit(r.offer.Name, r.opts.Existing)
	if err != nil {
		return nil, &storeError{err}
	}
	r.phase = phaseOver
	result.Path = filepath.Join(r.dir, name)
	_ = r.store.discard() // only the directory is left to be closed
	return result, nil
}

// verify compares the checksums that the sender gave, and reports whether it
// gave any.
func (r *fileReceiver) verify(o messages.Object, result *FileResult) (bool, error) {
	sumMD5, _, err := stringField(o, "checksum")
	if err != nil {
		return false, err
	}
	sum256, _, err := stringField(o, sha256Key)
	if err != nil {
		return false, err
	}
	given := false
	for _, sum := range []struct{ what, given, is string }{
		{"MD5", sumMD5, result.MD5},
		{"SHA-256", sum256, result.SHA256},
		{"SHA-256", r.ext.SHA256, result.SHA256},
	} {
		if sum.given == "" {
			continue
		}
		if !strings.EqualFold(sum.given, sum.is) {
			return false, fmt.Errorf("%w: %s is %s, announced as %.64q", ErrChecksum, sum.what, sum.is, sum.given)
		}
		given = true
	}
	return given, nil
}

func (r *fileReceiver) hash(data []byte) {
	r.md5.Write(data)
	r.sha256.Write(data)
}

func (r *fileReceiver) sumMD5() string { return hex.EncodeToString(r.md5.Sum(nil)) }
func (r *fileReceiver) sum256() string { return hex.EncodeToString(r.sha256.Sum(nil)) }
