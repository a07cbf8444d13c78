package protocol

import (
	"slices"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
)

// Extension is told what happens on a connection, and cannot change it (spec
// section 7). One extension may serve many connections. Its methods are called
// in the goroutine that sends or receives, possibly concurrently; they must
// not wait, and must not use the protocol. A panic of one is logged.
type Extension interface {
	// MessageSent and MessageReceived are called for each message as it was on
	// the wire: after the outgoing and before the incoming middleware.
	MessageSent(m MessageInfo)
	MessageReceived(m MessageInfo)
	// ConnectionEstablished is called when the first message passes,
	// ConnectionClosed when the end of the connection is met while receiving;
	// err says how it ended. An interruption is no end.
	ConnectionEstablished()
	ConnectionClosed(err error)
	// ErrorOccurred is called with failures: of op "send", of "receive" (what
	// is no valid message), and of "handle" (errors and panics of handlers).
	ErrorOccurred(op string, err error)
}

// MessageInfo describes a message that was sent or received. What the message
// does not have is empty.
type MessageInfo struct {
	Type           string
	Status         string
	SessionID      string
	TaskName       string
	ClientID       string
	RequestID      string
	ResponseID     string
	PrevResponseID string
	// Size is the length on the wire in bytes, of a binary message with its
	// binary frame.
	Size int
	// Data is the text frame. It is valid during the call only.
	Data []byte
}

// infoOf describes m, which is text on the wire.
func infoOf[M Message](m *M, text []byte) MessageInfo {
	switch m := any(m).(type) {
	case *messages.ClientMessage:
		return MessageInfo{
			Type: string(m.Type), Status: string(m.Status), SessionID: m.SessionID, TaskName: m.TaskName,
			ClientID: m.ClientID, RequestID: m.RequestID, PrevResponseID: m.PrevResponseID,
			Size: len(text), Data: text,
		}
	case *messages.ServerMessage:
		return MessageInfo{
			Type: string(m.Type), Status: string(m.Status), SessionID: m.SessionID, TaskName: m.TaskName,
			ResponseID: m.ResponseID, Size: len(text), Data: text,
		}
	default:
		return MessageInfo{Size: len(text), Data: text}
	}
}

// Extend adds extensions. It may be called at any time.
func (p *AIPProtocol[Out, In]) Extend(extensions ...Extension) {
	p.setup.Lock()
	defer p.setup.Unlock()
	var next []Extension
	if old := p.extensions.Load(); old != nil {
		next = slices.Clone(*old)
	}
	next = append(next, extensions...)
	p.extensions.Store(&next)
}

// extended reports whether there are extensions to tell.
func (p *AIPProtocol[Out, In]) extended() bool { return p.extensions.Load() != nil }

// tell calls f with each extension.
func (p *AIPProtocol[Out, In]) tell(f func(Extension)) {
	if all := p.extensions.Load(); all != nil {
		for _, e := range *all {
			if err := recovered(func() error { f(e); return nil }); err != nil {
				p.logger.Error("extension failed", zap.Error(err))
			}
		}
	}
}

// The life of a connection, as far as this package has seen it.
const (
	linkUnseen int32 = iota
	linkOpen
	linkClosed
)

// opened notes that the connection carries messages.
func (p *AIPProtocol[Out, In]) opened() {
	if p.link.Load() == linkUnseen && p.link.CompareAndSwap(linkUnseen, linkOpen) {
		p.tell(func(e Extension) { e.ConnectionEstablished() })
	}
}

// closed notes that the connection has ended.
func (p *AIPProtocol[Out, In]) closed(err error) {
	if p.link.CompareAndSwap(linkOpen, linkClosed) {
		p.tell(func(e Extension) { e.ConnectionClosed(err) })
	}
}

// sent reports what became of a message and returns err.
func (p *AIPProtocol[Out, In]) sent(err error, m MessageInfo) error {
	if err != nil {
		p.failed("send", err)
		return err
	}
	p.opened()
	p.tell(func(e Extension) { e.MessageSent(m) })
	return nil
}

// received reports a message.
func (p *AIPProtocol[Out, In]) received(m MessageInfo) {
	p.tell(func(e Extension) { e.MessageReceived(m) })
}

// failed reports an error.
func (p *AIPProtocol[Out, In]) failed(op string, err error) {
	p.tell(func(e Extension) { e.ErrorOccurred(op, err) })
}
