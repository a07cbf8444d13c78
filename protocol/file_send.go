package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// SendFile sends the regular file at path under its base name. See
// [AIPProtocol.SendFileFrom].
func (p *AIPProtocol[Out, In]) SendFile(ctx context.Context, path string, opts *SendFileOptions) (*FileResult, error) {
	fail := func(err error) (*FileResult, error) {
		return nil, &TransferError{Stage: StageOpen, Name: filepath.Base(path), Err: err}
	}
	// What is opened could wait for ever if it were a pipe, so it is looked at
	// first; what is looked at could be replaced, so it is looked at again.
	if info, err := os.Stat(path); err != nil {
		return fail(err)
	} else if !info.Mode().IsRegular() {
		return fail(fmt.Errorf("%s is no regular file: %w", path, os.ErrInvalid))
	}
	file, err := os.Open(path)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return fail(err)
	}
	result, err := p.SendFileFrom(ctx, file, filepath.Base(path), info.Size(), opts)
	if err != nil {
		return nil, err
	}
	if result.Path, err = filepath.Abs(path); err != nil {
		result.Path = path
	}
	return result, nil
}

// SendFileFrom sends what r yields, which must be exactly size bytes and then
// io.EOF, as the file name (spec section 1.7): an announcement, the chunks as
// binary messages, and the end with the checksums. Memory use is that of one
// chunk. It returns when the transport has taken over all of it; the protocol
// has no acknowledgement.
//
// Files are sent one after the other: a second call waits for the first, since
// chunks do not say which file they are of. Messages and binary messages may
// be sent in the meantime and come between the chunks; the reference receives
// files only when nothing does.
//
// The error is a [*TransferError]: [ErrChanged] if r did not yield size bytes,
// [ErrStalled] if the peer stopped taking in chunks, or the error of r, ctx or
// the transport. The receiver is then told that nothing more will come, if the
// connection is still there.
//
// An interruption ends the sending as soon as it is received, by Run or another
// receive, with an error that wraps the [*transport.InterruptedError]: the peer
// has never heard of the file, and is not told of its end.
//
// With [SendFileOptions.Resume], the receiver's answer is read by Run, by a
// receive that is going on or begins, or else by SendFileFrom itself; what it
// reads beside the answer is what the next receive gets, up to 256 messages
// and 1 MiB.
func (p *AIPProtocol[Out, In]) SendFileFrom(ctx context.Context, r io.Reader, name string, size int64, opts *SendFileOptions) (*FileResult, error) {
	s, err := newFileSender(r, name, size, opts)
	if err == nil {
		_, err = transport.As[transport.FrameTransport](p.transport)
	}
	if err != nil {
		return nil, &TransferError{Stage: StageOpen, Name: name, Err: err}
	}
	if err := p.units.sending.lock(ctx); err != nil {
		return nil, &TransferError{Stage: StageStart, Name: name, Err: err}
	}
	defer p.units.sending.unlock()
	during := p.epoch.Load()
	s.control = func(ctx context.Context, o messages.Object) error {
		if err := during.ended(); err != nil {
			return err
		}
		return p.SendRaw(ctx, appendMetadata(nil, o))
	}
	var text []byte // of the latest chunk
	s.chunk = func(ctx context.Context, number int64, data []byte) (err error) {
		if err := during.ended(); err != nil {
			return err
		}
		text, err = p.sendChunk(ctx, text[:0], number, data)
		return err
	}
	s.await = func(ctx context.Context, s *fileSender, announce func() error) (extension, error) {
		return p.awaitResume(ctx, during, s, announce)
	}
	result, err := s.send(ctx)
	if gap := during.ended(); err == nil && gap != nil {
		return nil, &TransferError{Stage: StageComplete, Name: name, Err: gap}
	}
	return result, err
}

// awaitResume calls announce and waits for the answer to the announcement of
// that id, which comes during one epoch or never. It returns the zero extension
// if none came in time.
func (p *AIPProtocol[Out, In]) awaitResume(ctx context.Context, during *epoch, s *fileSender, announce func() error) (extension, error) {
	answer, done := p.units.await(s.id)
	defer done()
	p.queue.poke() // The answer may be behind chunks.
	p.calls.wake()
	if err := announce(); err != nil {
		return extension{}, err
	}
	p.readOn(ctx)
	wait, cancel := context.WithTimeout(ctx, s.opts.ResumeWait)
	defer cancel()
	if err := p.readResume(wait, answer); err != nil {
		return extension{}, err
	}
	select {
	case e := <-answer:
		return e, nil
	case <-during.over:
		return extension{}, during.ended()
	case <-wait.Done():
		return extension{}, ctx.Err()
	}
}

// readResume reads from the connection, if nothing else does, until the answer
// is there, wait ends or something else wants to read. It gives back what is
// not the answer, an interruption included.
func (p *AIPProtocol[Out, In]) readResume(wait context.Context, answer <-chan extension) error {
	reading, stop := context.WithCancel(wait)
	defer stop()
	defer p.units.lend(stop)()
	if !p.reading.CompareAndSwap(false, true) {
		return nil
	}
	defer p.endReading()
	aside := aside[In]{}
	defer func() { aside.putBack(p.putBack) }()
	for len(answer) == 0 {
		in, err := p.pull(reading)
		switch {
		case interruptionOf(err) != nil:
			_ = aside.add(inbound[In]{gap: err}) // it is added even if it is one too many
			return nil
		case err != nil && reading.Err() != nil:
			return nil
		case err != nil:
			return err
		case in.unit != nil && p.units.leftover(in.unit):
		default:
			if aside.add(in) != nil {
				return nil
			}
		}
	}
	return nil
}

// errNotSeekable is the cause of a resume that cannot be.
var errNotSeekable = fmt.Errorf("resuming needs an io.Seeker: %w", errors.ErrUnsupported)
