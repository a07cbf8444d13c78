package protocol

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/aip-go/aip/transport"
)

// OnInterrupted sets the function that [AIPProtocol.Run] calls at an
// interruption: the transport has replaced its connection, and the peer does
// not know what went over the old one. The function runs in order with the
// handlers, after those of what came over the old connection and before those
// of what comes over the new one; it may send and call. The error is its to
// keep. Without a function, or with nil, the interruption is logged.
//
// An interruption ends neither Run nor the connection. What the peer owes from
// before will not come, so with the [*transport.InterruptedError] fail, as soon
// as it is received: the calls, replies and tasks that wait, and the sending of
// a file. In order with the handlers fails the file that is being received.
// What is begun later belongs to the new connection. Middleware, handlers and
// the identity stay.
//
// A call fails even if the transport has kept its message for the new
// connection; [CallError.Outcome] is then [transport.Sent], and the reply late
// (see [AIPProtocol.OnLate]).
func (p *AIPProtocol[Out, In]) OnInterrupted(f func(ctx context.Context, err *transport.InterruptedError)) {
	p.onInterrupt.Store(unlessNil(&f, f == nil))
}

// interruptionOf returns the interruption that err is or wraps; nil if it does
// not.
func interruptionOf(err error) *transport.InterruptedError {
	if err == nil {
		return nil
	}
	var gap *transport.InterruptedError
	if errors.As(err, &gap) {
		return gap
	}
	return nil
}

// interrupted ends what does not outlive an interruption, which was just read.
func (p *AIPProtocol[Out, In]) interrupted(gap error) {
	p.epoch.Swap(newEpoch()).end(gap)
	p.calls.interrupt(gap)
}

// dispatchInterruption ends what the handlers have begun to receive, and tells
// the user of the interruption gap.
func (p *AIPProtocol[Out, In]) dispatchInterruption(ctx context.Context, gap error) {
	p.guard(ctx, nil, func() error { return p.units.interrupted(ctx, gap) })
	err := interruptionOf(gap)
	if f := p.onInterrupt.Load(); f != nil {
		p.guard(ctx, nil, func() error { (*f)(ctx, err); return nil })
		return
	}
	p.logger.Info("connection was interrupted", zap.Error(err))
}

// epoch is the time between two interruptions. What is sent in several parts
// has to begin and end in the same one.
type epoch struct {
	over chan struct{} // closed at the interruption
	gap  error         // the interruption; set before over is closed
}

func newEpoch() *epoch { return &epoch{over: make(chan struct{})} }

func (e *epoch) end(gap error) {
	e.gap = gap
	close(e.over)
}

// ended returns the interruption that has ended the epoch; nil if none has.
func (e *epoch) ended() error {
	select {
	case <-e.over:
		return e.gap
	default:
		return nil
	}
}
