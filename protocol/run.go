package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/aip-go/aip/internal/watchdog"
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
// Run reads and handles in its own goroutine. When a handler calls, or takes
// longer than a millisecond, another goroutine goes on reading meanwhile. Where
// nothing has come for a while but replies to one caller at a time, callers read
// their replies themselves, and run the incoming middleware; Run reads on a few
// milliseconds after the last of these calls.
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
	r := p.newRun(ctx)
	defer r.stopHandling(nil)
	defer r.patience.Close()
	defer r.endSubstitute()
	defer r.abandon() // Should a handler end the goroutine.
	r.serve()
	return r.finish()
}

// finish ends a Run, and returns why.
func (r *run[Out, In]) finish() error {
	p := r.p
	if r.reader != nil {
		<-r.reader.finished
	}
	p.guard(r.handling, nil, func() error { return p.units.end(r.handling) })
	if r.ended {
		p.queue.clear()
	}
	if isClean(r.cause) {
		return nil
	}
	return r.cause
}

// newRun begins a Run.
func (p *AIPProtocol[Out, In]) newRun(ctx context.Context) *run[Out, In] {
	r := &run[Out, In]{p: p, ctx: ctx}
	r.handling, r.stopHandling = context.WithCancelCause(context.WithValue(ctx, handlerKey{}, p.calls))
	r.patience = watchdog.New(patience, r.handOver)
	p.calls.start(r)
	return r
}

// Pending returns how much was received and waits for its handlers: how many
// messages, of how many bytes on the wire.
func (p *AIPProtocol[Out, In]) Pending() (messages int, bytes int64) { return p.queue.depth() }

const (
	// patience is how long a handler may take before another goroutine reads.
	patience = time.Millisecond
	// quiet is how long there has to be nothing to handle before that goroutine
	// ends, and enough how many messages have to be handled without a need for it.
	quiet  = time.Second
	enough = 256
)

// run is one call of Run. Its goroutine reads and handles, one after the other;
// or, after a hand-over, only handles, while a reader reads.
type run[Out, In Message] struct {
	p *AIPProtocol[Out, In]
	// ctx is Run's; handling also ends when the connection does.
	ctx, handling context.Context
	stopHandling  context.CancelCauseFunc
	// patience watches the handlers.
	patience *watchdog.Watchdog
	instead  substitute

	mu     sync.Mutex
	busy   bool             // a handler runs
	tried  bool             // it tries the patience
	easy   int              // messages since one did
	reader *reader[Out, In] // who reads; nil while the run itself does, or nobody
	// Set by who has read last, before it is known to have finished:
	cause error // why nothing more is read
	ended bool  // because the connection has ended
}

// serve reads and handles until there is nothing left to handle, and nothing
// more to be read, or ctx has ended.
func (r *run[Out, In]) serve() {
	for r.serveAlone() && r.serveBeside() {
	}
}

// serveAlone reads and handles. It reports true when there is a reader.
func (r *run[Out, In]) serveAlone() (beside bool) {
	for {
		in, ok := r.p.queue.pop()
		if !ok {
			err := r.instead.err
			if err == nil {
				err = r.p.next(r.ctx, &in)
			}
			if err != nil {
				r.stopped(err)
				return false
			}
		}
		if beside, over := r.take(in); beside || over {
			return beside
		}
	}
}

// take sees to what was read. It reports whether there is a reader, meanwhile,
// and whether ctx has ended.
func (r *run[Out, In]) take(in inbound[In]) (beside, over bool) {
	in, ok := r.p.sort(r.handling, in)
	if err := r.ctx.Err(); err != nil {
		if ok {
			r.p.putBack(in)
		}
		r.stopped(err)
		return false, true
	}
	if !ok {
		r.linger()
		return false, false
	}
	return r.handle(in), false
}

// handle runs the handlers of in. It reports whether there is a reader,
// meanwhile.
func (r *run[Out, In]) handle(in inbound[In]) (beside bool) {
	r.mu.Lock()
	r.busy = true
	r.mu.Unlock()
	r.patience.Start()
	r.p.dispatch(r.handling, in)
	r.patience.Stop()
	if r.p.units.receiving.current != nil {
		r.handOver() // Only who does not read can see that a sender is late.
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.easy++; r.tried {
		r.easy = 0
	}
	r.busy, r.tried = false, false
	return r.reader != nil
}

// handOver has a goroutine read while a handler runs.
func (r *run[Out, In]) handOver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.busy {
		return
	}
	r.tried = true
	if r.reader == nil {
		r.reader = newReader(r)
		go r.reader.read()
	}
}

// serveBeside handles what a reader puts into the queue. It reports true when
// there has been no need for one for a while, so that it was sent away.
func (r *run[Out, In]) serveBeside() (alone bool) {
	idle := time.NewTimer(quiet)
	defer idle.Stop()
	for {
		if r.ctx.Err() != nil {
			return false
		}
		in, ok := r.p.queue.pop()
		if ok {
			// What a pull put back has not been sorted yet.
			if in, ok = r.p.sort(r.handling, in); ok {
				r.handle(in)
			}
			if r.easy >= enough && r.dismiss() {
				return true
			}
			continue
		}
		idle.Reset(quiet)
		select {
		case <-r.p.queue.ready:
		case <-r.p.units.receiving.late():
			r.p.guard(r.handling, nil, func() error { return r.p.units.stalled(r.handling) })
		case <-idle.C:
			if r.p.units.receiving.current == nil && r.dismiss() {
				return true
			}
		case <-r.ctx.Done():
			return false
		case <-r.reader.finished:
			if r.p.queue.empty() {
				return false
			}
		}
	}
}

// dismiss sends the reader away, and reports whether reading can go on.
func (r *run[Out, In]) dismiss() bool {
	r.easy = 0
	r.reader.stop()
	<-r.reader.finished
	if !r.reader.dismissed {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reader = nil
	return true
}

// abandon sends away the reader, and ends the waits of calls, if that was not
// done: a handler has ended the goroutine.
func (r *run[Out, In]) abandon() {
	r.mu.Lock()
	r.busy = false
	reader := r.reader
	r.mu.Unlock()
	if reader != nil {
		reader.stop()
		<-reader.finished
	}
	if r.cause == nil {
		r.p.calls.stop(fmt.Errorf("%w: it was stopped", ErrNotRunning), false)
	}
}

// stopped notes why nothing more is read, and ends what depends on it.
func (r *run[Out, In]) stopped(cause error) {
	r.cause = cause
	stopped := r.ctx.Err() != nil && errors.Is(cause, r.ctx.Err())
	r.ended = !stopped && !errors.Is(cause, transport.ErrNotConnected)
	overflow := errors.Is(cause, ErrQueueFull)
	if overflow {
		r.p.queue.drop()
	}
	if stopped {
		r.p.calls.stop(fmt.Errorf("%w: it was stopped", ErrNotRunning), false)
		r.stopHandling(context.Cause(r.ctx))
	} else {
		r.p.calls.stop(cause, r.ended)
		r.stopHandling(cause)
	}
	if overflow {
		r.p.closeWith(transport.StatusTryAgainLater, "too many messages")
		r.p.closed(cause)
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
