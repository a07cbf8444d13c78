package endpoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
)

// register waits for the client's registration and confirms it, or says why
// not and closes the connection. If the registration continues a session, the
// connection belongs to that. Otherwise, from enter on, the entry in the
// registry is this client's, whatever happens to it.
func (c *client) register(ctx context.Context) (resumed bool, err error) {
	setReadLimit(c.transport, c.server.options.MaxRegistrationSize)
	registration, err := protocol.AwaitRegistration(ctx, c.proto)
	if err != nil {
		return false, c.rejected(err)
	}
	c.info = clientInfo(registration)
	c.info.Principal = c.principal.owner()
	if err := c.vet(ctx, registration); err != nil {
		return false, err
	}
	if resumed, err := c.resume(ctx, registration); resumed || err != nil {
		return resumed, err
	}
	return false, c.enroll(ctx, registration)
}

// enroll makes the client a new one.
func (c *client) enroll(ctx context.Context, registration *protocol.Registration) error {
	c.server.relieve(ctx, c)
	c.server.takeOver(ctx, c)
	text, err := c.server.enter(c)
	if err != nil {
		return c.rejected(c.server.turnAway(c.transport, err))
	}
	if text != "" {
		return c.turnDown(ctx, registration.Refuse, text, errors.New(text))
	}
	c.server.counted(c)
	c.pace = newPace(c.server.options.Limits, c.evict)
	c.heard.pace.Store(c.pace)
	// What follows the confirmation may be large, and may come at once.
	setReadLimit(c.transport, c.server.options.MaxMessageSize)
	c.attached.Store(true)
	// It is observed first: before anything that the client does about it.
	c.server.events.observe(c.event(Event{Kind: EventRegistered, DeviceID: c.info.Target}))
	err = c.bounded(ctx, func(ctx context.Context) error { return c.confirm(ctx, registration) })
	if err != nil {
		c.server.events.observe(c.event(Event{Kind: EventDisconnected, Err: err}))
		c.server.leave(c)
		return &protocol.RegistrationError{Failure: protocol.RegistrationLost, Err: err}
	}
	close(c.confirmed)
	return nil
}

// rejected reports a connection that did not get to be registered.
func (c *client) rejected(err error) error {
	c.server.events.observe(c.event(Event{Kind: EventRejected, Err: err}))
	return err
}

// clientInfo returns what a registration says.
func clientInfo(r *protocol.Registration) ClientInfo {
	info := ClientInfo{ID: r.ClientID, Role: r.ClientType, Since: time.Now()}
	if info.Role == messages.Device {
		info.Platform, info.SystemInfo = r.Platform, r.SystemInfo
	} else {
		info.Target = r.TargetID
	}
	return info
}

// enter puts c into the registry, or says why not: in words for the client, or
// with an error of this server. The entry belongs to this connection: only its
// own leave removes it.
func (s *Server) enter(c *client) (refusal string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if target := c.info.Target; target != "" {
		if device := s.online[target]; device == nil || device.info.Role != messages.Device {
			return notConnected(target), nil
		}
	}
	if s.online[c.info.ID] != nil {
		return fmt.Sprintf("client_id '%s' is already registered; duplicate registrations are not allowed", c.info.ID), nil
	}
	switch {
	case s.draining:
		return "", ErrServerClosed
	case len(s.online) >= s.options.MaxConnections:
		return "", ErrTooManyConnections // The places are kept for who has lost its connection.
	case c.principal != nil && s.principals[c.principal.Name] >= s.options.Limits.MaxClientsPerPrincipal:
		return "", ErrTooManyClients
	}
	s.online[c.info.ID] = c
	s.count(c, 1)
	return "", nil
}

// leave takes c out of the registry and cancels the tasks it has a part in.
func (s *Server) leave(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.online[c.info.ID] == c {
		s.silence(c.info.ID)
		delete(s.online, c.info.ID)
		s.count(c, -1)
	}
	for session := range c.sessions {
		if session.executor == c {
			session.cancel(ErrDeviceLost)
		} else {
			session.cancel(ErrRequesterLost)
		}
	}
	close(c.gone)
}

const shuttingDown = "the server is shutting down"

func notConnected(id string) string { return fmt.Sprintf("Target device '%s' is not connected", id) }
