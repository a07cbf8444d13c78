package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"go.uber.org/zap"

	"github.com/aip-go/aip/transport"
)

// Run reads from the connection and hands what arrives to the handlers, in
// order, until the connection or ctx ends. When it returns, everything it
// started has stopped.
//
// It returns nil after a clean close, by either side, and the cause after any
// other end; what arrived before the end is handled first. It returns the
// context's error when ctx ends: the connection is as it was then, and the
// next Run or Receive begins with what was not handled. A running handler is
// waited for; its context ends at once.
//
// Calls that wait when Run ends fail with the cause, or, when ctx ended, with
// an error that matches [ErrNotRunning].
//
// An interruption is no end: see [AIPProtocol.OnInterrupted].
func (p *AIPProtocol[Out, In]) Run(ctx context.Context) error {
	if err := p.beginReading(); err != nil {
		return err
	}
	defer p.endReading()
	p.calls.start()
	r := &run[Out, In]{p: p, finished: make(chan struct{})}
	var cancel context.CancelFunc
	r.reading, cancel = context.WithCancel(ctx)
	defer cancel()
	r.handling, r.stopHandling = context.WithCancelCause(context.WithValue(ctx, handlerKey{}, p.calls))
	defer r.stopHandling(nil)
	go r.read()
	r.dispatch(ctx)
	<-r.finished
	p.guard(r.handling, nil, func() error { return p.units.end(r.handling) })
	if r.ended {
		p.queue.clear()
	}
	if isClean(r.cause) {
		return nil
	}
	return r.cause
}

// Pending returns how much was received and waits for its handlers: how many
// messages, of how many bytes on the wire.
func (p *AIPProtocol[Out, In]) Pending() (messages int, bytes int64) { return p.queue.depth() }

// run is one call of Run.
type run[Out, In Message] struct {
	p *AIPProtocol[Out, In]
	// reading ends when ctx does; handling also when the connection does.
	reading, handling context.Context
	stopHandling      context.CancelCauseFunc
	watching          sync.Once
	watchers          sync.WaitGroup

	finished chan struct{} // closed when the reader has stopped
	// Set before finished is closed:
	cause error // why the reader stopped
	ended bool  // because the connection has ended
}

// read is the goroutine that reads.
func (r *run[Out, In]) read() {
	defer close(r.finished)
	r.cause = r.readAll()
	stopped := r.reading.Err() != nil && errors.Is(r.cause, r.reading.Err())
	r.ended = !stopped && !errors.Is(r.cause, transport.ErrNotConnected)
	overflow := errors.Is(r.cause, ErrQueueFull)
	if overflow {
		r.p.queue.drop()
	}
	if stopped {
		r.p.calls.stop(fmt.Errorf("%w: it was stopped", ErrNotRunning), false)
		r.stopHandling(context.Cause(r.reading))
	} else {
		r.p.calls.stop(r.cause, r.ended)
		r.stopHandling(r.cause)
	}
	if overflow {
		r.p.closeWith(transport.StatusTryAgainLater, "too many messages")
		r.p.closed(r.cause)
	}
	r.watchers.Wait()
}

// readAll reads until reading is no longer possible.
func (r *run[Out, In]) readAll() error {
	watch, stop := context.WithCancel(r.reading)
	defer stop()
	for {
		in, err := r.p.next(r.reading)
		if err != nil {
			return err
		}
		in, ok := r.p.sort(r.handling, in)
		if !ok {
			continue
		}
		if err := r.enqueue(watch, in); err != nil {
			return err
		}
	}
}

// sort runs a message through the middleware and to the call it answers. It
// reports whether something is left for handlers.
func (p *AIPProtocol[Out, In]) sort(ctx context.Context, in inbound[In]) (inbound[In], bool) {
	if in.unit != nil && p.units.answer(in.unit) {
		return in, false
	}
	if in.message == nil || in.screened {
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

// enqueue puts in into the queue, as the policy says. An interruption waits, if
// another one is in the queue, as any message does when the queue is full.
func (r *run[Out, In]) enqueue(watch context.Context, in inbound[In]) error {
	q, policy := r.p.queue, r.p.options.Queue.Policy
	if in.gap != nil {
		policy = Block
	}
	switch policy {
	case DropOldest:
		if n := q.pushDropping(in, in.size); n > 0 {
			r.p.lost.Add(uint64(n))
			r.p.logger.Warn("queue is full; dropped the oldest messages", zap.Int("count", n))
		}
		return nil
	case Disconnect:
		if !q.tryPush(in, in.size, 1) {
			return ErrQueueFull
		}
		return nil
	}
	for !q.tryPush(in, in.size, 1) {
		if r.p.calls.waiting() > 0 {
			if q.tryPush(in, in.size, 2) {
				return nil
			}
			r.p.calls.failNested(ErrQueueFull)
		}
		r.watching.Do(func() { r.watch(watch) })
		select {
		case <-q.room:
		case <-r.reading.Done():
			q.push(in, in.size)
			return r.reading.Err()
		}
	}
	return nil
}

// watch makes handlers stop at the end of the connection, which a blocked
// reader does not see.
func (r *run[Out, In]) watch(ctx context.Context) {
	r.watchers.Go(func() {
		err := r.p.transport.WaitClosed(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = transport.ErrClosed
		}
		r.stopHandling(err)
	})
}

// dispatch runs the handlers until there is nothing left to handle and the
// reader has stopped, or ctx has ended.
func (r *run[Out, In]) dispatch(ctx context.Context) {
	for {
		if ctx.Err() != nil {
			return
		}
		in, ok := r.p.queue.pop()
		if ok {
			// What a pull put back has not been sorted yet.
			if in, ok = r.p.sort(r.handling, in); ok {
				r.p.dispatch(r.handling, in)
			}
			continue
		}
		select {
		case <-r.p.queue.ready:
		case <-r.p.units.receiving.late():
			r.p.guard(r.handling, nil, func() error { return r.p.units.stalled(r.handling) })
		case <-ctx.Done():
			return
		case <-r.finished:
			if r.p.queue.empty() {
				return
			}
		}
	}
}

// isClean reports whether err is the end of a connection that somebody closed
// in good order.
func isClean(err error) bool {
	var end *transport.CloseError
	if errors.As(err, &end) {
		return end.Clean() || end.Is(net.ErrClosed)
	}
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)
}
