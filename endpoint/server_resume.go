package endpoint

import (
	"context"
	"errors"

	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// setUpResilience makes what keeps sessions and watches clients.
func (s *Server) setUpResilience() error {
	if !s.options.NoResume {
		var o resilience.ResumerOptions
		if s.options.Resume != nil {
			o = *s.options.Resume
		}
		if o.Logger == nil {
			o.Logger = s.logger
		}
		told := o.Detached
		o.Detached = func(clientID string, cause error) {
			s.noteDetached(clientID, cause)
			if told != nil {
				told(clientID, cause)
			}
		}
		resumer, err := resilience.NewResumer(&o)
		if err != nil {
			return invalid("Resume: %w", err)
		}
		s.resumer = resumer
	}
	return s.setUpSilence()
}

// session returns the session of the client; nil if it has none that can be
// resumed.
func (c *client) session() *resilience.Session {
	select {
	case <-c.confirmed:
		session, _ := c.transport.(*resilience.Session)
		return session
	default:
		return nil
	}
}

// detached reports whether the client has lost its connection and may come
// back.
func (c *client) detached() bool {
	session := c.session()
	return session != nil && !session.IsConnected()
}

// client returns the registered client of that id; nil if there is none.
func (s *Server) client(id string) *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.online[id]
}

// awaiting reports whether a client that has lost its connection has a part in
// a task: it may come back although the server takes on nothing new. The server
// is locked.
func (s *Server) awaiting() bool {
	for c := range s.connections {
		if c.unended > 0 && c.detached() {
			return true
		}
	}
	return false
}

// noteDetached tells of a client that has lost its connection, once.
func (s *Server) noteDetached(clientID string, cause error) {
	c := s.client(clientID)
	if c == nil {
		return
	}
	select { // Its first connection may be lost as soon as it is there.
	case <-c.confirmed:
	case <-c.gone:
	}
	if !c.detached() {
		return // It is another one, which has the id by now.
	}
	s.silence(clientID)
	if c.attached.CompareAndSwap(true, false) {
		s.events.observe(c.event(Event{Kind: EventDetached, Err: fault(cause)}))
	}
}

// resume continues a session with this connection, if that is what the
// registration asks for and it can be done.
func (c *client) resume(ctx context.Context, registration *protocol.Registration) (bool, error) {
	s := c.server
	if s.resumer == nil {
		return false, nil
	}
	session := s.resumer.Claim(registration, c.principal.owner())
	if session == nil {
		return false, nil
	}
	own := s.client(c.info.ID)
	if own != nil {
		own.resuming.Lock()
		defer own.resuming.Unlock()
		c.heard.pace.Store(own.pace)
	}
	s.counted(c)
	// From now on the connection counts as the session's.
	setReadLimit(c.transport, s.options.MaxMessageSize)
	c.heard.observed = make(chan struct{})
	defer close(c.heard.observed)
	err := c.bounded(ctx, func(ctx context.Context) error { return session.Resume(ctx, c.transport, registration) })
	switch {
	case errors.Is(err, resilience.ErrSessionLost):
		// It is the client of that session who begins anew.
		s.endSession(ctx, own, session)
		return false, nil
	case err != nil:
		s.noteDetached(c.info.ID, err) // It has taken the connection that there was with it.
		return false, c.rejected(&protocol.RegistrationError{Failure: protocol.RegistrationLost, Err: err})
	}
	s.mu.Lock()
	delete(s.connections, c)
	s.mu.Unlock()
	if own != nil {
		own.watchSilence(c.heard)
		own.pace.connected()
		own.learn(c.info.SystemInfo)
		own.attached.Store(true)
	}
	s.events.observe(c.event(Event{Kind: EventRegistered, DeviceID: c.info.Target, Resumed: true}))
	return true, nil
}

// lend waits until the connection, which belongs to a session, has ended. The
// end of the server is no reason to end it here: the session has last words.
func (c *client) lend(ctx context.Context) error {
	err := c.transport.WaitClosed(ctx)
	if isEnd(ctx, err) {
		return nil
	}
	return fault(err)
}

// relieve ends the session of a client that has lost its connection, because
// the client has come back without it, as c: nobody waits for it any more.
func (s *Server) relieve(ctx context.Context, c *client) {
	if old := s.client(c.info.ID); old != nil && c.mayReplace(old) && old.detached() {
		s.endSession(ctx, old, old.session())
	}
}

// endSession ends a session and waits until its client has left the registry.
func (s *Server) endSession(ctx context.Context, c *client, session *resilience.Session) {
	s.close(session, transport.StatusNormal, "")
	if c == nil || c.session() != session {
		return
	}
	select {
	case <-c.gone:
	case <-ctx.Done():
	}
}

// confirm tells the client that it is registered, and gives it a session if it
// asks for one.
func (c *client) confirm(ctx context.Context, registration *protocol.Registration) error {
	if c.server.resumer == nil {
		return registration.Confirm(ctx)
	}
	session, err := c.server.resumer.Confirm(ctx, c.transport, registration, c.principal.owner())
	if err != nil || session == nil {
		return err
	}
	session.SetReadLimit(c.server.options.MaxMessageSize)
	proto, err := c.server.newProtocol(session)
	if err != nil {
		return err
	}
	proto.SetIdentity(registration.Identity)
	proto.Use(protocol.PinIdentity(registration.Identity))
	c.transport, c.proto = session, proto
	c.commands.widen(maxUnderway)
	return nil
}
