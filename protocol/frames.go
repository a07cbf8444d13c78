package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// frameUnit is what travels beside the messages (spec section 1.7): a binary
// message, which is a text frame and the binary frame after it, or a text
// frame that belongs to a file transfer.
type frameUnit struct {
	kind unitKind
	// text is the text frame: a JSON object. The unit owns it.
	text []byte
	// chunk is what text says, if that was easily read.
	chunk chunkInfo
	// data is the binary frame of a unitBinary; else nil. The unit owns it.
	data []byte
}

// unitInfo describes a unitBinary.
func unitInfo(text, data []byte) MessageInfo {
	return MessageInfo{Type: messages.BinaryDataType, Size: len(text) + len(data), Data: text}
}

// unitKind says what a frameUnit is.
type unitKind uint8

const (
	// unitBinary: text has the type "binary_data", or no type and a chunk_num,
	// and data was the next frame.
	unitBinary unitKind = iota + 1
	// unitControl: text has a type that begins with "file_transfer_".
	unitControl
)

// inbound is one thing that arrived. Exactly one of message, unit, err and gap
// is set.
type inbound[In Message] struct {
	message *In
	unit    *frameUnit
	// err: what arrived is no valid message; the connection is fine.
	err *MessageError
	// gap: the transport's error for an interruption; what comes later is of
	// another connection.
	gap error
	// screened: message has been through the middleware.
	screened bool
	// late: message answers a call that is no longer waiting.
	late bool
	// text is the message on the wire; nil once it is screened.
	text []byte
	// size is the length of the frames in bytes.
	size int
}

// pull returns what arrives next: a message (decoded and validated, not yet
// through the middleware), a unit, or the error of what is neither. The error
// it returns itself is the context's, an interruption or the connection's end.
// Nothing is lost when ctx ends, not even between the two frames of a binary
// message. The caller must be between beginReading and endReading.
func (p *AIPProtocol[Out, In]) pull(ctx context.Context) (inbound[In], error) {
	return p.pullFor(ctx, nil)
}

// pullFor is pull for someone who borrows; see nextFor.
func (p *AIPProtocol[Out, In]) pullFor(ctx context.Context, by *borrowing) (inbound[In], error) {
	in, ok := p.queue.pop()
	if !ok {
		var err error
		if in, err = p.nextFor(ctx, by); err != nil {
			return in, err
		}
	}
	if in.gap != nil {
		p.units.forget()
		return inbound[In]{}, in.gap
	}
	return in, nil
}

// putBack makes in what the next pull, Receive or Run gets first. Only what
// pulls returned last may be put back, the last one first, before endReading.
func (p *AIPProtocol[Out, In]) putBack(in inbound[In]) { p.queue.unpop(in, in.size) }

// sendUnit sends text and data as one unit: no other sender's frame comes
// between them. The error matches errors.ErrUnsupported when the transport has
// no binary frames. It may be called concurrently.
func (p *AIPProtocol[Out, In]) sendUnit(ctx context.Context, text, data []byte) error {
	frames, err := transport.As[transport.FrameTransport](p.transport)
	if err != nil {
		return fmt.Errorf("protocol: this transport cannot send binary messages: %w", err)
	}
	err = frames.SendFrames(ctx,
		transport.Frame{Kind: transport.Text, Data: text},
		transport.Frame{Kind: transport.Binary, Data: data})
	return p.sent(err, unitInfo(text, data))
}

// borrowing is the reading of someone who has no use for chunks of files but
// while they are on loan.
type borrowing struct {
	// wants reports whether use takes the chunk that is next, which is then
	// given to it and to nobody else. The data is its until it returns.
	wants func() bool
	use   func(c chunkInfo, data []byte)

	borrow func(transport.Frame) error // borrowed; nil before the first
	frame  transport.Frame             // what came, unless it was
	used   bool
}

