package endpoint

import (
	"context"

	"go.uber.org/zap"

	"github.com/aip-go/aip/protocol"
)

// vet refuses a registration that the client's principal, the limits or the
// user's Authorize do not allow. Who may not is told nothing else than that.
func (c *client) vet(ctx context.Context, registration *protocol.Registration) error {
	s := c.server
	if err := checkRegistration(registration); err != nil {
		c.info = ClientInfo{Role: c.info.Role, Principal: c.info.Principal} // The rest is not for events.
		return c.turnDown(ctx, registration.RefuseForGood, invalidID, err)
	}
	if !s.registrations.allow(s.options.Limits.RegistrationsPerMinute, c.identity()) {
		return c.rejected(s.turnAway(c.transport, ErrTooManyRegistrations))
	}
	if !c.mayRegister() {
		return c.turnDown(ctx, registration.RefuseForGood, notAuthorized, ErrNotAuthorized)
	}
	if err := c.authorize(ctx, ActionTarget, c.info.Target); err != nil {
		return c.turnDown(ctx, registration.RefuseForGood, notAuthorized, err)
	}
	return nil
}

// mayRegister asks the principal, whose Match is the user's: its failure is a
// refusal.
func (c *client) mayRegister() (may bool) {
	defer func() {
		if v := recover(); v != nil {
			c.server.logger.Error("a principal's Match panicked", zap.Any("panic", v), zap.Stack("stack"))
			may = false
		}
	}()
	return c.principal.mayRegister(c.info.ID, c.info.Role)
}

// invalidID is what clients are told of names that cannot be.
const invalidID = "an id is too long or has control characters"

func checkRegistration(r *protocol.Registration) error {
	for _, name := range []string{r.ClientID, r.TargetID, r.Platform} {
		if err := checkName(name, maxClientID); err != nil {
			return err
		}
	}
	return nil
}

// identity is by whom registrations are counted. Without principals one client
// must not use up what another one may, so that its address counts, too.
func (c *client) identity() string {
	if c.principal != nil {
		return "principal " + c.principal.Name
	}
	return "client " + c.address + " " + c.info.ID
}

// turnDown refuses a registration because of err, for now or for good, and closes
// the connection. text is for the client.
func (c *client) turnDown(ctx context.Context, refuse func(context.Context, string) error, text string, err error) error {
	if err := c.bounded(ctx, func(ctx context.Context) error { return refuse(ctx, text) }); err != nil {
		c.server.logger.Debug("a client was not told why it is refused", zap.String("client_id", c.info.ID), zap.Error(err))
	}
	return c.rejected(&protocol.RegistrationError{Failure: protocol.RegistrationRefused, Err: err})
}

// mayReplace reports whether c may take the place of old, a client of its id
// that has lost its connection.
func (c *client) mayReplace(old *client) bool { return c.principal.owner() == old.principal.owner() }
