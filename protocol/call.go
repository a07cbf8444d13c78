package protocol

import (
	"context"
	"errors"

	"github.com/aip-go/aip/internal/lazyctx"
	"github.com/aip-go/aip/transport"
)

// Reply is a reply that is waited for, from [AIPProtocol.Expect] on. It holds a
// place in the table of calls until it has come, the connection has ended, or
// Release is called. All methods may be called concurrently.
type Reply[In Message] struct {
	calls  *calls[In]
	match  Match[In]
	nested bool
	over   bool // guarded by the table of calls: done is closed
	// receipt is that of the message to be answered, set by who sent it.
	receipt *transport.Receipt
	done    chan struct{}
	// Set before done is closed:
	message *In
	err     error
}

// Done is closed when the reply has come or never will.
func (r *Reply[In]) Done() <-chan struct{} { return r.done }

// Wait waits for the reply. When ctx ends first it returns the context's error,
// and Wait may be called again. It returns a [*RemoteError] when the peer
// answered with an error, what ended or interrupted the connection, or, when
// [AIPProtocol.Run] was stopped or the reply released, an error that matches
// [ErrNotRunning] or [context.Canceled].
func (r *Reply[In]) Wait(ctx context.Context) (*In, error) {
	select {
	case <-r.done:
		return r.message, r.err
	default:
	}
	select {
	case <-r.done:
		return r.message, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// conclude waits for the reply, and gives it up when ctx ends first. What comes
// after that and before it was given up is the reply nevertheless: nobody else
// would get it.
func (r *Reply[In]) conclude(ctx context.Context) (*In, error) {
	r.calls.readSelf(ctx, r)
	if lazyctx.Receive(ctx, r.done) != nil && r.calls.release(r, true) {
		return nil, ctx.Err()
	}
	return r.message, r.err
}

// Release gives the reply up: if it still comes, it is dropped and counted.
// Releasing a reply that has come does nothing.
func (r *Reply[In]) Release() { r.calls.release(r, true) }

// Expect begins to wait for the reply that match describes. Do it before
// sending what is to be answered, so that no reply can come too early. The
// reply is found by [AIPProtocol.Run], which need not run yet;
// [AIPProtocol.Receive] matches nothing. The caller has to wait for the reply
// or release it. In a handler, ctx has to be the handler's.
//
// The error is [ErrTooManyCalls], [ErrDuplicateCall], or what ended the
// connection.
func (p *AIPProtocol[Out, In]) Expect(ctx context.Context, match Match[In]) (*Reply[In], error) {
	return p.expect(ctx, match, false)
}

// Call sends m and returns its one reply, found by match. It needs
// [AIPProtocol.Run]; if that is not running yet, Call waits for it before it
// sends anything. Handlers may call. The context bounds all of it; if it has
// no deadline, the CallTimeout of the options does.
//
// Call sends with a receipt (see [transport.WithReceipt]), its own unless ctx
// has one. Every failure is a [*CallError]. A call that is given up leaves nothing
// behind: if its reply still comes, it is dropped, counted in [Stats] and
// reported to [AIPProtocol.OnLate].
func (p *AIPProtocol[Out, In]) Call(ctx context.Context, m *Out, match Match[In]) (*In, error) {
	limited := p.bounded(ctx)
	defer limited.Cancel(nil)
	r, err := p.ask(limited, m, match)
	if err != nil {
		return nil, err
	}
	reply, err := r.conclude(limited)
	if err != nil {
		return nil, &CallError{Type: typeOf(m), Outcome: r.outcome(err), Err: err}
	}
	return reply, nil
}

// outcome returns what is known of the message that was sent, and whose answer
// ended with err. Most transports report nothing; then it is sent, and so it is
// as long as a report is not final.
func (r *Reply[In]) outcome(err error) transport.Outcome {
	var (
		refused *RemoteError
		failed  *TaskError
	)
	o := r.receipt.Outcome()
	if o == transport.Acked || errors.As(err, &refused) || errors.As(err, &failed) {
		return max(o, transport.Sent)
	}
	select {
	case <-r.receipt.Done():
		return r.receipt.Outcome() // It may have been reported just now.
	default:
		return transport.Sent
	}
}

// bounded returns ctx with the deadline of a call.
func (p *AIPProtocol[Out, In]) bounded(ctx context.Context) *lazyctx.Context {
	if _, ok := ctx.Deadline(); ok || p.options.CallTimeout < 0 {
		return lazyctx.WithCancelCause(ctx)
	}
	return lazyctx.WithTimeoutCause(ctx, p.options.CallTimeout, nil)
}

// ask sends m and returns its reply, for which the wait begins before the
// sending. Every failure is a *CallError.
func (p *AIPProtocol[Out, In]) ask(ctx context.Context, m *Out, match Match[In]) (*Reply[In], error) {
	r, err := p.expectRunning(ctx, match)
	if err != nil {
		return nil, &CallError{Type: typeOf(m), Outcome: transport.NotSent, Err: err}
	}
	if r.receipt = transport.ReceiptOf(ctx); r.receipt == nil {
		ctx, r.receipt = transport.WithReceipt(ctx)
	}
	if err := p.Send(ctx, m); err != nil {
		outcome := transport.OutcomeOf(err)
		p.calls.release(r, outcome != transport.NotSent)
		return nil, &CallError{Type: typeOf(m), Outcome: outcome, Err: err}
	}
	return r, nil
}

// expectRunning is Expect, once Run runs.
func (p *AIPProtocol[Out, In]) expectRunning(ctx context.Context, match Match[In]) (*Reply[In], error) {
	for {
		r, err := p.expect(ctx, match, true)
		if !errors.Is(err, ErrNotRunning) {
			return r, err
		}
		if err := p.calls.awaitRun(ctx); err != nil {
			return nil, err
		}
	}
}

// expect begins to wait for a reply. If needRun, Run has to be running.
func (p *AIPProtocol[Out, In]) expect(ctx context.Context, match Match[In], needRun bool) (*Reply[In], error) {
	nested := p.inHandler(ctx)
	r, err := p.calls.expect(match, nested, needRun)
	if err == nil && nested {
		p.calls.read()
	}
	return r, err
}

// readOn has somebody read, if ctx is that of a handler, which is about to wait
// for what has yet to be read.
func (p *AIPProtocol[Out, In]) readOn(ctx context.Context) {
	if p.inHandler(ctx) {
		p.calls.read()
	}
}

// inHandler reports whether ctx is that of a handler of this protocol.
func (p *AIPProtocol[Out, In]) inHandler(ctx context.Context) bool {
	return ctx.Value(handlerKey{}) == p.calls
}

// handlerKey is the context key of handlers. Its value is the table of calls
// of the protocol that runs them.
type handlerKey struct{}
