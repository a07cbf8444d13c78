package endpoint

import (
	"context"
	"fmt"

	"github.com/aip-go/aip/messages"
)

// handleTask takes a task on, or refuses it.
func (c *client) handleTask(ctx context.Context, m *messages.ClientMessage) error {
	s := c.server
	sess, fresh, text := s.open(ctx, c, m)
	if text != "" {
		return c.refuse(ctx, m, text)
	}
	if !fresh {
		// The client asks again for what runs already, perhaps because it
		// missed the first answer.
		return c.bounded(ctx, func(ctx context.Context) error { return c.proto.SendAck(ctx, sess.id) })
	}
	if err := c.bounded(ctx, func(ctx context.Context) error { return c.proto.SendAck(ctx, sess.id) }); err != nil {
		sess.cancel(ErrRequesterLost)
	} else {
		s.events.observe(c.event(Event{
			Kind: EventTaskAccepted, DeviceID: sess.executor.info.ID, SessionID: sess.id, TaskName: sess.taskName,
		}))
	}
	go s.run(sess, newTask(sess, m.Metadata))
	return nil
}

// open makes the session of a task, or returns the one that runs, or says in
// words for the client why there is none. Whoever gets a fresh one has to run
// it: it is counted in the server's work.
func (s *Server) open(ctx context.Context, c *client, m *messages.ClientMessage) (sess *session, fresh bool, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		executor, text := s.executor(c, m)
		if text != "" {
			return nil, false, text
		}
		old := s.sessions[m.SessionID]
		switch {
		case old == nil:
			return s.start(c, executor, m)
		case old.requester != c:
			return nil, false, fmt.Sprintf("session_id '%s' is owned by another client", m.SessionID)
		case old.executor != executor:
			return nil, false, fmt.Sprintf("session_id '%s' is in use for another device", m.SessionID)
		case !old.ending:
			return old, false, ""
		}
		s.mu.Unlock()
		select {
		case <-old.told:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if ctx.Err() != nil {
			return nil, false, shuttingDown
		}
	}
}

// executor returns the device that is to run the task m of c, or says why
// there is none. The server is locked.
func (s *Server) executor(c *client, m *messages.ClientMessage) (device *client, text string) {
	if s.online[c.info.ID] != c {
		return nil, "Connection is not registered; refusing privileged message"
	}
	if c.info.Role == messages.Device {
		if m.TargetID != "" && m.TargetID != c.info.ID {
			return nil, "Device clients may not target other devices"
		}
		return c, ""
	}
	if m.TargetID == "" {
		return nil, "Constellation task requests require target_id"
	}
	if c.info.Target != "" && m.TargetID != c.info.Target {
		return nil, "Not authorized to give tasks to this device"
	}
	device = s.online[m.TargetID]
	if device == nil {
		return nil, notConnected(m.TargetID)
	}
	if device.info.Role != messages.Device {
		return nil, "Constellation tasks may only target device clients"
	}
	return device, ""
}

// start makes a session. The server is locked.
func (s *Server) start(c, executor *client, m *messages.ClientMessage) (*session, bool, string) {
	if s.draining {
		return nil, false, shuttingDown
	}
	if c.asked >= s.options.MaxTasks {
		return nil, false, fmt.Sprintf("too many running tasks; at most %d are taken", s.options.MaxTasks)
	}
	sess := &session{
		id:        m.SessionID,
		taskName:  SafeTaskName(m.TaskName),
		request:   m.Request,
		requester: c,
		executor:  executor,
		told:      make(chan struct{}),
		limit:     s.options.MaxMessageSize,
	}
	if sess.id == "" {
		sess.id = messages.NewID()
	}
	sess.ctx, sess.cancel = context.WithCancelCause(s.lifetime)
	s.sessions[sess.id] = sess
	c.sessions[sess] = struct{}{}
	executor.sessions[sess] = struct{}{}
	c.asked++
	s.unended++
	s.work.Add(1)
	return sess, true, ""
}

// free makes the session's id free again.
func (s *Server) free(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess.id)
	delete(sess.requester.sessions, sess)
	delete(sess.executor.sessions, sess)
	sess.requester.asked--
	close(sess.told)
}

// requested reports whether c has asked for the running task of that session.
func (s *Server) requested(c *client, sessionID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := s.sessions[sessionID]
	return sess != nil && sess.requester == c
}