// next reads what arrives next from the transport into in. The error is the context's
// or the connection's end; an interruption is none.
func (p *AIPProtocol[Out, In]) next(ctx context.Context, in *inbound[In]) (err error) {
	if p.gap != nil {
		*in = p.takeGap()
		return nil
	}
	for more := true; more; {
		// It waits here, with as little on the stack as can be: many do at once.
		frame, cause := p.readFrame(ctx)
		more, err = p.arrive(frame, cause, in)
	}
	return err
}

// arrive is arrived, with the result in in. Inlined, it would take its room on
// the stack of who waits.
//
//go:noinline
func (p *AIPProtocol[Out, In]) arrive(frame transport.Frame, cause error, in *inbound[In]) (more bool, err error) {
	*in, more, err = p.arrived(frame, cause)
	return more, err
}

// nextFor is next for someone who borrows, if by is not nil and the transport
// lends messages. It returns nothing, neither a message nor an error, when a chunk
// was used.
func (p *AIPProtocol[Out, In]) nextFor(ctx context.Context, by *borrowing) (inbound[In], error) {
	if by == nil || p.lender == nil {
		var in inbound[In]
		err := p.next(ctx, &in)
		return in, err
	}
	if p.gap != nil {
		return p.takeGap(), nil
	}
	for {
		var (
			frame transport.Frame
			used  bool
			err   error
		)
		if p.held == nil {
			frame, used, err = p.borrowFrame(ctx, by)
		} else {
			frame, err = p.readFrame(ctx)
		}
		if used {
			return inbound[In]{}, nil
		}
		if in, more, err := p.arrived(frame, err); !more {
			return in, err
		}
	}
}

// takeGap returns the interruption that comes next.
func (p *AIPProtocol[Out, In]) takeGap() inbound[In] {
	gap := p.gap
	p.gap = nil
	return inbound[In]{gap: gap}
}

// arrived returns what a frame, or the error of the wait for it, is or ends. It
// reports whether there is more to come before that can be said.
func (p *AIPProtocol[Out, In]) arrived(frame transport.Frame, err error) (in inbound[In], more bool, _ error) {
	announced, chunk := p.announced, p.chunk
	switch interrupted := interruptionOf(err) != nil; {
	case err == nil:
	case announced != nil && (interrupted || p.link.Load() == linkClosed):
		p.announced, p.chunk = nil, chunkInfo{}
		if interrupted {
			p.gap = err
		}
		return p.invalid(announced, transport.Text, errNoData), false, nil
	case interrupted:
		return inbound[In]{gap: err}, false, nil
	default:
		return inbound[In]{}, false, err
	}
	p.announced, p.chunk = nil, chunkInfo{}
	switch {
	case frame.Kind == transport.Binary && announced == nil:
		return p.invalid(frame.Data, transport.Binary, errUnannounced), false, nil
	case frame.Kind == transport.Binary:
		info := unitInfo(announced, frame.Data)
		p.received(info)
		return inbound[In]{
			unit: &frameUnit{kind: unitBinary, text: announced, chunk: chunk, data: frame.Data},
			size: info.Size,
		}, false, nil
	case announced != nil:
		next := frame // Only here it outlives the call.
		p.held = &next
		return p.invalid(announced, transport.Text, errNoData), false, nil
	}
	if c, ok := parseChunk(frame.Data); ok && !p.lax {
		p.announced, p.chunk = frame.Data, c
		return inbound[In]{}, true, nil
	}
	in = p.parse(frame.Data)
	if in.unit == nil || in.unit.kind != unitBinary {
		return in, false, nil
	}
	p.announced = frame.Data
	return inbound[In]{}, true, nil
}

// parse makes a message, a unit or an error of a text frame. Of a unitBinary
// the data has yet to come.
func (p *AIPProtocol[Out, In]) parse(text []byte) inbound[In] {
	m := new(In)
	err := recovered(func() error { return p.codec.Decode(text, m) })
	if err == nil && p.lax {
		err = validate(m)
	}
	if err == nil {
		if p.extended() {
			p.received(infoOf(m, text))
		}
		return inbound[In]{message: m, text: text, size: len(text)}
	}
	head := readHead(text)
	switch kind := head.unitKind(); kind {
	case 0:
		return p.invalid(text, transport.Text, err)
	default:
		if kind == unitControl {
			p.received(MessageInfo{Type: head.Type, Size: len(text), Data: text})
		}
		return inbound[In]{unit: &frameUnit{kind: kind, text: text}, size: len(text)}
	}
}

