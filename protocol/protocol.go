package protocol

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// AIPProtocol sends messages of type Out and receives messages of type In over
// a transport. It is for one connection: after a reconnection, make another,
// unless the transport itself replaces its connections. When the peer then does
// not know what went over the old one, that is an interruption: see
// [AIPProtocol.OnInterrupted].
//
// All methods may be called concurrently, but only one Run or receive reads at
// a time; another one fails with [ErrReading].
//
// The connection itself belongs to whoever opened it. An AIPProtocol closes it
// where the documentation says so and on [AIPProtocol.Close].
type AIPProtocol[Out, In Message] struct {
	transport transport.Transport
	// lender is the transport itself, if that lends messages. One that lies
	// behind it would lend them past whoever wraps it.
	lender  transport.Lender
	codec   codec.Codec
	options Options
	logger  *zap.Logger
	// lax: the codec may decode what does not fit the model.
	lax bool

	setup       sync.Mutex // held while one of these is replaced
	middleware  atomic.Pointer[chains[Out, In]]
	extensions  atomic.Pointer[[]Extension]
	handlers    atomic.Pointer[map[string][]Handler[In]]
	onInvalid   atomic.Pointer[func(context.Context, *MessageError)]
	onUnhandled atomic.Pointer[func(context.Context, *In)]
	onError     atomic.Pointer[func(context.Context, *In, error)]
	onLate      atomic.Pointer[func(context.Context, *In)]
	onInterrupt atomic.Pointer[func(context.Context, *transport.InterruptedError)]

	identity atomic.Pointer[Identity]
	link     atomic.Int32 // linkUnseen, linkOpen, linkClosed
	queue    *queue[inbound[In]]
	calls    *calls[In]
	acking   chan struct{} // holds a token while a task waits for its ack
	epoch    atomic.Pointer[epoch]
	units    unitRouter
	lost     atomic.Uint64 // dropped from the queue
	ignored  atomic.Uint64 // without a handler

	reading   atomic.Bool
	announced []byte           // by whoever reads: a text frame whose data has yet to come
	chunk     chunkInfo        // by whoever reads: what that says, if it was easily read
	spare     []byte           // by whoever reads: memory for the next text frame
	held      *transport.Frame // by whoever reads: the next frame
	gap       error            // by whoever reads: an interruption that comes next
}

// Client is a client's end of a connection: it sends client messages and
// receives server messages.
type Client = AIPProtocol[messages.ClientMessage, messages.ServerMessage]

// Server is a server's end of a connection: it sends server messages and
// receives client messages.
type Server = AIPProtocol[messages.ServerMessage, messages.ClientMessage]

// NewClient returns the client's end of the connection that t carries. Nil
// options mean the defaults. It fails with [ErrInvalidOptions] only.
func NewClient(t transport.Transport, opts *Options) (*Client, error) {
	return New[messages.ClientMessage, messages.ServerMessage](t, opts)
}

// NewServer returns the server's end of the connection that t carries. Nil
// options mean the defaults. It fails with [ErrInvalidOptions] only.
func NewServer(t transport.Transport, opts *Options) (*Server, error) {
	return New[messages.ServerMessage, messages.ClientMessage](t, opts)
}

// New returns one end of the connection that t carries; [NewClient] and
// [NewServer] are what programs need. It fails with [ErrInvalidOptions] only.
func New[Out, In Message](t transport.Transport, opts *Options) (*AIPProtocol[Out, In], error) {
	if t == nil {
		return nil, fmt.Errorf("%w: no transport", ErrInvalidOptions)
	}
	options, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	_, strict := options.Codec.(codec.JSON)
	p := &AIPProtocol[Out, In]{
		transport: t,
		codec:     options.Codec,
		options:   options,
		logger:    options.Logger,
		lax:       !strict,
		queue:     newQueue[inbound[In]](options.Queue.Messages, options.Queue.Bytes),
		acking:    make(chan struct{}, 1),
	}
	p.lender, _ = t.(transport.Lender)
	p.queue.kept = func(in inbound[In]) bool { return in.gap != nil }
	p.epoch.Store(newEpoch())
	p.calls = newCalls[In](options.MaxCalls, p.queue.poke)
	return p, nil
}

// Transport returns the transport.
func (p *AIPProtocol[Out, In]) Transport() transport.Transport { return p.transport }

// Close closes the connection; see [transport.Transport].
func (p *AIPProtocol[Out, In]) Close() error { return p.transport.Close() }

// buffers holds *[]byte for encoding messages. Large ones are not kept.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

