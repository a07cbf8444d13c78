package protocol

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/aip-go/aip/messages"
)

// abortTimeout bounds telling the receiver that nothing more will come.
const abortTimeout = time.Second

// fileSender sends one file.
type fileSender struct {
	source     io.Reader
	name, mime string
	size       int64
	opts       SendFileOptions

	control func(ctx context.Context, o messages.Object) error
	chunk   func(ctx context.Context, number int64, data []byte) error
	// await calls announce and waits for the answer to the announcement.
	await func(ctx context.Context, s *fileSender, announce func() error) (extension, error)

	begun   bool   // the announcement may have been sent
	id      string // of this attempt, if it may be resumed
	whole   string // SHA-256 of the file, if it may be resumed
	total   int64  // chunks
	next    int64  // chunk to send
	done    int64  // bytes
	resumed int64  // bytes of done that did not have to be sent

	stall stall // over everything that is sent

	md5, sha256 hash.Hash
	sums        io.Writer // to both, or to those that are needed
}

// newFileSender checks everything that can be checked before sending.
func newFileSender(r io.Reader, name string, size int64, opts *SendFileOptions) (*fileSender, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if size < 0 {
		return nil, fmt.Errorf("%w: size is %d", ErrSize, size)
	}
	if _, err := SafeName(name); err != nil {
		return nil, err
	}
	if strings.Contains(name, "/") {
		return nil, fmt.Errorf("%w: it has a directory; only the last element is sent", ErrUnsafeName)
	}
	s := &fileSender{
		source: r, name: name, mime: o.MIMEType, size: size, opts: o,
		total: chunksOf(size, o.ChunkSize),
		md5:   md5.New(), sha256: sha256.New(),
	}
	if s.mime == "" {
		s.mime = mimeType(name)
	}
	switch {
	case o.Checksums == ChecksumsBoth:
		s.sums = io.MultiWriter(s.md5, s.sha256)
	case o.Checksums == ChecksumsMD5 && !o.Resume:
		s.sums = s.md5
	case o.Checksums == ChecksumsNone && !o.Resume:
		s.sums = io.Discard
	default:
		s.sums = io.MultiWriter(s.md5, s.sha256)
	}
	return s, nil
}

// send sends the file. The error is a *TransferError.
func (s *fileSender) send(ctx context.Context) (*FileResult, error) {
	s.stall = stall{parent: ctx, limit: s.opts.StallTimeout}
	defer s.stall.close()
	stage, err := StageStart, error(nil)
	offer := s.announcement()
	if s.opts.Resume && s.size > 0 {
		stage = StageResume
		err = s.sendResuming(ctx, offer)
	} else {
		err = s.announce(offer)
	}
	if err == nil {
		s.progress()
		stage, err = StageChunk, s.sendChunks(ctx)
	}
	if err == nil {
		stage, err = StageComplete, s.stall.end(s.control(s.stall.begin(), s.completion()))
	}
	if err != nil {
		if s.begun {
			s.abort(ctx)
		}
		return nil, &TransferError{Stage: stage, Name: s.name, Err: err}
	}
	return s.result(), nil
}

// announcement returns the first frame.
func (s *fileSender) announcement() messages.Object {
	o := messages.Object{
		{Key: "type", Value: textValue(messages.FileTransferStartType)},
		{Key: "filename", Value: textValue(s.name)},
		{Key: "size", Value: numberValue(s.size)},
		{Key: "chunk_size", Value: numberValue(s.opts.ChunkSize)},
		{Key: "total_chunks", Value: numberValue(s.total)},
		{Key: "mime_type"},
	}
	if s.mime != "" {
		o.Set("mime_type", textValue(s.mime))
	}
	if s.opts.SessionID != "" {
		o.Set("session_id", textValue(s.opts.SessionID))
	}
	if s.opts.Description != "" {
		o.Set("description", textValue(s.opts.Description))
	}
	return append(o, s.opts.Extra...)
}

func (s *fileSender) announce(offer messages.Object) error {
	s.begun = true
	return s.stall.end(s.control(s.stall.begin(), offer))
}

