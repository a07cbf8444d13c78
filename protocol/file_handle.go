package protocol

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
// If Run ends in the middle of a file, that fails with [ErrInterrupted], and
// if the queue of Run drops a chunk (see [DropOldest]), with [ErrOrder]. The
// rest of a file that has failed on this side is read and ignored, so that the
// connection stays usable. What waits in that queue adds to the memory of the
// one chunk that a transfer needs.
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
	p.onUnit(p.handleUnit)
	return nil
}

// handleFile hands a unit to the handler of files. The error matches
// errNotTransfer if it has no part in a file transfer.
func (p *AIPProtocol[Out, In]) handleFile(ctx context.Context, kind unitKind, o messages.Object, data []byte) error {
	guard := func(f func() error) { p.guard(ctx, nil, f) }
	reply, err := p.units.feed(ctx, guard, kind, o, data)
	if err == nil && reply != nil {
		if err = p.sendControl(ctx, appendMetadata(nil, reply)); err != nil {
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

// fileHandler receives the files of a connection, one after the other. Its
// lock is held while user functions run, so that these run one at a time.
type fileHandler struct {
	mu      sync.Mutex
	current *fileReceiver // nil between files
	config  *fileConfig   // of current
	ctx     context.Context
	guard   func(func() error) // runs what no unit is there to run
	timer   *time.Timer
	timers  sync.WaitGroup
}

// feed takes in a unit for the handler of files, and returns the reply to it.
func (r *unitRouter) feed(ctx context.Context, guard func(func() error), kind unitKind, o messages.Object, data []byte) (messages.Object, error) {
	h := &r.receiving
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ctx, h.guard = ctx, guard
	what := frameOf(kind, o)
	if what == frameStart {
		h.interrupted(fmt.Errorf("%w: another transfer begins", ErrOrder), false)
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
	if h.current == nil {
		return nil, errNotTransfer
	}
	step, err := h.current.feed(kind, o, data)
	if errors.Is(err, errNotTransfer) {
		return nil, err
	}
	if err != nil && what != frameComplete {
		r.skip()
	}
	if err != nil || step.result != nil {
		return nil, h.finish(step.result, err)
	}
	h.watch(r)
	return step.reply, nil
}

// finish ends the current transfer and tells the user's handler.
func (h *fileHandler) finish(result *FileResult, err error) error {
	h.current = nil
	h.stopWatch()
	return h.config.handler(h.ctx, result, err)
}

// interrupted gives up the current transfer, if there is one.
func (h *fileHandler) interrupted(cause error, keep bool) {
	if h.current != nil {
		h.guard(func() error {
			return h.finish(nil, h.current.fail(StageChunk, cause, keep))
		})
	}
}

// watch gives up the current transfer when its next unit takes too long.
func (h *fileHandler) watch(r *unitRouter) {
	h.stopWatch()
	watched, at, limit := h.current, h.current.next, h.config.opts.StallTimeout
	h.timers.Add(1)
	h.timer = time.AfterFunc(limit, func() {
		defer h.timers.Done()
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.current != watched || watched.next != at {
			return
		}
		r.skip()
		h.interrupted(fmt.Errorf("%w: nothing came for %v", ErrStalled, limit), true)
	})
}

func (h *fileHandler) stopWatch() {
	if h.timer != nil && h.timer.Stop() {
		h.timers.Done()
	}
	h.timer = nil
}

// end is called when no more units will come.
func (r *unitRouter) end() {
	h := &r.receiving
	h.mu.Lock()
	if h.current != nil {
		r.skip()
	}
	h.interrupted(ErrInterrupted, true)
	h.mu.Unlock()
	h.timers.Wait()
}
