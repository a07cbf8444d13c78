package protocol

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"

	"go.uber.org/zap"
)

// Handler handles a message that [AIPProtocol.Run] received. The message is
// its to keep, but shared with the other handlers of its type. It may send and
// call. ctx ends when Run is stopped or the connection has ended; its cause
// tells which. As long as a handler runs, no other handler of the connection
// does: hand over to another goroutine what takes long.
type Handler[In Message] func(ctx context.Context, m *In) error

// Handle adds a handler for messages of type t. Several for one type run in
// the order in which they were added; an error or a panic of one is reported
// to [AIPProtocol.OnError], and the next one runs. It may be called at any
// time. It panics if h is nil, or if In has no type t.
func (p *AIPProtocol[Out, In]) Handle(t MessageType, h Handler[In]) {
	name, ok := typeName[In](t)
	if !ok || h == nil {
		panic(fmt.Sprintf("protocol: Handle(%q): not a type of the messages that are received, or no handler", t))
	}
	p.setup.Lock()
	defer p.setup.Unlock()
	next := map[string][]Handler[In]{}
	if old := p.handlers.Load(); old != nil {
		next = maps.Clone(*old)
	}
	next[name] = append(slices.Clip(next[name]), h)
	p.handlers.Store(&next)
}

// OnError sets the function that is told of the errors of handlers, those that
// wrap a [*PanicError] included. For binary messages and files m is nil.
// Without one, or with nil, they are logged.
func (p *AIPProtocol[Out, In]) OnError(f func(ctx context.Context, m *In, err error)) {
	p.onError.Store(unlessNil(&f, f == nil))
}

// OnInvalid sets the function that is told of what [AIPProtocol.Run] received
// and is no valid message, in order with the messages; binary messages and
// files without a handler are among it. It may answer with
// [AIPProtocol.AnswerInvalid]. Without one it is logged.
func (p *AIPProtocol[Out, In]) OnInvalid(f func(ctx context.Context, err *MessageError)) {
	p.onInvalid.Store(unlessNil(&f, f == nil))
}

// OnUnhandled sets the function that gets the messages for whose type there is
// no handler. Without one they are logged.
func (p *AIPProtocol[Out, In]) OnUnhandled(f func(ctx context.Context, m *In)) {
	p.onUnhandled.Store(unlessNil(&f, f == nil))
}

// OnLate sets the function that gets replies to calls that are over, duplicate
// replies included. Without one they are only counted.
func (p *AIPProtocol[Out, In]) OnLate(f func(ctx context.Context, m *In)) {
	p.onLate.Store(unlessNil(&f, f == nil))
}

// unlessNil returns f, or nil if the function that it points to is nil.
func unlessNil[F any](f *F, isNil bool) *F {
	if isNil {
		return nil
	}
	return f
}

// dispatch hands in to whoever is there for it.
func (p *AIPProtocol[Out, In]) dispatch(ctx context.Context, in inbound[In]) {
	switch {
	case in.err != nil:
		p.dispatchInvalid(ctx, in.err)
	case in.unit != nil:
		p.dispatchUnit(ctx, in.unit)
	case in.gap != nil:
		p.dispatchInterruption(ctx, in.gap)
	case in.late:
		if f := p.onLate.Load(); f != nil {
			p.guard(ctx, in.message, func() error { (*f)(ctx, in.message); return nil })
		}
	default:
		p.dispatchMessage(ctx, in.message)
	}
}

func (p *AIPProtocol[Out, In]) dispatchMessage(ctx context.Context, m *In) {
	var handlers []Handler[In]
	if all := p.handlers.Load(); all != nil {
		handlers = (*all)[typeOf(m)]
	}
	for _, h := range handlers {
		p.guard(ctx, m, func() error { return h(ctx, m) })
	}
	if len(handlers) > 0 {
		return
	}
	p.ignored.Add(1)
	if f := p.onUnhandled.Load(); f != nil {
		p.guard(ctx, m, func() error { (*f)(ctx, m); return nil })
		return
	}
	p.logger.Warn("no handler for message", zap.String("type", typeOf(m)))
}

func (p *AIPProtocol[Out, In]) dispatchUnit(ctx context.Context, u *frameUnit) {
	taken := true
	p.guard(ctx, nil, func() (err error) {
		taken, err = p.handleUnit(ctx, u)
		return err
	})
	if !taken {
		p.ignored.Add(1)
		p.dispatchInvalid(ctx, unitError(u, errNoHandler))
	}
}

func (p *AIPProtocol[Out, In]) dispatchInvalid(ctx context.Context, err *MessageError) {
	if f := p.onInvalid.Load(); f != nil {
		p.guard(ctx, nil, func() error { (*f)(ctx, err); return nil })
		return
	}
	p.logger.Warn("received something invalid", zap.Error(err))
}

// guard runs f and reports its error or panic.
func (p *AIPProtocol[Out, In]) guard(ctx context.Context, m *In, f func() error) {
	err := recovered(f)
	if err == nil {
		return
	}
	p.failed("handle", err)
	if report := p.onError.Load(); report != nil {
		if err = recovered(func() error { (*report)(ctx, m, err); return nil }); err == nil {
			return
		}
	}
	fields := []zap.Field{zap.Error(err)}
	if m != nil {
		fields = append(fields, zap.String("type", typeOf(m)))
	}
	p.logger.Error("handler failed", fields...)
}

// recovered runs f and returns its error, or its panic as a *PanicError.
func recovered(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}
