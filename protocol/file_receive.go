package protocol

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ReceiveFile waits for a file and receives it into the directory dir, which
// must exist. It reads from the connection like Receive; while Run reads, it
// is [ErrReading] (see [AIPProtocol.HandleFiles]). It holds one chunk at a time.
// A transport that is itself a [transport.Lender] lends the chunks, and uses their
// memory again, unless there is middleware for the metadata of binary messages.
//
// The file gets its name when all of it has come and has been verified: the
// size and the number of the chunks, their order, and the checksums, if the
// sender gave any. Until then it is a temporary file in dir, readable for its
// user alone, which is removed on failure. Nothing is ever written outside
// dir. Once started, ctx bounds the whole of the transfer, and
// [ReceiveFileOptions.StallTimeout] the wait for each chunk.
//
// The error is a [*TransferError]; see its sentinels. Unless the connection
// has ended, it stays open, and later receives ignore the rest of the failed
// file. So it does after an interruption, which the error wraps (see
// [transport.InterruptedError]). When something else than a file arrives first,
// the error matches [ErrOrder] and the next receive gets it. Messages that arrive between the
// chunks wait for the next receive, up to 256 of them and 1 MiB.
func (p *AIPProtocol[Out, In]) ReceiveFile(ctx context.Context, dir string, opts *ReceiveFileOptions) (*FileResult, error) {
	r, err := newFileReceiver(dir, opts)
	if err != nil {
		return nil, err
	}
	if err := p.beginReading(); err != nil {
		return nil, r.fail(StageStart, err, false)
	}
	defer p.endReading()
	f := &fileReading[Out, In]{p: p, r: r, ctx: ctx, stall: stall{parent: ctx, limit: r.opts.StallTimeout}}
	f.borrowing = borrowing{wants: f.wantsChunk, use: f.useChunk}
	defer f.stall.close()
	defer func() { f.aside.putBack(p.putBack) }()
	defer func() {
		if r.phase != phaseOver { // one of the user's functions panicked
			p.units.skip()
			_ = r.fail(StageChunk, ErrInterrupted, true)
		}
	}()
	for {
		result, err := f.receiveUnit()
		if err != nil || result != nil {
			return result, err
		}
	}
}

// fileReading is one call of ReceiveFile.
type fileReading[Out, In Message] struct {
	p     *AIPProtocol[Out, In]
	r     *fileReceiver
	ctx   context.Context
	stall stall
	aside aside[In]
	borrowing
	err error // what came of the latest useChunk
}

// receiveUnit takes in what arrives next.
func (f *fileReading[Out, In]) receiveUnit() (*FileResult, error) {
	p, r := f.p, f.r
	stage, began := StageStart, r.phase != phaseStart
	if began {
		stage = StageChunk
	}
	in, err := f.next()
	switch {
	case f.used:
		return nil, f.err
	case interruptionOf(err) != nil:
		return nil, r.fail(stage, err, true)
	case err != nil:
		if began {
			p.units.skip()
		}
		return nil, r.fail(stage, err, true)
	case in.err != nil && (!began || isBrokenUnit(in.err)):
		if began {
			p.units.skip()
		}
		return nil, r.fail(stage, fmt.Errorf("%w: %w", ErrOrder, in.err), false)
	}
	if in.unit != nil && p.units.leftover(in.unit) {
		return nil, nil
	}
	if in.unit != nil {
		result, err := f.receiveFrame(in)
		if !errors.Is(err, errNotTransfer) {
			return result, err
		}
	}
	if !began {
		p.putBack(in)
		return nil, r.fail(stage, fmt.Errorf("%w: %s where a file is due", ErrOrder, nameOf(in)), false)
	}
	if err := f.aside.add(in); err != nil {
		p.units.skip()
		return nil, r.fail(stage, err, false)
	}
	return nil, nil
}

// next waits for what arrives next, once the file has begun not for ever.
func (f *fileReading[Out, In]) next() (inbound[In], error) {
	f.used = false
	if err := f.ctx.Err(); err != nil {
		return inbound[In]{}, err
	}
	if f.r.phase == phaseStart {
		return f.p.pullFor(f.ctx, &f.borrowing)
	}
	in, err := f.p.pullFor(f.stall.begin(), &f.borrowing)
	return in, f.stall.end(err)
}

// wantsChunk reports whether the next chunk is of the file, and no middleware has
// to see it, which may keep it.
func (f *fileReading[Out, In]) wantsChunk() bool {
	return f.r.phase == phaseChunks && !f.p.screensBinary()
}

// useChunk takes in a chunk.
func (f *fileReading[Out, In]) useChunk(c chunkInfo, data []byte) {
	if _, f.err = f.r.feedChunk(c, data); f.err != nil {
		f.p.units.skip()
	}
}

// receiveFrame takes in a unit.
func (f *fileReading[Out, In]) receiveFrame(in inbound[In]) (*FileResult, error) {
	p, r := f.p, f.r
	if in.unit.chunk.known && f.wantsChunk() {
		f.useChunk(in.unit.chunk, in.unit.data)
		return nil, f.err
	}
	o, err := decodeMetadata(in.unit.text)
	if err != nil {
		p.units.skip()
		return nil, r.fail(StageStart, unitError(in.unit, err), false)
	}
	what := frameOf(in.unit.kind, o)
	if what == frameForeign || r.phase == phaseStart && what != frameStart {
		return nil, errNotTransfer
	}
	another := what == frameStart && r.phase != phaseStart
	if another {
		p.putBack(in)
	}
	if o, err = p.unitMetadata(f.ctx, in.unit); err != nil {
		p.units.skip()
		return nil, r.fail(StageChunk, err, false)
	}
	step, err := r.feed(in.unit.kind, o, in.unit.data)
	if err == nil && step.reply != nil {
		if err = p.SendRaw(f.ctx, appendMetadata(nil, step.reply)); err != nil {
			err = r.fail(StageResume, err, true)
		}
	}
	if err != nil && what != frameComplete && !another {
		p.units.skip()
	}
	return step.result, err
}

// isBrokenUnit reports whether err is about half a binary message.
func isBrokenUnit(err *MessageError) bool {
	return errors.Is(err, errUnannounced) || errors.Is(err, errNoData)
}

const (
	maxAside      = 256
	maxAsideBytes = 1 << 20
)

// aside holds what arrived and is for another receive.
type aside[In Message] struct {
	items []inbound[In]
	bytes int
}

// add sets in aside. The error says that it was one too many.
func (a *aside[In]) add(in inbound[In]) error {
	a.items = append(a.items, in)
	a.bytes += in.size
	if len(a.items) > maxAside || a.bytes > maxAsideBytes {
		return fmt.Errorf("%w: more than %d messages or %d bytes came between the chunks; use Run and HandleFiles", ErrLimit, maxAside, maxAsideBytes)
	}
	return nil
}

// putBack returns everything in the order of its arrival.
func (a *aside[In]) putBack(f func(inbound[In])) {
	for _, in := range slices.Backward(a.items) {
		f(in)
	}
	a.items = nil
}
