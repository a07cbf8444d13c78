package protocol

import (
	"context"
	"errors"
	"fmt"

	"github.com/aip-go/aip/messages"
)

// Identity is who the client of a connection is. It is fixed at registration.
type Identity struct {
	ClientID   string
	ClientType messages.ClientType
	// TargetID is the device that a constellation serves by this connection;
	// it may be empty.
	TargetID string
}

// ErrNotRegistered: the exchange needs the client's identity; register first.
var ErrNotRegistered = errors.New("protocol: client is not registered on this connection")

// Identity returns who the client of this connection is, and whether that is
// known yet.
func (p *AIPProtocol[Out, In]) Identity() (Identity, bool) {
	if id := p.identity.Load(); id != nil {
		return *id, true
	}
	return Identity{}, false
}

// SetIdentity sets who the client of this connection is, for a registration
// that was not made with [Register] or [AwaitRegistration].
func (p *AIPProtocol[Out, In]) SetIdentity(id Identity) { p.identity.Store(&id) }

// registered returns the identity, or ErrNotRegistered.
func (p *AIPProtocol[Out, In]) registered() (Identity, error) {
	id, ok := p.Identity()
	if !ok {
		return id, ErrNotRegistered
	}
	return id, nil
}

// IdentityError is a message in which a client claims to be another than it
// registered as (spec section 5).
type IdentityError struct {
	// Field is the field that differs: "client_id" or "client_type".
	Field string
}

// Error names the field; neither value is given.
func (e *IdentityError) Error() string {
	return fmt.Sprintf("protocol: %s does not match the registered connection", e.Field)
}

// PinIdentity returns the middleware by which a server holds a client to its
// registration (spec section 5, rules 2 to 4): a message with another client_id
// or client_type is stopped with an [*IdentityError], and both fields of any
// other are filled in. The client_type of heartbeats is not checked: the
// reference's constellations send the wrong one. [Registration.Confirm] adds
// it.
func PinIdentity(id Identity) Middleware[messages.ServerMessage, messages.ClientMessage] {
	return Middleware[messages.ServerMessage, messages.ClientMessage]{
		Incoming: func(_ context.Context, m *messages.ClientMessage) (*messages.ClientMessage, error) {
			if m.ClientID != "" && m.ClientID != id.ClientID {
				return nil, &IdentityError{Field: "client_id"}
			}
			if m.Type != messages.ClientHeartbeat && m.Role() != id.ClientType {
				return nil, &IdentityError{Field: "client_type"}
			}
			m.ClientID, m.ClientType = id.ClientID, id.ClientType
			return m, nil
		},
	}
}
