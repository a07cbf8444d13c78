package protocol

import (
	"context"
	"fmt"
	"time"

	"github.com/aip-go/aip/messages"
)

// FileHandler is called with each file that came, or with the error, mostly a
// [*TransferError], of one that did not. Its own error is reported as that of
// any handler.
type FileHandler func(ctx context.Context, file *FileResult, err error) error

// HandleFiles makes [AIPProtocol.Run] receive files into the directory dir,
// which must exist, one after the other, and call handler when one is complete
// or has failed. From the next file on, it replaces the directory, the options
// and the handler set before. A nil handler makes failures errors of Run, as
// if a handler had returned them.
//
// If Run ends in the middle of a file, that fails with [ErrInterrupted]; so it
// does at an interruption (see [AIPProtocol.OnInterrupted]), whose
// [*transport.InterruptedError] it then wraps. If the queue of Run drops a
// chunk (see [DropOldest]), it fails with [ErrOrder]. The
// rest of a file that has failed on this side is read and ignored, so that the
// connection stays usable. Chunks are received as messages of their own, of which
// two wait in that queue, with [Block] and as long as nobody waits for a reply;
// [AIPProtocol.ReceiveFile] borrows them and takes less memory.
func (p *AIPProtocol[Out, In]) HandleFiles(dir string, opts *ReceiveFileOptions, handler FileHandler) error {
	probe, err := newFileReceiver(dir, opts)
	if err != nil {
		return err
	}
	_ = probe.store.discard()
	if handler == nil {
		handler = func(_ context.Context, _ *FileResult, err error) error { return err }
	}
	p.units.setFiles(&fileConfig{dir: probe.dir, opts: probe.opts, handler: handler})
	return nil
}

// handleFile hands a unit to the handler of files. The error matches
// errNotTransfer if it has no part in a file transfer.
func (p *AIPProtocol[Out, In]) handleFile(ctx context.Context, kind unitKind, o messages.Object, data []byte) error {
	guard := func(f func() error) { p.guard(ctx, nil, f) }
	reply, err := p.units.feed(ctx, guard, kind, o, data)
	if err == nil && reply != nil {
		if err = p.SendRaw(ctx, appendMetadata(nil, reply)); err != nil {
			return fmt.Errorf("protocol: answering where to go on with a file: %w", err)
		}
	}
	return err
}

// fileConfig is what HandleFiles sets.
type fileConfig struct {
	dir     string
	opts    ReceiveFileOptions
	handler FileHandler
}

// fileHandler receives the files of a connection, one after the other. It is
// used by the goroutine that runs the handlers alone.
type fileHandler struct {
	current *fileReceiver // nil between files
	config  *fileConfig   // of current
	// timer ends at the deadline for the next unit of current.
	timer    *time.Timer
	deadline time.Time
}

// feed takes in a unit for the handler of files, and returns the reply to it.
func (r *unitRouter) feed(ctx context.Context, guard func(func() error), kind unitKind, o messages.Object, data []byte) (messages.Object, error) {
	h := &r.receiving
	what := frameOf(kind, o)
	if what == frameStart {
		guard(func() error {
			return h.giveUp(ctx, fmt.Errorf("%w: another transfer begins", ErrOrder), false)
		})
		_, h.config = r.handlers()
		if h.config == nil {
			return nil, errNotTransfer
		}
		var err error
		if h.current, err = newFileReceiver(h.config.dir, &h.config.opts); err != nil {
			r.skip()
			return nil, h.config.handler(ctx, nil, err)
		}
	}
	if h.current == nil || what == frameForeign {
		return nil, errNotTransfer
	}
	h.watch()
	step, err := h.current.feed(kind, o, data)
	if err != nil && what != frameComplete {
		r.skip()
	}
	if err != nil || step.result != nil {
		return nil, h.finish(ctx, step.result, err)
	}
	return step.reply, nil
}

// finish ends the current transfer and tells the user's handler.
func (h *fileHandler) finish(ctx context.Context, result *FileResult, err error) error {
	h.current = nil
	h.timer.Stop()
	return h.config.handler(ctx, result, err)
}

// giveUp ends the current transfer, if there is one.
func (h *fileHandler) giveUp(ctx context.Context, cause error, keep bool) error {
	if h.current == nil {
		return nil
	}
	return h.finish(ctx, nil, h.current.fail(StageChunk, cause, keep))
}

// watch begins the wait for the next unit of the current transfer.
func (h *fileHandler) watch() {
	limit := h.config.opts.StallTimeout
	h.deadline = time.Now().Add(limit)
	if h.timer == nil {
		h.timer = time.NewTimer(limit)
	} else {
		h.timer.Reset(limit)
	}
}

// late returns the channel that says, to whoever has nothing else to handle,
// that the sender of the current file is late. A deadline that passed while
// handlers were busy says nothing of the sender, so the wait begins anew.
func (h *fileHandler) late() <-chan time.Time {
	if h.current == nil {
		return nil
	}
	if time.Now().After(h.deadline) {
		h.watch()
	}
	return h.timer.C
}

// stalled gives up the current transfer, whose sender is late.
func (r *unitRouter) stalled(ctx context.Context) error {
	r.skip()
	limit := r.receiving.config.opts.StallTimeout
	return r.receiving.giveUp(ctx, fmt.Errorf("%w: nothing came for %v", ErrStalled, limit), true)
}

// end gives up the current transfer, if there is one: no more units will come.
func (r *unitRouter) end(ctx context.Context) error {
	if r.receiving.current != nil {
		r.skip()
	}
	return r.receiving.giveUp(ctx, ErrInterrupted, true)
}

// interrupted gives up the current transfer, if there is one: what comes next
// is of another connection.
func (r *unitRouter) interrupted(ctx context.Context, gap error) error {
	r.forget()
	return r.receiving.giveUp(ctx, fmt.Errorf("%w: %w", ErrInterrupted, gap), true)
}