// sendChunks sends the chunks from the next one on, and makes sure that the
// source ends there.
func (s *fileSender) sendChunks(ctx context.Context) error {
	buffer := make([]byte, min(s.opts.ChunkSize, s.size-s.done))
	for s.next < s.total {
		chunk := buffer[:min(int64(len(buffer)), s.size-s.done)]
		if err := s.read(ctx, chunk); err != nil {
			return err
		}
		if err := s.stall.end(s.chunk(s.stall.begin(), s.next, chunk)); err != nil {
			return err
		}
		s.next++
		s.done += int64(len(chunk))
		s.progress()
	}
	if n, err := io.ReadFull(s.source, make([]byte, 1)); n > 0 {
		return fmt.Errorf("%w: it is longer than %d bytes", ErrChanged, s.size)
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading: %w", err)
	}
	if s.whole != "" && s.whole != hex.EncodeToString(s.sha256.Sum(nil)) {
		return fmt.Errorf("%w: its content is another one", ErrChanged)
	}
	return nil
}

// read fills chunk from the source.
func (s *fileSender) read(ctx context.Context, chunk []byte) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	n, err := io.ReadFull(s.source, chunk)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it ended after %d of %d bytes", ErrChanged, s.done+int64(n), s.size)
	case err != nil:
		return fmt.Errorf("reading: %w", err)
	}
	_, _ = s.sums.Write(chunk) // a hash takes everything
	return nil
}

// completion returns the last frame.
func (s *fileSender) completion() messages.Object {
	o := s.ending(s.total)
	if s.opts.Checksums != ChecksumsNone {
		o.Set(checksumKey, textValue(hex.EncodeToString(s.md5.Sum(nil))))
	}
	if s.opts.Checksums == ChecksumsBoth {
		o.Set(sha256Key, textValue(hex.EncodeToString(s.sha256.Sum(nil))))
	}
	return o
}

func (s *fileSender) ending(chunks int64) messages.Object {
	return messages.Object{
		{Key: "type", Value: textValue(messages.FileTransferCompleteType)},
		{Key: "filename", Value: textValue(s.name)},
		{Key: "total_chunks", Value: numberValue(chunks)},
	}
}

// abort tells the receiver that nothing more will come.
func (s *fileSender) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	o := s.ending(s.next)
	o.Set(FileExtension, extension{Aborted: true}.value())
	_ = s.control(ctx, o) // the error that led here is the one to report
}

func (s *fileSender) progress() {
	if s.opts.Progress != nil {
		s.opts.Progress(FileProgress{
			Name: s.name, Done: s.done, Size: s.size,
			Chunks: s.next, TotalChunks: s.total, Resumed: s.resumed,
		})
	}
}

func (s *fileSender) result() *FileResult {
	result := &FileResult{
		Name: s.name, Size: s.size, Chunks: s.total, Resumed: s.resumed,
		Verified: s.opts.Checksums != ChecksumsNone || s.whole != "",
	}
	last := s.completion()
	result.MD5, _, _ = stringField(last, checksumKey)
	result.SHA256, _, _ = stringField(last, sha256Key)
	return result
}

// sendResuming announces the file, asks where to go on, and goes there.
func (s *fileSender) sendResuming(ctx context.Context, offer messages.Object) error {
	source, ok := s.source.(io.Seeker)
	if !ok {
		return errNotSeekable
	}
	base, err := source.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if err := s.skim(ctx, s.size); err != nil {
		return err
	}
	s.whole = hex.EncodeToString(s.sha256.Sum(nil))
	if err := s.restart(source, base); err != nil {
		return err
	}
	s.id = messages.NewID()
	offer.Set(FileExtension, extension{ID: s.id, SHA256: s.whole, Resume: true}.value())
	answer, err := s.await(ctx, s, func() error { return s.announce(offer) })
	if err != nil {
		return err
	}
	if answer.Offset <= 0 || answer.Offset > s.size || answer.Offset%s.opts.ChunkSize != 0 {
		return nil
	}
	if err := s.skim(ctx, answer.Offset); err != nil {
		return err
	}
	if !strings.EqualFold(answer.SHA256, hex.EncodeToString(s.sha256.Sum(nil))) {
		return s.restart(source, base)
	}
	s.next, s.done, s.resumed = answer.Offset/s.opts.ChunkSize, answer.Offset, answer.Offset
	return nil
}

// skim reads length bytes for their checksums.
func (s *fileSender) skim(ctx context.Context, length int64) error {
	buffer := make([]byte, min(length, 256<<10))
	for left := length; left > 0; {
		part := buffer[:min(int64(len(buffer)), left)]
		if err := s.read(ctx, part); err != nil {
			return err
		}
		left -= int64(len(part))
	}
	return nil
}

// restart goes back to the first byte.
func (s *fileSender) restart(source io.Seeker, base int64) error {
	s.md5.Reset()
	s.sha256.Reset()
	_, err := source.Seek(base, io.SeekStart)
	return err
}
