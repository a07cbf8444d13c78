package protocol

import (
	"context"
	"errors"
	"slices"

	"github.com/aip-go/aip/messages"
)

// Middleware sees every message of a protocol, and may replace or stop it
// (spec section 7). A nil function lets everything through. The functions may
// be called concurrently.
//
// Outgoing functions run in the order in which the middleware was added,
// before validation and encoding, in the goroutine that sends. Incoming
// functions run in the reverse order, after validation and before handlers,
// also for the replies of calls. In [AIPProtocol.Run] they hold up the reading
// of messages, so they must not wait, and must not send or call.
//
// A function returns the message to go on with: the one it was given or
// another. An outgoing function must not change the message it is given, which
// is the sender's; an incoming one may. An error stops the message. The sender
// of a stopped message gets a [*MiddlewareError]; a stopped incoming message
// is reported as a [*MessageError] that wraps one.
type Middleware[Out, In Message] struct {
	Outgoing func(ctx context.Context, m *Out) (*Out, error)
	Incoming func(ctx context.Context, m *In) (*In, error)

	// OutgoingBinary and IncomingBinary do the same for the metadata of binary
	// messages and of the chunks of files. The binary data does not pass.
	OutgoingBinary func(ctx context.Context, metadata messages.Object) (messages.Object, error)
	IncomingBinary func(ctx context.Context, metadata messages.Object) (messages.Object, error)
}

var errNothingReturned = errors.New("it returned neither a message nor an error")

// chains is the middleware of a protocol by direction, each chain in the order
// in which it runs. It is never changed once in use.
type chains[Out, In Message] struct {
	outgoing       []func(context.Context, *Out) (*Out, error)
	incoming       []func(context.Context, *In) (*In, error)
	outgoingBinary []func(context.Context, messages.Object) (messages.Object, error)
	incomingBinary []func(context.Context, messages.Object) (messages.Object, error)
}

// Use adds middleware. It may be called at any time; messages that are on
// their way keep the middleware they began with.
func (p *AIPProtocol[Out, In]) Use(middleware ...Middleware[Out, In]) {
	p.setup.Lock()
	defer p.setup.Unlock()
	old := p.middleware.Load()
	next := &chains[Out, In]{}
	if old != nil {
		next.outgoing, next.incoming = slices.Clone(old.outgoing), slices.Clone(old.incoming)
		next.outgoingBinary, next.incomingBinary = slices.Clone(old.outgoingBinary), slices.Clone(old.incomingBinary)
	}
	for _, m := range middleware {
		if m.Outgoing != nil {
			next.outgoing = append(next.outgoing, m.Outgoing)
		}
		if m.Incoming != nil {
			next.incoming = slices.Insert(next.incoming, 0, m.Incoming)
		}
		if m.OutgoingBinary != nil {
			next.outgoingBinary = append(next.outgoingBinary, m.OutgoingBinary)
		}
		if m.IncomingBinary != nil {
			next.incomingBinary = slices.Insert(next.incomingBinary, 0, m.IncomingBinary)
		}
	}
	p.middleware.Store(next)
}

// outgoing runs m through the middleware.
func (p *AIPProtocol[Out, In]) outgoing(ctx context.Context, m *Out) (*Out, error) {
	if c := p.middleware.Load(); c != nil {
		for _, f := range c.outgoing {
			next, err := f(ctx, m)
			if err == nil && next == nil {
				err = errNothingReturned
			}
			if err != nil {
				return nil, &MiddlewareError{Outgoing: true, Type: typeOf(m), Err: err}
			}
			m = next
		}
	}
	return m, nil
}

// incoming runs m through the middleware.
func (p *AIPProtocol[Out, In]) incoming(ctx context.Context, m *In) (*In, error) {
	if c := p.middleware.Load(); c != nil {
		for _, f := range c.incoming {
			next, err := f(ctx, m)
			if err == nil && next == nil {
				err = errNothingReturned
			}
			if err != nil {
				return nil, &MiddlewareError{Type: typeOf(m), Err: err}
			}
			m = next
		}
	}
	return m, nil
}

// outgoingBinary runs the metadata of a binary message through the middleware.
func (p *AIPProtocol[Out, In]) outgoingBinary(ctx context.Context, metadata messages.Object) (messages.Object, error) {
	if c := p.middleware.Load(); c != nil {
		return runBinary(ctx, c.outgoingBinary, metadata, true)
	}
	return metadata, nil
}

// incomingBinary does the same for what was received.
func (p *AIPProtocol[Out, In]) incomingBinary(ctx context.Context, metadata messages.Object) (messages.Object, error) {
	if c := p.middleware.Load(); c != nil {
		return runBinary(ctx, c.incomingBinary, metadata, false)
	}
	return metadata, nil
}

// screensBinary reports whether incomingBinary has anything to do.
func (p *AIPProtocol[Out, In]) screensBinary() bool {
	c := p.middleware.Load()
	return c != nil && len(c.incomingBinary) > 0
}

func runBinary(ctx context.Context, chain []func(context.Context, messages.Object) (messages.Object, error), metadata messages.Object, outgoing bool) (messages.Object, error) {
	for _, f := range chain {
		next, err := f(ctx, metadata)
		if err == nil && next == nil {
			err = errNothingReturned
		}
		if err != nil {
			return nil, &MiddlewareError{Outgoing: outgoing, Type: messages.BinaryDataType, Err: err}
		}
		metadata = next
	}
	return metadata, nil
}
