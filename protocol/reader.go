package protocol

import (
	"context"
	"errors"
	"sync"

	"go.uber.org/zap"

	"github.com/aip-go/aip/transport"
)

// reader reads for a run, in a goroutine of its own, while handlers run.
type reader[Out, In Message] struct {
	*run[Out, In]
	// ctx ends with the run's, and by stop.
	ctx  context.Context
	stop context.CancelFunc

	watching sync.Once
	watchers sync.WaitGroup

	finished chan struct{} // closed in the end
	// dismissed: it was only sent away. Set before finished is closed.
	dismissed bool
}

func newReader[Out, In Message](r *run[Out, In]) *reader[Out, In] {
	d := &reader[Out, In]{run: r, finished: make(chan struct{})}
	d.ctx, d.stop = context.WithCancel(r.ctx)
	return d
}

// read is the reader's goroutine.
func (d *reader[Out, In]) read() {
	defer close(d.finished)
	defer d.stop()
	cause := d.readAll()
	if d.ctx.Err() != nil && errors.Is(cause, d.ctx.Err()) {
		// The run's context may end, of another cause, after this one.
		cause = d.run.ctx.Err()
		if d.dismissed = cause == nil; d.dismissed {
			return
		}
	}
	d.stopped(cause)
	d.watchers.Wait()
}

// readAll reads until reading is no longer possible.
func (d *reader[Out, In]) readAll() error {
	watch, stop := context.WithCancel(d.ctx)
	defer stop()
	for {
		var in inbound[In]
		if err := d.p.next(d.ctx, &in); err != nil {
			return err
		}
		in, ok := d.p.sort(d.handling, in)
		if !ok {
			continue
		}
		if err := d.enqueue(watch, in); err != nil {
			return err
		}
	}
}

// enqueue puts in into the queue, as the policy says. An interruption waits, if
// another one is in the queue, as any message does when the queue is full.
func (d *reader[Out, In]) enqueue(watch context.Context, in inbound[In]) error {
	q, policy := d.p.queue, d.p.options.Queue.Policy
	if in.gap != nil {
		policy = Block
	}
	switch policy {
	case DropOldest:
		if n := q.pushDropping(in, in.size); n > 0 {
			d.p.lost.Add(uint64(n))
			d.p.logger.Warn("queue is full; dropped the oldest messages", zap.Int("count", n))
		}
		return nil
	case Disconnect:
		if !q.tryPush(in, in.size, 1) {
			return ErrQueueFull
		}
		return nil
	}
	for !d.mayWait(in) || !q.tryPush(in, in.size, 1) {
		if d.p.calls.waiting() > 0 {
			if q.tryPush(in, in.size, 2) {
				return nil
			}
			d.p.calls.failNested(ErrQueueFull)
		}
		d.watching.Do(func() { d.watch(watch) })
		select {
		case <-q.room:
		case <-d.ctx.Done():
			q.push(in, in.size)
			return d.ctx.Err()
		}
	}
	return nil
}

// maxChunksWaiting is how many bytes of a file wait for its handler, so that one
// takes little memory: chunks are read faster than they are written.
const maxChunksWaiting = 2 * DefaultChunkSize

// mayWait reports whether in may wait, apart from the limits of the queue. What
// a call waits for may be behind a chunk.
func (d *reader[Out, In]) mayWait(in inbound[In]) bool {
	if in.unit == nil || !in.unit.chunk.known || d.p.calls.waiting() > 0 || d.p.units.awaiting() {
		return true
	}
	n, bytes := d.p.queue.depth()
	return n == 0 || bytes+int64(in.size) <= maxChunksWaiting
}

// watch makes handlers stop at the end of the connection, which a blocked
// reader does not see.
func (d *reader[Out, In]) watch(ctx context.Context) {
	d.watchers.Go(func() {
		err := d.p.transport.WaitClosed(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = transport.ErrClosed
		}
		d.stopHandling(err)
	})
}

// sort runs a message through the middleware and to the call it answers. It
// reports whether something is left for handlers.
func (p *AIPProtocol[Out, In]) sort(ctx context.Context, in inbound[In]) (inbound[In], bool) {
	if in.unit != nil && p.units.answer(in.unit) {
		return in, false
	}
	if in.message == nil {
		p.calls.other()
		return in, true
	}
	if in.screened {
		return in, true
	}
	err := recovered(func() error {
		in = p.screen(ctx, in)
		if in.err != nil {
			return nil
		}
		switch p.calls.deliver(in.message) {
		case answered:
			in.message = nil
		case lateReply:
			if in.late = true; p.onLate.Load() == nil {
				in.message = nil
			}
		case notReply:
		}
		return nil
	})
	if err != nil {
		e := newMessageError(in.text, transport.Text, &MiddlewareError{Type: typeOf(in.message), Err: err})
		p.failed("receive", e)
		return inbound[In]{err: e, size: in.size, screened: true}, true
	}
	return in, in.err != nil || in.message != nil
}
