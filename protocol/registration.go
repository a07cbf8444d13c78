package protocol

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// clientRegistrationTimeout is how long a client waits for the answer.
const clientRegistrationTimeout = 30 * time.Second

// Register sends registration, made by [messages.NewDeviceRegistration] or
// [messages.NewConstellationRegistration], as the first message of the
// connection and waits for the server's answer, which it returns: a heartbeat
// with the status ok, and nothing else (spec section 8, D20). It sets the
// identity of c.
//
// It comes before Run; while Run or another receive reads, it fails with
// [ErrReading]. The RegistrationTimeout of the options bounds it, and ctx.
// Every other failure is a [*RegistrationError], after which the connection
// cannot be used.
func Register(ctx context.Context, c *Client, registration *messages.ClientMessage) (*messages.ServerMessage, error) {
	if err := messages.ValidateRegistration(registration); err != nil {
		return nil, err
	}
	if err := c.beginReading(); err != nil {
		return nil, err
	}
	defer c.endReading()
	bounded, cancel := within(ctx, c.options.RegistrationTimeout, clientRegistrationTimeout)
	defer cancel()
	if err := c.Send(bounded, registration); err != nil {
		return nil, registrationLost(ctx, bounded, err)
	}
	answer, err := c.receive(bounded)
	var invalid *MessageError
	switch {
	case errors.As(err, &invalid):
		return nil, &RegistrationError{RegistrationInvalid, err}
	case err != nil:
		return nil, registrationLost(ctx, bounded, err)
	case answer.Type == messages.ServerError:
		refusal, _ := remoteError(answer)
		return nil, &RegistrationError{RegistrationRefused, c.refusedHow(bounded, refusal)}
	case answer.Type != messages.ServerHeartbeat || answer.Status != messages.StatusOK || answer.SessionID != "":
		return nil, &RegistrationError{RegistrationInvalid, &firstMessageError{string(answer.Type), "a heartbeat with the status ok, or an error"}}
	}
	c.SetIdentity(identityOf(registration))
	return answer, nil
}

// closeAfterRefusal is how long a server may take to close the connection after
// it has refused a registration.
const closeAfterRefusal = time.Second

// refusedHow returns refusal and, if the server closes the connection with a
// code that says that another attempt is of no use, that as well.
func (p *AIPProtocol[Out, In]) refusedHow(ctx context.Context, refusal error) error {
	ctx, cancel := context.WithTimeout(ctx, closeAfterRefusal)
	defer cancel()
	_, err := p.receive(ctx)
	var end *transport.CloseError
	if errors.As(err, &end) && end.Remote && !end.Retryable() {
		return fmt.Errorf("%w: %w", refusal, end)
	}
	return refusal
}

// RegisterDevice registers a device, as [Register] does. systemInfo is the
// object of [messages.SystemInfo.Value], or unset; platform is one of the
// Platform constants of package messages.
func RegisterDevice(ctx context.Context, c *Client, clientID, platform string, systemInfo messages.Value) error {
	_, err := Register(ctx, c, messages.NewDeviceRegistration(clientID, platform, systemInfo))
	return err
}

// RegisterConstellation registers the constellation name for the device
// deviceID, as [Register] does. The device has to be online; if it is not, the
// server refuses.
func RegisterConstellation(ctx context.Context, c *Client, name, deviceID string) error {
	_, err := Register(ctx, c, messages.NewConstellationRegistration(name, deviceID))
	return err
}

// identityOf returns who a registration says the client is.
func identityOf(registration *messages.ClientMessage) Identity {
	return Identity{
		ClientID:   registration.ClientID,
		ClientType: registration.Role(),
		TargetID:   registration.TargetID,
	}
}

// within returns ctx bounded by timeout: zero means byDefault, negative no
// bound.
func within(ctx context.Context, timeout, byDefault time.Duration) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		timeout = byDefault
	}
	if timeout < 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}

// registrationLost returns the error for err, met while bounded, which is ctx
// with a deadline, was waited for.
func registrationLost(ctx, bounded context.Context, err error) error {
	if ctx.Err() == nil && bounded.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		return &RegistrationError{RegistrationTimeout, err}
	}
	return &RegistrationError{RegistrationLost, err}
}