const maxPooled = 64 << 10

// Send sends m: through the outgoing middleware, validation and the codec to
// the transport. It returns when the transport has taken the message over. It
// keeps nothing of m. An invalid message is refused with an error that matches
// [messages.ErrInvalid], one that a middleware stopped with a
// [*MiddlewareError]; nothing is sent then. The other errors are the
// transport's, and [transport.OutcomeOf] tells what became of the message.
func (p *AIPProtocol[Out, In]) Send(ctx context.Context, m *Out) error {
	if m == nil {
		return notSent(fmt.Errorf("protocol: there is no message: %w", messages.ErrInvalid))
	}
	m, err := p.outgoing(ctx, m)
	if err == nil && !p.options.SkipValidation {
		err = validate(m)
	}
	if err != nil {
		p.failed("send", err)
		return notSent(err)
	}
	buffer := buffers.Get().(*[]byte)
	defer func() {
		if cap(*buffer) <= maxPooled {
			buffers.Put(buffer)
		}
	}()
	*buffer, err = p.codec.Append((*buffer)[:0], m)
	if err != nil {
		p.failed("send", err)
		return notSent(err)
	}
	err = p.transport.Send(ctx, *buffer)
	if !p.extended() {
		return p.sent(err, MessageInfo{})
	}
	return p.sent(err, infoOf(m, *buffer))
}

// SendRaw sends text, an encoded message, as it is: without middleware,
// without validation. It keeps nothing of text.
func (p *AIPProtocol[Out, In]) SendRaw(ctx context.Context, text []byte) error {
	err := p.transport.Send(ctx, text)
	if !p.extended() {
		return p.sent(err, MessageInfo{})
	}
	h := readHead(text)
	return p.sent(err, MessageInfo{
		Type: h.Type, SessionID: h.SessionID, RequestID: h.RequestID, ResponseID: h.ResponseID,
		PrevResponseID: h.PrevResponseID, Size: len(text), Data: text,
	})
}

// notSent returns err as the error of a send that did not begin.
func notSent(err error) error {
	return &transport.Error{Op: "send", Outcome: transport.NotSent, Err: err}
}

// Receive waits for the next message and returns it, validated and through the
// incoming middleware. The caller owns it.
//
// What arrives and is no valid message is a [*MessageError], a binary message
// included; the connection stays open and the next Receive goes on after it.
// Other errors are the context's, with the connection as it was, and the
// transport's: io.EOF after a clean close, and so on (see
// [transport.Transport]). After an error that matches
// [transport.ErrInterrupted] the next Receive goes on with the new connection.
// While [AIPProtocol.Run] reads, it is [ErrReading].
func (p *AIPProtocol[Out, In]) Receive(ctx context.Context) (*In, error) {
	if err := p.beginReading(); err != nil {
		return nil, err
	}
	defer p.endReading()
	return p.receive(ctx)
}

// receive is Receive for those who are the ones that read.
func (p *AIPProtocol[Out, In]) receive(ctx context.Context) (*In, error) {
	in, err := p.pull(ctx)
	for err == nil && in.unit != nil && p.units.leftover(in.unit) {
		in, err = p.pull(ctx)
	}
	switch {
	case err != nil:
		return nil, err
	case in.message != nil && !in.screened:
		in = p.screen(ctx, in)
	case in.unit != nil:
		in.err = newMessageError(in.unit.text, transport.Text, errUnit)
		in.err.Binary = in.unit.data
	}
	if in.err != nil {
		return nil, in.err
	}
	return in.message, nil
}

// screen runs the message of in through the middleware.
func (p *AIPProtocol[Out, In]) screen(ctx context.Context, in inbound[In]) inbound[In] {
	m, err := p.incoming(ctx, in.message)
	if err != nil {
		e := newMessageError(in.text, transport.Text, err)
		p.failed("receive", e)
		return inbound[In]{err: e, size: in.size, screened: true}
	}
	in.message, in.text, in.screened = m, nil, true
	return in
}

// beginReading makes the caller the only one who reads, until endReading. It
// fails with ErrReading when another one reads, unless that one gives way.
func (p *AIPProtocol[Out, In]) beginReading() error {
	if p.reading.CompareAndSwap(false, true) {
		return nil
	}
	p.units.yield()
	if !p.reading.CompareAndSwap(false, true) {
		return ErrReading
	}
	return nil
}

// endReading lets another one read.
func (p *AIPProtocol[Out, In]) endReading() { p.reading.Store(false) }
