package protocol

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

const (
	// serverRegistrationTimeout is how long a server waits for the first
	// message.
	serverRegistrationTimeout = 10 * time.Second
	// rejectionTimeout bounds the sending of an error to a client that did not
	// register properly.
	rejectionTimeout = 5 * time.Second
)

// Registration is a client that asks to be registered. Answer it with one of
// Confirm, ConfirmWith, Refuse and RefuseForGood, once.
type Registration struct {
	Identity
	// Platform is the device's platform: "windows" if it names none, as in the
	// reference.
	Platform string
	// SystemInfo is the object in which the device describes itself; unset if
	// there is none, or if it is no object.
	SystemInfo messages.Value
	// Message is the whole registration.
	Message *messages.ClientMessage

	server   *Server
	answered atomic.Bool
}

// AwaitRegistration waits for the first message of the connection, which has
// to register a client. It comes before Run; while Run or another receive
// reads, it fails with [ErrReading]. The RegistrationTimeout of the options
// bounds it, and ctx.
//
// Every other failure is a [*RegistrationError]. A client whose first message
// is something else, or does not come in time, is sent an error with a short
// code and disconnected: with the close code 1003 for a binary message, 1007
// for what is not JSON, and 1008 for the rest.
func AwaitRegistration(ctx context.Context, s *Server) (*Registration, error) {
	if err := s.beginReading(); err != nil {
		return nil, err
	}
	defer s.endReading()
	bounded, cancel := within(ctx, s.options.RegistrationTimeout, serverRegistrationTimeout)
	defer cancel()
	m, err := s.receive(bounded)
	if err == nil {
		if m.Type != messages.ClientRegister {
			err = &firstMessageError{string(m.Type), "a register message"}
		} else {
			err = messages.ValidateRegistration(m)
		}
		if err == nil {
			return newRegistration(s, m), nil
		}
	}
	failed := &RegistrationError{RegistrationInvalid, err}
	code, text := transport.StatusPolicyViolation, "registration_required"
	var invalid *MessageError
	switch {
	case errors.As(err, &invalid):
		text = invalid.Code()
		switch {
		case errors.Is(err, transport.ErrFrameType):
			code = transport.StatusUnsupportedData
		case !errors.Is(err, messages.ErrInvalid):
			code = transport.StatusInvalidPayload
		}
	case m == nil:
		err = registrationLost(ctx, bounded, err)
		if !errors.As(err, &failed) || failed.Failure != RegistrationTimeout {
			return nil, err
		}
		text = "registration_timeout"
	}
	s.reject(ctx, code, text, m)
	return nil, failed
}

// newRegistration returns the registration in m.
func newRegistration(s *Server, m *messages.ClientMessage) *Registration {
	r := &Registration{
		Identity: identityOf(m),
		Platform: messages.PlatformWindows,
		Message:  m,
		server:   s,
	}
	var metadata messages.Object
	if m.Metadata.Decode(&metadata) != nil {
		return r
	}
	if info, ok := metadata.Get("system_info"); ok && info.IsObject() {
		r.SystemInfo = info
	}
	platform, _ := metadata.Get("platform")
	var name string
	if platform.Decode(&name) == nil && name != "" {
		r.Platform = name
	}
	return r
}

// reject sends an error and closes the connection. m is what is refused, if it
// could be decoded.
func (p *AIPProtocol[Out, In]) reject(ctx context.Context, code transport.StatusCode, text string, m *In) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rejectionTimeout)
	defer cancel()
	err := p.SendError(ctx, text, m)
	if err != nil && !errors.Is(err, ErrErrorReply) {
		p.logger.Debug("could not tell the peer why it is disconnected", zap.Error(err))
	}
	p.closeWith(code, text)
}

// closeWith closes the connection with a code, or without one if the transport
// has no codes.
func (p *AIPProtocol[Out, In]) closeWith(code transport.StatusCode, reason string) {
	closer, err := transport.As[transport.CodeCloser](p.transport)
	if err == nil {
		err = closer.CloseWith(code, reason)
	} else {
		err = p.transport.Close()
	}
	if err != nil {
		p.logger.Warn("closing the connection failed", zap.Error(err))
	}
}

// Confirm tells the client that it is registered, and pins its identity to the
// connection: see [PinIdentity]. Nothing may be sent before it. It fails with
// [ErrAnswered] when the registration has been answered, and as
// [AIPProtocol.Send] does.
func (r *Registration) Confirm(ctx context.Context) error {
	return r.ConfirmWith(ctx, messages.NewRegistrationConfirmation())
}

// ConfirmWith is Confirm with the message given, a heartbeat with the status
// ok, which may carry more: [messages.NewRegistrationConfirmation] makes it.
func (r *Registration) ConfirmWith(ctx context.Context, confirmation *messages.ServerMessage) error {
	if !r.answered.CompareAndSwap(false, true) {
		return ErrAnswered
	}
	r.server.SetIdentity(r.Identity)
	r.server.Use(PinIdentity(r.Identity))
	return r.server.Send(ctx, confirmation)
}

// Refuse tells the client that it is not registered, and closes the connection
// with the code 1000, as the reference does and its clients expect. text is for
// people. It fails with [ErrAnswered] when the registration has been answered.
func (r *Registration) Refuse(ctx context.Context, text string) error {
	return r.refuse(ctx, text, transport.StatusNormal)
}

// RefuseForGood is Refuse for a registration that another attempt cannot change,
// because the client may not register like that: it closes with 1008, so that a
// client that knows better than the reference's does not try again.
func (r *Registration) RefuseForGood(ctx context.Context, text string) error {
	return r.refuse(ctx, text, transport.StatusPolicyViolation)
}

func (r *Registration) refuse(ctx context.Context, text string, code transport.StatusCode) error {
	if !r.answered.CompareAndSwap(false, true) {
		return ErrAnswered
	}
	err := r.server.SendError(ctx, text, r.Message)
	r.server.closeWith(code, "")
	return err
}
