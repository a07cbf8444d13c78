package protocol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ReceiveFile waits for a file and receives it into the directory dir, which
// must exist. It reads from the connection like Receive; while Run reads, it
// is [ErrReading] (see [AIPProtocol.HandleFiles]). Memory use is that of one
// chunk.
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
	aside := aside[In]{}
	defer func() { aside.putBack(p.putBack) }()
	defer func() {
		if r.phase != phaseOver { // one of the user's functions panicked
			p.units.skip()
			_ = r.fail(StageChunk, ErrInterrupted, true)
		}
	}()
	for {
		result, err := p.receiveUnit(ctx, r, &aside)
		if err != nil || result != nil {
			return result, err
		}
	}
}

// receiveUnit takes in what arrives next.
func (p *AIPProtocol[Out, In]) receiveUnit(ctx context.Context, r *fileReceiver, aside *aside[In]) (*FileResult, error) {
	stage, began := StageStart, r.phase != phaseStart
	wait := ctx
	if began {
		stage = StageChunk
		var cancel context.CancelFunc
		wait, cancel = withStall(ctx, r.opts.StallTimeout)
		defer cancel()
	}
	err := ctx.Err()
	var in inbound[In]
	if err == nil {
		in, err = p.pull(wait)
	}
	if interruptionOf(err) != nil {
		return nil, r.fail(stage, err, true)
	}
	if err != nil {
		if began {
			p.units.skip()
		}
		return nil, r.fail(stage, stalled(ctx, wait, err), true)
	}
	if in.err != nil && (!began || isBrokenUnit(in.err)) {
		if began {
			p.units.skip()
		}
		return nil, r.fail(stage, fmt.Errorf("%w: %w", ErrOrder, in.err), false)
	}
	if in.unit != nil && p.units.leftover(in.unit) {
		return nil, nil
	}
	if in.unit != nil {
		result, err := p.receiveFrame(ctx, r, in)
		if !errors.Is(err, errNotTransfer) {
			return result, err
		}
	}
	if !began {
		p.putBack(in)
		return nil, r.fail(stage, fmt.Errorf("%w: %s where a file is due", ErrOrder, nameOf(in)), false)
	}
	if err := aside.add(in); err != nil {
		p.units.skip()
		return nil, r.fail(stage, err, false)
	}
	return nil, nil
}

// receiveFrame takes in a unit.
func (p *AIPProtocol[Out, In]) receiveFrame(ctx context.Context, r *fileReceiver, in inbound[In]) (*FileResult, error) {
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
	if o, err = p.unitMetadata(ctx, in.unit); err != nil {
		p.units.skip()
		return nil, r.fail(StageChunk, err, false)
	}
	step, err := r.feed(in.unit.kind, o, in.unit.data)
	if err == nil && step.reply != nil {
		if err = p.SendRaw(ctx, appendMetadata(nil, step.reply)); err != nil {
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

// withStall returns a context that also ends after limit.
func withStall(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: nothing moved for %v", ErrStalled, limit))
}

// stalled returns the error of a wait that either context may have ended.
func stalled(ctx, wait context.Context, err error) error {
	if ctx.Err() == nil && wait.Err() != nil && errors.Is(err, wait.Err()) {
		return context.Cause(wait)
	}
	return err
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