// invalid returns what arrived and is no valid message.
func (p *AIPProtocol[Out, In]) invalid(data []byte, kind transport.Kind, cause error) inbound[In] {
	err := newMessageError(data, kind, cause)
	p.failed("receive", err)
	return inbound[In]{err: err, size: len(data)}
}

// readFrame returns the next frame. It uses the transport's Receive, so that
// every wrapper around the transport sees all of it.
func (p *AIPProtocol[Out, In]) readFrame(ctx context.Context) (transport.Frame, error) {
	if held := p.held; held != nil {
		p.held = nil
		return *held, nil
	}
	data, err := p.transport.Receive(ctx)
	if err == nil {
		p.opened()
		return transport.Frame{Kind: transport.Text, Data: data}, nil
	}
	var other *transport.FrameTypeError
	if errors.As(err, &other) {
		p.opened()
		return transport.Frame{Kind: other.Got, Data: other.Data}, nil
	}
	return transport.Frame{}, p.unread(ctx, err)
}

// unread notes that nothing was received because of err, and returns that.
func (p *AIPProtocol[Out, In]) unread(ctx context.Context, err error) error {
	if interruptionOf(err) != nil {
		p.interrupted(err)
		return err
	}
	if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		p.closed(err)
	}
	return err
}

// borrowFrame is readFrame for someone who borrows. It reports that the frame was
// the chunk that is due, and used.
func (p *AIPProtocol[Out, In]) borrowFrame(ctx context.Context, by *borrowing) (frame transport.Frame, used bool, err error) {
	if by.borrow == nil {
		by.borrow = func(lent transport.Frame) error { p.borrowed(by, lent); return nil }
	}
	by.frame, by.used = transport.Frame{}, false
	if err := p.lender.Borrow(ctx, by.borrow); err != nil {
		return transport.Frame{}, false, p.unread(ctx, err)
	}
	return by.frame, by.used, nil
}

// borrowed takes in a frame that is lent.
func (p *AIPProtocol[Out, In]) borrowed(by *borrowing, lent transport.Frame) {
	p.opened()
	if lent.Kind != transport.Binary || !p.chunk.known || !by.wants() {
		by.frame = transport.Frame{Kind: lent.Kind, Data: append(p.spare, lent.Data...)}
		p.spare = nil
		return
	}
	by.used = true
	text, chunk := p.announced, p.chunk
	p.announced, p.chunk = nil, chunkInfo{}
	p.received(unitInfo(text, lent.Data))
	by.use(chunk, lent.Data)
	p.spare = text[:0] // Nobody has it now.
}

// head is what tells what an undecodable text frame was meant to be.
type head struct {
	Type           string
	SessionID      string
	RequestID      string
	ResponseID     string
	PrevResponseID string
	chunk          bool
}

// readHead reads what it can of text, which need not be JSON at all.
func readHead(text []byte) head {
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil {
		return head{}
	}
	str := func(key string) (s string) {
		_ = json.Unmarshal(fields[key], &s) // What is no string is as good as absent.
		return s
	}
	_, chunk := fields["chunk_num"]
	return head{
		Type:           str("type"),
		SessionID:      str("session_id"),
		RequestID:      str("request_id"),
		ResponseID:     str("response_id"),
		PrevResponseID: str("prev_response_id"),
		chunk:          chunk,
	}
}

// unitKind returns the kind of unit that the frame begins or is; 0 for none.
func (h head) unitKind() unitKind {
	switch {
	case h.Type == messages.BinaryDataType, h.Type == "" && h.chunk:
		return unitBinary
	case strings.HasPrefix(h.Type, "file_transfer_"):
		return unitControl
	default:
		return 0
	}
}
